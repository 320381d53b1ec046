"""`tinyscale sweep` and `tinyscale plan`."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, get_args

import click
from pydantic import BaseModel

from scaling.errors import UserError
from scaling.schema import parts_of
from sweeps.conduct import Request, conduct, plan_only
from sweeps.progress import Board
from sweeps.reading import Sweep, read_sweep, sweep_names
from sweeps.spec import SweepSpec
from sweeps.status import read_status, status_lines


class _SweepCommand(click.Command):
    """A command whose help lists a sweep's fields and the shipped sweeps."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Fields of a sweep file"):
            formatter.write_dl(_fields(SweepSpec))
        with formatter.section("Shipped sweeps"):
            formatter.write_text(", ".join(sweep_names()))


def _fields(part: type[BaseModel], above: str = "") -> list[tuple[str, str]]:
    """The fields of a part and of the parts in it, by their dotted names, and what they mean."""
    rows = []
    for name, field in part.model_fields.items():
        about = field.description or ", ".join(get_args(field.annotation))  # the kinds there are
        inner = parts_of(field.annotation)
        if not inner or field.description:
            rows.append((f"{above}{name}", about))
        for one in inner:
            rows += _fields(one, f"{above}{name}.")
    return rows


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """What both commands take."""
    for add in reversed(
        [
            click.argument("spec"),
            click.argument("fields", nargs=-1, type=click.UNPROCESSED),
            click.option("--seeds", help="These seeds (1,2,3) in place of the file's."),
            click.option("--corpus", help="Another corpus, such as tinystories."),
            click.option("--smoke", is_flag=True, help="Shrink it to under a minute, for a try."),
            click.option("--only", multiple=True, help="Only the points with axis=value."),
            click.option("--limit", type=click.IntRange(1), help="At most so many runs now."),
            click.option("--retry", type=click.Choice(["failed"]), help="Try failed runs again."),
            click.option("--storage", help="URL of a search's database; else a journal file."),
            click.option(
                "--price",
                type=float,
                help="Price of an hour of this machine: the plan shows the cost.",
            ),
            click.option("--no-timing", is_flag=True, help="Measure nothing for the estimate."),
            click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
        ]
    ):
        command = add(command)
    return command


_SETTINGS: dict[str, Any] = {"ignore_unknown_options": True}


@click.command(
    cls=_SweepCommand, context_settings=_SETTINGS, short_help="Make every run a sweep wants."
)
@_options
@click.option("--dry-run", is_flag=True, help="Show the plan and end, as `tinyscale plan`.")
@click.option("--status", is_flag=True, help="Show how the sweep stands and end.")
@click.option("--join", is_flag=True, help="Help a driver that works on it already.")
def sweep(
    spec: str,
    fields: tuple[str, ...],
    dry_run: bool,
    status: bool,
    join: bool,
    **given: Any,
) -> None:
    """Make every run that SPEC (a file, or a shipped sweep) wants and that is not there yet.

    \b
    tinyscale sweep width
    tinyscale sweep my.yaml --optimizer.lr 1e-3 --budget.tokens 5e6
    tinyscale sweep width --corpus tinystories
    tinyscale sweep width --smoke

    Stop it at any moment; the same command goes on. Flags set fields of the sweep, else of the
    base config.
    """
    read = _read(spec, fields, given)
    request = _request(given, join=join)
    if status:
        found = read_status(read, request)
        if given["as_json"]:
            click.echo(json.dumps(asdict(found), indent=1))
        else:
            click.echo("\n".join(status_lines(found)))
        return
    board = Board()
    if dry_run:
        _show_plan(read, request, board, given["as_json"])
        return
    result = conduct(read, request, board)
    board.clear()
    if given["as_json"]:
        click.echo(json.dumps(result.summary, indent=1))
    for line in result.lines:
        click.echo(line, err=given["as_json"])
    if result.exit_code:
        sys.exit(result.exit_code)


@click.command(
    cls=_SweepCommand, context_settings=_SETTINGS, short_help="Show every run a sweep wants."
)
@_options
def plan(spec: str, fields: tuple[str, ...], **given: Any) -> None:
    """Show every run that SPEC wants: sizes, time, cost, what is there already; train nothing."""
    read = _read(spec, fields, given)
    _show_plan(read, _request(given), Board(), given["as_json"])


def _show_plan(read: Sweep, request: Request, board: Board, as_json: bool) -> None:
    from sweeps.showing import plan_json, plan_lines  # knows of data, and so of numpy

    planned = plan_only(read, request, board)
    board.clear()
    if as_json:
        click.echo(json.dumps(plan_json(planned.plan, request.price), indent=1))
        return
    if read.spec.question:
        click.echo(read.spec.question)
    for line in plan_lines(planned.plan, request.price):
        click.echo(line)


def _read(spec: str, fields: tuple[str, ...], given: dict[str, Any]) -> Sweep:
    seeds = None
    if given["seeds"] is not None:
        try:
            seeds = [int(seed) for seed in given["seeds"].split(",")]
        except ValueError:
            raise UserError(
                f"--seeds is {given['seeds']!r}, but it is numbers like 1,2,3."
            ) from None
    return read_sweep(spec, fields, seeds=seeds, corpus=given["corpus"], smoke=given["smoke"])


def _request(given: dict[str, Any], *, join: bool = False) -> Request:
    return Request(
        only=given["only"],
        limit=given["limit"],
        retry_failed=given["retry"] == "failed",
        join=join,
        storage=given["storage"],
        price=given["price"],
        measure=not given["no_timing"],
    )
