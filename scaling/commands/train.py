"""`tinyscale train`."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scaling.config import RunConfig
from scaling.console import Console, show_fields
from scaling.disk import full_disk_is_said
from scaling.errors import UserError
from scaling.memory import lack_of_memory_is_said
from scaling.recipes import load_config, parse_flags

if TYPE_CHECKING:
    from scaling.training import RunResult


class _ConfigCommand(click.Command):
    """A command whose help lists the config's fields, every one of them a flag."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        show_fields(formatter)


@click.command(
    cls=_ConfigCommand,
    context_settings={"ignore_unknown_options": True},
    short_help="Train one config, or several seeds of it.",
)
@click.argument("config", required=False)
@click.argument("fields", nargs=-1, type=click.UNPROCESSED)
@click.option("--seeds", help="Train these seeds (1,2,3) as one cohort, a run each.")
@click.option(
    "--resume", "resumed", help="Go on with a run: its id, name or folder; or several, 1,2."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summaries as JSON on stdout.")
def train(
    config: str | None,
    fields: tuple[str, ...],
    seeds: str | None,
    resumed: str | None,
    as_json: bool,
) -> None:
    """Train CONFIG (a shipped recipe or a YAML file; baseline unless given).

    \b
    tinyscale train gqa
    tinyscale train my.yaml --optimizer.lr 1e-3 --budget.tokens 5e6
    tinyscale train baseline --seeds 1,2,3
    tinyscale train --resume gqa-1a2b3c4d
    """
    words = list(fields)
    if config is not None and config.startswith("--"):  # a field came first
        words.insert(0, config)
        config = None
    console = Console()
    if resumed is not None:
        if words or config or seeds:
            raise UserError("--resume goes on with the run's own config; give nothing beside it.")
        from scaling.runs import find_each, find_run
        from scaling.training import resume

        folders = find_each(resumed, find_run)
        if len({folder.path for folder in folders}) < len(folders):
            raise UserError(
                f"--resume {resumed} means one run twice: a name is its newest run; give ids."
            )
        then = "the same command goes on"
        less = f"with more of it free {then}"
        with full_disk_is_said(then), lack_of_memory_is_said(less):
            results = resume(folders, say=console.say, progress=console.progress)
    else:
        if seeds is not None and any(field == ("seed",) for field, _ in parse_flags(words)):
            raise UserError("--seed would change nothing beside --seeds; give one of them.")
        base = load_config(config or "baseline", words)
        configs = [base] if seeds is None else _seeded(base, seeds)
        from scaling.training import train as run

        then = "--resume goes on from the last checkpoint"
        less = "a smaller batch.micro_size, data.context_length or model takes less"
        with full_disk_is_said(then), lack_of_memory_is_said(less):
            results = run(configs, say=console.say, progress=console.progress)
    console.close()
    for result in results:
        console.result(result)
    if as_json:
        click.echo(json.dumps([_as_json(result) for result in results], indent=1))
    stopped = results[0].stopped_by
    if stopped is not None:
        for names in _together(results):
            command = shlex.join(["tinyscale", "train", "--resume", names])
            console.say(f"Stopped and saved. Go on with: {command}")
        sys.exit(128 + stopped)


def _seeded(config: RunConfig, seeds: str) -> list[RunConfig]:
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise UserError(f"--seeds is {seeds!r}, but it is numbers like 1,2,3.") from None
    if len(set(numbers)) < len(numbers) or min(numbers) < 0:
        raise UserError(f"--seeds is {seeds!r}, but seeds are distinct and not negative.")
    if max(numbers) >= 2**63:
        raise UserError(f"--seeds is {seeds!r}, but seeds are below 2^63.")
    return [config.model_copy(update={"seed": number}) for number in numbers]


def _together(results: Sequence["RunResult"]) -> list[str]:
    """The stopped runs that resume as one program, `a,b`: those that were saved at one step."""
    from scaling.checkpoint import Checkpoints

    groups: dict[int, list[str]] = {}
    for result in results:
        saved = Checkpoints(result.folder.path / "checkpoints").last
        if result.status != "FINISHED" and saved is not None:
            groups.setdefault(saved.step, []).append(_called(result.folder.path))
    return [",".join(names) for names in groups.values()]


def _called(path: Path) -> str:
    """What --resume finds a run by: its name alone where it is in ./runs, else its path."""
    return path.name if path.parent.resolve() == Path("runs").resolve() else str(path)


def _as_json(result: "RunResult") -> dict[str, object]:
    from scaling.tracking.sent import Sent

    return {
        "folder": str(result.folder.path.resolve()),
        "mlflow_run_id": Sent.read(result.folder).run_id,
        "status": result.status,
        **result.summary,
    }
