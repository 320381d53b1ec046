"""The commands ``analyze``, ``compare`` and ``evaluate``; imports nothing heavy until one runs."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scaling.errors import UserError
from scaling.flags import refuse
from scaling.outputs import ready_folder
from scaling.recipes import parse_value

if TYPE_CHECKING:
    from analysis.fits import FitOptions
    from analysis.runs import Selection

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
Command = Callable[..., None]


def _selecting(command: Command) -> Command:
    """The options that choose runs of a store."""
    for option in reversed(
        (
            click.option("--experiment", help="Runs of this MLflow experiment."),
            click.option("--sweep", help="Runs of this sweep."),
            click.option("--filter", "condition", metavar="CONDITION",
                         help="Runs of an MLflow condition: \"params.`model.n_layers` = '4'\"."),
            click.option("--store", help="The store; else MLFLOW_TRACKING_URI, else"
                         " sqlite:///mlflow.db here."),
            click.option("--unit", default="auto", show_default=True,
                         type=click.Choice(("auto", "nats", "bpb")),
                         help="Of losses: nats per token, or bits per byte across tokenizers."),
            click.option("--log/--no-log", "log", default=True, show_default=True,
                         help="Put the report into the store too, as a run of its own."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def _resamples(_context: click.Context, _option: click.Parameter, value: int) -> int:
    """The number of resamples, of which an interval needs 20."""
    if value != 0 and value < 20:
        raise click.BadParameter(f"{value} gives no intervals: give 20 or more, or 0 for none.")
    return value


@click.command(short_help="Fit laws to a store's runs, or to a table.")
@_selecting
@click.option("--design", type=click.Choice(("isoflop", "grid")),
              help="How the store's runs were laid out; else found from them.")  # fmt: skip
@click.option("--csv", "csv", type=click.Path(path_type=Path),
              help="Fit this table, not a store.")  # fmt: skip
@click.option("--loss", help="Column of the losses, in any unit; of a store, a metric.")
@click.option("--n", "n", help="Column of parameters N; of a store, a parameter or metric.")
@click.option("--d", "d", help="Column of training tokens D; likewise.")
@click.option("--c", "c", help="Column of training FLOPs C; without --d, D = C/6N.")
@click.option("--unique", help="Column of unique tokens, for data_constrained (--csv).")
@click.option("--x", "x", multiple=True,
              help="Column for laws of one axis (--csv); may be repeated.")  # fmt: skip
@click.option("--form", default="chinchilla", show_default=True, type=click.Choice(FORMS),
              help="The law to fit (--csv); a store's runs get every law they can.")  # fmt: skip
@click.option("--approach", help="One approach only (--csv); otherwise every one the form has.")
@click.option("--group", help="Column of trajectories (--csv), resampled together.")
@click.option("--exclude", help='Rows to leave out, "loss >= 5"; with --csv fitted both ways.')
@click.option("--delta", default=1e-3, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Huber's threshold, in log units.")  # fmt: skip
@click.option("--starts", default=4500, show_default=True, type=click.IntRange(1),
              help="Starts of the grid, at most.")  # fmt: skip
@click.option("--bootstrap", default=1000, show_default=True, callback=_resamples,
              help="Resamples for the intervals, 20 or more; 0 for none.")  # fmt: skip
@click.option("--level", default=0.95, show_default=True,
              type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Level of the intervals.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0),
              help="Seed of the resamples.")  # fmt: skip
@click.option("--holdout", default=0.2, show_default=True,
              type=click.FloatRange(0, 1, max_open=True),
              help="Share of the runs, largest by FLOPs, to predict from the others.")  # fmt: skip
@click.option("--at", "at", multiple=True, metavar="ROLE=VALUE",
              help="Where to predict: C=1e21, or N=1e9 and --at D=2e10.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder for fits.json and, of a store, the report [reports/...].")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what fits.json holds.")
def analyze(**given: Any) -> None:
    """Fit scaling laws to runs, with the evidence for them.

    \b
    tinyscale analyze --sweep width
    tinyscale analyze --experiment tinyscale --out report
    tinyscale analyze --csv points.csv --n N --d D --loss loss --form chinchilla
    """
    from analysis.fits import FitOptions

    names = ("delta", "starts", "bootstrap", "level", "seed", "holdout")
    options = FitOptions(**{name: given[name] for name in names}, at=_places(given["at"]))
    if given["csv"] is None:
        refuse(("unique", "x", "form", "approach", "group"), "goes with --csv")
        _analyze_store(given, options)
        return
    stores = ("experiment", "sweep", "condition", "store", "unit", "log", "design")
    refuse(stores, "does not go with --csv")
    _analyze_table(given, options)


def _analyze_table(given: dict[str, Any], options: FitOptions) -> None:
    from analysis.cli_csv import Request, analyze_csv, write
    from analysis.show import show

    if given["loss"] is None:
        raise UserError("--loss is missing: which column of the table has the losses?")
    if given["out"] is not None:
        ready_folder(given["out"])
    roles = {"loss": "loss", "N": "n", "D": "d", "C": "c", "U": "unique"}
    request = Request(
        csv=given["csv"],
        columns={role: given[name] for role, name in roles.items() if given[name] is not None},
        x=given["x"],
        form=given["form"],
        approach=given["approach"],
        group=given["group"],
        exclude=given["exclude"],
        options=options,
    )
    answer: dict[str, Any] = analyze_csv(request)
    path = None if given["out"] is None else write(answer, given["out"])
    if given["as_json"]:
        click.echo(json.dumps(answer, indent=1, allow_nan=False))
        return
    click.echo(show(answer))
    if path is not None:
        click.echo(f"\nwritten to {path}")


def _analyze_store(given: dict[str, Any], options: FitOptions) -> None:
    from analysis.reporting import analyze_store
    from analysis.show import show_store
    from analysis.study import Request

    selection = _selection(given)
    answer = analyze_store(
        Request(
            selection,
            given["out"] or _folder("analysis", selection, ()),
            unit=given["unit"],
            design=given["design"],
            exclude=given["exclude"],
            options=options,
            log=given["log"],
            command=_command(),
        ),
        _say,
    )
    if given["as_json"]:
        click.echo(json.dumps(answer, indent=1, allow_nan=False))
        return
    click.echo(show_store(answer))
    _where(answer)


@click.command(short_help="Hold groups of runs against each other.")
@click.argument("runs", nargs=-1)
@_selecting
@click.option("--group-by", "group_by", multiple=True, metavar="FIELD",
              help="Field whose values are the groups, as model.attention.kind; may be"
              " repeated.")  # fmt: skip
@click.option("--reference", help="Group that the others are held against [that of the first run"
              " named, else the one with the most runs].")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder of the report [reports/comparison-...].")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what comparison.json holds.")
def compare(runs: tuple[str, ...], **given: Any) -> None:
    """Compare RUNS (names, ids or groups), or groups of an experiment's runs.

    \b
    tinyscale compare baseline gqa mqa
    tinyscale compare --sweep attention --group-by model.attention.kind
    """
    from analysis.compare import Request
    from analysis.reporting import compare_store

    selection = _selection(given, tuple(filter(None, (text.strip(",") for text in runs))))
    fields = tuple(field for text in given["group_by"] for field in text.split(","))
    answer = compare_store(
        Request(
            selection,
            given["out"] or _folder("comparison", selection, fields),
            group_by=fields,
            reference=given["reference"],
            unit=given["unit"],
            log=given["log"],
            command=_command(),
        ),
        _say,
    )
    if given["as_json"]:
        click.echo(json.dumps(answer, indent=1, allow_nan=False, default=float))
        return
    for row in sorted(answer["groups"], key=lambda one: one["loss"]):
        noise = "" if row["loss_sd"] is None else f" ± {row['loss_sd']:.4f}"
        click.echo(f"{row['loss']:.4f}{noise}  {row['group']}  ({row['runs']} runs)")
    click.echo()
    for sentence in dict.fromkeys(
        [*answer["in_short"], *[test["sentence"] for test in answer["tests"]]]
    ):
        click.echo(sentence)
    _where(answer)


@click.command(short_help="Judge a trained model on any split or text.")
@click.argument("model", metavar="RUN")
@click.option("--split", default="validation", show_default=True,
              type=click.Choice(("train", "validation", "test", "all")),
              help="Of the model's own data.")  # fmt: skip
@click.option("--files", help="A glob of other texts, in place of a split.")
@click.option("--text-field", help="Where the text of --files is; else as in training.")
@click.option("--separator", help="What divides the documents of a .txt; else as in training.")
@click.option("--max-samples", default=1000, show_default=True, type=click.IntRange(0),
              help="Documents at most of each split; 0: all.")  # fmt: skip
@click.option("--tokens", type=click.IntRange(1), help="Predicted tokens at most.")
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(1),
              help="Windows of the context's length at a time.")  # fmt: skip
@click.option("--checkpoints", "--checkpoint", default="best", show_default=True,
              help="best, last, a saved step, several with commas, or all.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path),
              help="Write a JSON file, and evaluation_results.csv beside it.")  # fmt: skip
@click.option("--runs", default="runs", show_default=True, help="Where the run folders are.")
@click.option("--log/--no-log", "log", default=True, show_default=True,
              help="Put the results into the store too, with the run.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what the JSON file holds.")
def evaluate(model: str, **given: Any) -> None:
    """Loss, perplexity, next-token accuracy and bits per byte of RUN.

    RUN is a run's id, name or folder, or an exported folder.

    \b
    tinyscale evaluate gqa-1a2b3c4d --split test
    tinyscale evaluate gqa-1a2b3c4d --split all --checkpoints all --output results.json
    tinyscale evaluate my-model --files "texts/*.txt"
    """
    if given["files"] is not None:
        refuse(("split", "max_samples"), "is of the model's own data: leave it out with --files")
    else:
        refuse(("text_field", "separator"), "says how other texts are read: give them by --files")
    separator = None if given["separator"] is None else _text_of(given["separator"])
    from analysis.evaluate import (
        SPLITS,
        Asked,
        as_data,
        check_output,
        evaluate_model,
        log_results,
        write_results,
    )
    from scaling.config.data import SPELT_OUT, spells_out

    asked = Asked(
        splits=SPLITS if given["split"] == "all" else (given["split"],),
        files=given["files"],
        text_field=given["text_field"],
        separator=separator,
        checkpoints=given["checkpoints"],
        samples=given["max_samples"] or None,
        tokens=given["tokens"],
        batch_size=given["batch_size"],
    )
    if given["output"] is not None:
        check_output(given["output"])
    if separator is not None and spells_out(separator):
        raise UserError(f"--separator {SPELT_OUT}.")
    trained, found = evaluate_model(model, asked, _say, Path(given["runs"]))
    files = [] if given["output"] is None else write_results(found, given["output"])
    if given["log"]:
        log_results(trained, found, _say)
    if given["as_json"]:
        click.echo(json.dumps(as_data(found), indent=1, allow_nan=False))
        return
    head = f"{'checkpoint':<12}{'step':>8}  {'text':<14}{'loss':>9}{'perplexity':>12}"
    click.echo(f"{head}{'accuracy':>10}{'bits/byte':>11}")
    for one in found:
        perplexity = "-" if one.perplexity is None else f"{one.perplexity:.3f}"
        bpb = "-" if one.bpb is None else f"{one.bpb:.4f}"
        click.echo(
            f"{one.checkpoint:<12}{one.step:>8,}  {one.split[:14]:<14}{one.loss:>9.4f}"
            f"{perplexity:>12}{one.accuracy:>10.2%}{bpb:>11}"
        )
    if files:
        click.echo(f"written to {' and '.join(map(str, files))}")


def _selection(given: dict[str, Any], runs: tuple[str, ...] = ()) -> Selection:
    from analysis.runs import Selection

    roles = {"loss": "loss", "N": "n", "D": "d", "C": "c"}
    return Selection(
        store=given["store"],
        experiment=given["experiment"],
        sweep=given["sweep"],
        filter=given["condition"],
        runs=runs,
        columns={role: given[name] for role, name in roles.items() if given.get(name)},
    )


def _text_of(word: str) -> str:
    """A text as a field's flag is read, with both kinds of quotes; what is no text as it is."""
    value = parse_value(word)
    return value if isinstance(value, str) else word


