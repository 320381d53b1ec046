"""`tinyscale adapt`."""

import json
import sys

import click

from sweeps.adapting.spec import AdaptSpec


class _AdaptCommand(click.Command):
    """A command whose help lists the fields of its file."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Fields of the file, each a flag"):
            formatter.write_dl(
                [(n, f.description or "") for n, f in AdaptSpec.model_fields.items()]
            )


@click.command(
    cls=_AdaptCommand,
    context_settings={"ignore_unknown_options": True},
    short_help="Adapt trained models to texts they have not seen.",
)
@click.argument("spec", default="adaptation")
@click.argument("fields", nargs=-1, type=click.UNPROCESSED)
@click.option("--smoke", is_flag=True, help="Shrink it to a minute or so, for a try.")
@click.option("--limit", type=click.IntRange(1), help="At most so many adaptations now.")
@click.option("--retry", type=click.Choice(["failed"]), help="Try failed adaptations again.")
@click.option("--no-timing", is_flag=True, help="Measure nothing before baselines are trained.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def adapt(
    spec: str,
    fields: tuple[str, ...],
    smoke: bool,
    limit: int | None,
    retry: str | None,
    no_timing: bool,
    as_json: bool,
) -> None:
    """Make every adaptation that SPEC (a file; `adaptation` is the shipped one) wants.

    \b
    tinyscale adapt
    tinyscale adapt my.yaml --inner_steps "[1, 10]" --rank "[8]"
    tinyscale adapt --baselines "[gqa, baseline]"

    Baselines that SPEC describes are trained first where they are not there yet. Stop it at any
    moment; the same command goes on.
    """
    from sweeps.adapting.conduct import Request, conduct_adaptations
    from sweeps.adapting.reading import read_adapt_sweep
    from sweeps.progress import Board

    words = list(fields)
    if spec.startswith("--"):  # a field came first
        words.insert(0, spec)
        spec = "adaptation"
    sweep = read_adapt_sweep(spec, words, smoke=smoke)
    board = Board()
    request = Request(limit, retry == "failed", measure=not no_timing and not smoke)
    result = conduct_adaptations(sweep, request, board)
    board.clear()
    if as_json:
        click.echo(json.dumps(result.summary, indent=1))
    for line in result.lines:
        click.echo(line, err=as_json)
    if result.exit_code:
        sys.exit(result.exit_code)
