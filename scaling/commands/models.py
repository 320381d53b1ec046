"""`tinyscale models`."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scaling.errors import UserError
from scaling.flags import refuse
from scaling.outputs import ready_folder

if TYPE_CHECKING:
    from scaling.config import RunConfig


@click.command(
    context_settings={"ignore_unknown_options": True},
    short_help="List recipes and parts, or check a config.",
)
@click.argument("fields", nargs=-1, type=click.UNPROCESSED, metavar="[--FIELD VALUE]...")
@click.option("--verify", metavar="CONFIG", help="Check a config's model, also one of your own.")
@click.option(
    "--coordinate-check",
    metavar="CONFIG",
    help="How activations grow with width, in muP and not.",
)
@click.option(
    "--lr-transfer",
    metavar="CONFIG",
    help="Where the best rate lies by width, in muP and not.",
)
@click.option(
    "--widths",
    default="32,64,128,256",
    show_default=True,
    help="Widths that these two train at.",
)
@click.option("--lrs", help="Rates that --lr-transfer tries [1/8 to 4 times the config's].")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Steps that each model trains [8; 150 with --lr-transfer].",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False),
    default="transfer",
    show_default=True,
    help="Where pictures and tables go.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def models(
    fields: tuple[str, ...],
    verify: str | None,
    coordinate_check: str | None,
    lr_transfer: str | None,
    widths: str,
    lrs: str | None,
    steps: int | None,
    out: str,
    as_json: bool,
) -> None:
    """List recipes and parts with their sizes, or look closer at one config.

    \b
    tinyscale models
    tinyscale models --verify my.yaml
    tinyscale models --coordinate-check baseline --out figures
    tinyscale models --lr-transfer baseline --widths 32,64,128 --steps 200

    CONFIG is a recipe's name or a YAML file; its fields are flags, as everywhere.
    """
    chosen = [name for name in (verify, coordinate_check, lr_transfer) if name is not None]
    if len(chosen) > 1:
        raise UserError("--verify, --coordinate-check and --lr-transfer go one at a time.")
    if lr_transfer is None:
        refuse(("lrs",), "goes with --lr-transfer")
        if coordinate_check is None:
            refuse(("widths", "steps", "out"), "goes with --coordinate-check or --lr-transfer")
    if not chosen:
        if fields and fields[0].startswith("--"):
            raise UserError(f"{fields[0]} sets a field; say of which config, as in --verify mla.")
        if fields:
            raise UserError(f"Say what to do with {fields[0]}, as in --verify {fields[0]}.")
        answer = _list(as_json)
    else:
        from scaling.recipes import load_config

        config = load_config(chosen[0], fields)
        if verify:
            answer = _verify(config, as_json)
        else:
            sizes = _numbers("--widths", widths, int)
            ready_folder(Path(out))
            answer = (
                _coordinates(config, sizes, steps or 8, Path(out))
                if coordinate_check
                else _rates(config, sizes, lrs, steps or 150, Path(out))
            )
    if as_json:
        click.echo(json.dumps(answer, indent=1))
    if isinstance(answer, dict) and answer.get("holds") is False:
        raise SystemExit(1)


def _numbers(flag: str, text: str, kind: type) -> list[Any]:
    try:
        numbers = [kind(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(set(numbers)) < 2 or not all(0 < number < math.inf for number in numbers):
        raise UserError(f"{flag} is {text!r}, but it is two or more positive numbers like 32,64.")
    return sorted(set(numbers))


# ---------------------------------------------------------------- the list


def _list(as_json: bool) -> dict[str, Any]:
    from scaling.inspection.catalog import parts, size_of
    from scaling.recipes import load_config, recipe_names

    sizes = [size_of(load_config(name)) for name in recipe_names()]
    kinds = parts()
    if not as_json:
        rows = [["recipe", "parameters", "no embeddings", "FLOPs/token", "weights", "a sequence"]]
        for size in sizes:
            active = f" ({size.active:,} active)" if size.active != size.parameters else ""
            rows.append(
                [
                    size.name,
                    f"{size.parameters:,}{active}",
                    f"{size.non_embedding:,}",
                    f"{size.flops_per_token:,}",
                    _bytes(size.weight_bytes),
                    _bytes(size.activation_bytes),
                ]
            )
        _print(rows)
        click.echo(
            "\nFLOPs of training. Weights with gradients and Adam's moments; activations of one"
            " sequence in bf16.\nParts, by the field that chooses them (docs/adding-a-variant.md):"
        )
        for part, found in kinds.items():
            click.echo(f"\n{part}")
            for kind, about in found.items():
                click.echo(f"  {kind:16} {about}")
    return {"recipes": [size.as_dict() for size in sizes], "parts": kinds}


def _print(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        click.echo("  ".join([first.ljust(widths[0]), *cells]))


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


# ---------------------------------------------------------------- one config


def _verify(config: "RunConfig", as_json: bool) -> dict[str, Any]:
    from scaling.inspection.verify import verify

    checks = []
    for check in verify(config):
        checks.append({"name": check.name, "holds": check.holds, "found": check.found})
        if not as_json:
            click.echo(f"{'holds' if check.holds else 'FAILS'}  {check.name:10} {check.found}")
    holds = all(check["holds"] for check in checks)
    return {"config": config.name, "holds": holds, "checks": checks}


def _say(line: str) -> None:
    click.echo(line, err=True)


def _coordinates(config: "RunConfig", widths: list[int], steps: int, out: Path) -> dict[str, Any]:
    from scaling.data.prepare import prepare
    from scaling.inspection import pictures, transfer
    from scaling.runtime import resolve

    rows = transfer.coordinate_check(
        config,
        prepare(config.data, say=_say),
        resolve(config.runtime),
        widths,
        steps=steps,
        say=_say,
    )
    table, picture = out / "coordinates.csv", out / "coordinates.png"
    pictures.write_table(rows, table)
    pictures.draw_coordinates(rows, picture, f"{config.name}: coordinate check")
    powers = transfer.slopes(rows)
    places = list(dict.fromkeys(row.place for row in rows))
    _say(f"growth with width after {steps} steps, as a power (muP: about 0, or below)")
    _say(f"{'':24}{'standard':>10}{'mup':>10}")
    for place in places:
        pair = [powers[kind, place] for kind in transfer.PARAMETRIZATIONS]
        _say(f"{place:24}{pair[0]:10.2f}{pair[1]:10.2f}")
    _say(f"{picture}, {table}")
    return {
        "picture": str(picture),
        "table": str(table),
        "powers": {f"{kind}/{place}": value for (kind, place), value in powers.items()},
    }


def _rates(
    config: "RunConfig", widths: list[int], lrs: str | None, steps: int, out: Path
) -> dict[str, Any]:
    from scaling.data.prepare import prepare
    from scaling.inspection import pictures, transfer
    from scaling.runtime import resolve

    peak = config.optimizer.peak_lr
    rates = _numbers("--lrs", lrs, float) if lrs else [peak * 2.0**i for i in range(-3, 3)]
    rows = transfer.lr_transfer(
        config,
        prepare(config.data, say=_say),
        resolve(config.runtime),
        widths,
        rates,
        steps=steps,
        say=_say,
    )
    table, picture = out / "lr_transfer.csv", out / "lr_transfer.png"
    pictures.write_table(rows, table)
    pictures.draw_rates(rows, picture, f"{config.name}: learning rate by width, {steps} steps")
    _say(f"{picture}, {table}")
    best = {
        f"{kind}/{width}": min(
            (row for row in rows if (row.parametrization, row.width) == (kind, width)),
            key=lambda row: row.loss,
        ).lr
        for kind in transfer.PARAMETRIZATIONS
        for width in widths
    }
    return {"picture": str(picture), "table": str(table), "best": best}
