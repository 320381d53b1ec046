"""`tinyscale data`: prepare a config's data, or check what is prepared."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[CONFIG] [--FIELD VALUE]...")
@click.option("--force", is_flag=True, help="Build anew, also what is there and whole.")
@click.option("--verify", is_flag=True, help="Check every hash of what is there; build nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def data(words: tuple[str, ...], force: bool, verify: bool, as_json: bool) -> None:
    """Prepare the data of CONFIG: splits, tokenizer, packed tokens.

    CONFIG is a recipe's name or a YAML file (baseline unless given); every field is a flag by its
    dotted name (--data.corpus.kind files --data.corpus.files 'texts/*.jsonl'). What is unchanged
    is reused.
    """
    from scaling.data.prepare import prepare
    from scaling.data.prepare import verify as find_damage
    from scaling.recipes import load_config

    if force and verify:
        raise click.UsageError("--force builds anew and --verify builds nothing: give one of them")
    config, overrides = _config_and_fields(words)
    wanted = load_config(config, overrides).data
    if verify:
        damage = find_damage(wanted)
        if as_json:
            click.echo(json.dumps({"damage": damage}))
        elif not damage:
            click.echo("every file has the hash that its manifest states")
        for line in [] if as_json else damage:
            click.echo(line)
        if damage:
            click.echo("damaged: build it anew with --force", err=True)
            raise SystemExit(1)
        return
    prepared = prepare(wanted, force=force, say=lambda text: click.echo(text, err=True))
    splits = [prepared.train, prepared.validation, *([prepared.test] if prepared.test else [])]
    rows = [
        {
            "split": split.name,
            "documents": split.documents,
            "tokens": split.tokens,
            "bytes": split.bytes,
            "tokens_per_byte": split.tokens / split.bytes,
            "floor_nats_per_token": split.floor_per_token,
            "floor_bits_per_byte": split.floor_bits_per_byte,
        }
        for split in splits
    ]
    answer = {
        "source": prepared.source,
        "folder": str(prepared.folder),
        "reused": prepared.reused,
        "fingerprint": prepared.fingerprint,
        "vocab_size": prepared.tokenizer.vocab_size,
        "splits": rows,
    }
    if as_json:
        click.echo(json.dumps(answer, indent=1))
        return
    _print(answer, rows, prepared.folder)


def _config_and_fields(words: Sequence[str]) -> tuple[str, list[str]]:
    """The config among the words, which may stand before the fields, after or between them."""
    fields, place = list(words), 0
    while place < len(fields) and fields[place].startswith("--"):
        place += 1 if "=" in fields[place] else 2
    config = fields.pop(place) if place < len(fields) else "baseline"
    return config, fields


def _print(answer: dict[str, Any], rows: list[dict[str, Any]], folder: Path) -> None:
    click.echo(f"{answer['source']}, vocabulary {answer['vocab_size']:,}")
    titles = ["split", "documents", "tokens", "bytes", "tokens/byte"]
    keys = ["split", "documents", "tokens", "bytes", "tokens_per_byte"]
    if rows[0]["floor_nats_per_token"] is not None:
        titles += ["floor nats/token", "floor bits/byte"]
        keys += ["floor_nats_per_token", "floor_bits_per_byte"]
    table = [titles, *([_shown(row[key]) for key in keys] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for first, *others in table:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        click.echo("  ".join([first.ljust(widths[0]), *cells]))
    click.echo(f"in {folder}, fingerprint {answer['fingerprint'][:12]}")


def _shown(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
