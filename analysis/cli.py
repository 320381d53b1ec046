"""The ``tinyscale analyze`` command; imports nothing heavy until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from scaling.errors import UserError

FORMS = (
    "chinchilla",
    "kaplan",
    "openlm",
    "data_constrained",
    "isoflop",
    "power_law",
    "power_law_no_offset",
    "log_power",
    "all",
)


@click.command()
@click.option("--csv", "csv", required=True, type=click.Path(path_type=Path), help="The table.")
@click.option("--loss", required=True, help="Column of the losses, in any unit.")
@click.option("--n", "n", help="Column of parameters N.")
@click.option("--d", "d", help="Column of training tokens D.")
@click.option("--c", "c", help="Column of training FLOPs C; without --d, D = C/6N.")
@click.option("--unique", help="Column of unique tokens, for data_constrained.")
@click.option("--x", "x", multiple=True, help="Column for laws of one axis; may be repeated.")
@click.option("--form", default="chinchilla", show_default=True, type=click.Choice(FORMS))
@click.option("--approach", help="One approach only; otherwise every one the form has.")
@click.option("--group", help="Column of trajectories, whose points are resampled together.")
@click.option("--exclude", help='Rows to leave out, "loss >= 5"; fitted with and without them.')
@click.option("--delta", default=1e-3, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Huber's threshold, in log units.")  # fmt: skip
@click.option("--starts", default=4500, show_default=True, type=click.IntRange(1),
              help="Starts of the grid, at most.")  # fmt: skip
@click.option("--bootstrap", default=1000, show_default=True, type=click.IntRange(0),
              help="Resamples for the intervals; 0 for none.")  # fmt: skip
@click.option("--level", default=0.95, show_default=True,
              type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Level of the intervals.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0),
              help="Seed of the resamples.")  # fmt: skip
@click.option("--holdout", default=0.2, show_default=True,
              type=click.FloatRange(0, 1, max_open=True),
              help="Share of the runs, largest by FLOPs, to predict from the others.")  # fmt: skip
@click.option("--at", "at", multiple=True, metavar="ROLE=VALUE",
              help="Where to predict: C=1e21, N=1e9, D=2e10; may be repeated.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder for fits.json.")
@click.option("--json", "as_json", is_flag=True, help="Print what fits.json holds.")
def analyze(
    csv: Path,
    loss: str,
    n: str | None,
    d: str | None,
    c: str | None,
    unique: str | None,
    x: tuple[str, ...],
    form: str,
    approach: str | None,
    group: str | None,
    exclude: str | None,
    delta: float,
    starts: int,
    bootstrap: int,
    level: float,
    seed: int,
    holdout: float,
    at: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Fit scaling laws to a table of runs."""
    import json

    from analysis.cli_csv import Request, analyze_csv, write
    from analysis.fits.prepare import FitOptions
    from analysis.show import show

    roles = {"loss": loss, "N": n, "D": d, "C": c, "U": unique}
    request = Request(
        csv=csv,
        columns={role: column for role, column in roles.items() if column is not None},
        x=x,
        form=form,
        approach=approach,
        group=group,
        exclude=exclude,
        options=FitOptions(
            delta=delta,
            starts=starts,
            bootstrap=bootstrap,
            level=level,
            seed=seed,
            holdout=holdout,
            at=_places(at),
        ),
    )
    answer: dict[str, Any] = analyze_csv(request)
    path = None if out is None else write(answer, out)
    if as_json:
        click.echo(json.dumps(answer, indent=1, allow_nan=False))
        return
    click.echo(show(answer))
    if path is not None:
        click.echo(f"\nwritten to {path}")


def _places(texts: tuple[str, ...]) -> dict[str, float]:
    places = {}
    for text in texts:
        role, sign, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not sign or not 0 < number < float("inf"):
            raise UserError(f"--at {text!r} must be ROLE=VALUE with a positive number, as C=1e21")
        places[role.strip()] = number
    return places