def _folder(kind: str, selection: Selection, fields: tuple[str, ...]) -> Path:
    """reports/<kind>-<what was selected>-by-<fields>, in letters that any file system takes.

    Where that leaves something out a short hash of all of it follows.
    """
    whole = (selection.sweep, selection.experiment, selection.filter, *selection.runs)
    given = [one for one in whole if one]
    name = selection.sweep or selection.experiment or "-".join(selection.runs[:3]) or "runs"
    name += f"-by-{'-'.join(fields)}" if fields else ""
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in name)
    told = given[:1] if selection.sweep or selection.experiment else list(selection.runs[:3])
    if given != told or len(plain) > 60:
        digest = hashlib.sha256(repr((whole, fields)).encode()).hexdigest()[:6]
        plain = f"{plain[:60]}-{digest}"
    return Path("reports") / f"{kind}-{plain}"


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _where(answer: dict[str, Any]) -> None:
    click.echo(f"\nreport      {answer['report']}")
    if answer.get("mlflow_run_id"):
        click.echo(f"MLflow run  {answer['mlflow_run_id']} in {answer['store']}")


def _command() -> str:
    from scaling.tracking.address import without_password

    return shlex.join(["tinyscale", *map(without_password, sys.argv[1:])])


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
        if role.strip() in places:
            raise UserError(f"--at names {role.strip()} twice: ask for one place at a time")
        places[role.strip()] = number
    return places
