"""What ``tinyscale analyze`` does over a store: runs to laws, figures, a report, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.design import Design, design_of, series
from analysis.evidence import Verdict
from analysis.fits import FitOptions
from analysis.fits.exclusion import excluded
from analysis.floor import Held, held
from analysis.laws import LEVELS, Question, questions
from analysis.runs import RunTable, Selection, read_runs
from analysis.units import Unit, choose, floor_of, in_unit
from scaling.errors import UserError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What was asked of a store.

    Attributes:
        selection: which runs.
        out: the folder of the report.
        unit: auto, nats or bpb.
        design: isoflop or grid where the runs' design is stated, not found.
        exclude: rule of runs to leave out.
        options: how to fit.
        log: whether the report goes to the store too.
        command: what to type to make it again.
    """

    selection: Selection
    out: Path
    unit: str = "auto"
    design: str | None = None
    exclude: str | None = None
    options: FitOptions = field(default_factory=FitOptions)
    log: bool = True
    command: str = ""


@dataclass(frozen=True)
class Study:
    """What was found.

    Attributes:
        table: the runs; losses in `unit`.
        runs: the finished ones that were fitted.
        apart: the others, with the reason.
        design: what varies.
        unit: of the losses.
        floor: the corpus's entropy, where it is known.
        series: each variant's runs, by its name.
        questions: the laws asked after, all series.
        held: fitted floors beside the known one.
        options: how it was fitted.
    """

    table: RunTable
    runs: pd.DataFrame
    apart: pd.DataFrame
    design: Design
    unit: Unit
    floor: float | None
    series: list[tuple[str, pd.DataFrame]]
    questions: list[Question]
    held: list[Held]
    options: FitOptions


def study(request: Request, say: Say) -> Study:
    """Reads the runs and fits every law that they can be asked for.

    Raises:
        UserError: the selection, the unit or the rule is wrong.
    """
    table = read_runs(request.selection)
    runs, apart = table.runs, table.apart
    if request.exclude is not None:
        out = excluded(runs, request.exclude, {})
        gone = runs[out].assign(why=f"left out: {request.exclude}")
        runs, apart = runs[~out].reset_index(drop=True), pd.concat([apart, gone])
        if runs.empty:
            raise UserError(f"--exclude {request.exclude!r} leaves no run.")
    unit = choose(runs, request.unit)
    runs = in_unit(runs, unit)
    design = design_of(runs, request.design)
    say(f"{len(runs)} finished runs, {len(apart)} apart; {design.describe()}")
    parts = series(runs, design)
    asked = [
        question
        for name, part in parts
        if part["group"].nunique() >= LEVELS
        for question in questions(name, part, design, request.options, say)
    ]
    floor = floor_of(runs)
    found = [
        one
        for question in sorted(asked, key=lambda one: one.axis != "joint")
        if question.axis in {"joint", "N", "D", "C"}
        for law in question.laws
        if floor is not None and (one := held(question, law, floor)) is not None
    ]
    return Study(table, runs, apart, design, unit, floor, parts, asked, found, request.options)


def analyze_store(request: Request, say: Say) -> dict[str, Any]:
    """The whole: study, figures, report, files and the analysis run; answers what was found.

    Raises:
        UserError: the selection is wrong, or the folder cannot be written.
    """
    from analysis.report.study import document
    from analysis.report.writing import log_report, write_report

    found = study(request, say)
    say("drawing")
    report = document(found, request)
    answer = as_json(found)
    tables = {"runs.csv": plain(found.runs), "runs_apart.csv": plain(found.apart)}
    path = write_report(report, request.out, {"fits.json": answer}, tables)
    answer["report"] = str(path)
    if request.log:
        answer["mlflow_run_id"] = log_report(
            found.table,
            request.out,
            kind="analysis",
            metrics=_metrics(found),
            say=say,
        )
    return answer


def as_json(found: Study) -> dict[str, Any]:
    """What fits.json holds: ``fits`` as with --csv, each with its question and evidence."""
    fits, rivals = [], []
    for question in found.questions:
        of = {
            "question": question.key,
            "series": question.series,
            "axis": question.axis,
            "size": question.size,
            "held_fixed": dict(question.held),
            "unit": found.unit.name,
        }
        for law in question.laws:
            one = replace(law.fit, rows=[])  # rows of a slice mean nothing outside it
            card = [asdict(finding) for finding in law.findings]
            runs = {"runs": list(question.runs["run_id"])}
            fits.append(one.to_json() | of | runs | {"evidence": card, "may_claim": law.claim})
        rivals += [asdict(rival) | {"question": question.key} for rival in question.rivals]
    return {
        "store": found.table.uri,
        "selection": found.table.selection.describe(),
        "unit": found.unit.name,
        "design": asdict(found.design),
        "floor": found.floor,
        "floor_held": [asdict(one) for one in found.held],
        "runs": len(found.runs),
        "runs_apart": found.apart["why"].value_counts().to_dict() if len(found.apart) else {},
        "fits": _finite(fits),
        "comparison": _finite(rivals),
    }


def plain(runs: pd.DataFrame) -> pd.DataFrame:
    """The table as a file: what is said of no run is left out."""
    internal = ["experiment_id", "kind", "pruned", "experiment"]
    return runs.drop(columns=[c for c in internal if c in runs]).dropna(axis=1, how="all")


def _metrics(found: Study) -> dict[str, float]:
    """Few figures for the run's page: how many runs, and the first law that converged."""
    metrics: dict[str, float] = {"runs": len(found.runs), "runs_apart": len(found.apart)}
    for question in found.questions:
        law = question.headline
        if law is not None:
            metrics |= {f"law/{name}": value for name, value in law.fit.values().items()}
            passed = [one for one in law.findings if one.verdict is Verdict.PASS]
            metrics["law/evidence_met"] = len(passed) / len(law.findings)
            break
    return metrics


def _finite(value: Any) -> Any:
    """Plain data with null for what is not finite."""
    text = json.dumps(value, default=float)
    return json.loads(text, parse_constant=lambda _: None)
