"""What `tinyscale analyze` and `compare` do over a store: find, draw, write, and log it there."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

import analysis.compare
import analysis.study
from analysis.adaptation import report as adaptation_report
from analysis.adaptation.study import study_adaptations
from analysis.adaptation.table import adaptations
from analysis.compare import Comparison, compare_runs
from analysis.evidence import Verdict
from analysis.fits.table import OPTIONS
from analysis.report import compare as compare_report
from analysis.report import study as study_report
from analysis.report.markdown import table as as_markdown
from analysis.report.writing import log_report, write_report
from analysis.runs import NoRunsError, RunTable
from analysis.study import Say, Study, study
from scaling.errors import UserError
from scaling.outputs import ready_folder


def analyze_store(request: analysis.study.Request, say: Say) -> dict[str, Any]:
    """Laws of the runs: study, figures, report, files and the analysis run; what was found.

    Raises:
        UserError: the selection or an option is wrong, or the folder cannot be written.
    """
    table = adaptations(request.selection)
    if table is not None and request.selection.sweep is not None:
        return _adaptations(table, request, say)
    try:
        found = study(request, say)
    except NoRunsError:
        if table is None:
            raise
        return _adaptations(table, request, say)  # of exports, or of runs of another store
    adapted = None if table is None else study_adaptations(table, request.options, say)
    if adapted is not None and request.exclude is not None:
        say("--exclude is of the trainings: the adaptations beside them all count")
    say("drawing")
    report = study_report.document(found, request)
    answer = _laws(found)
    tables = {"runs.csv": _plain(found.runs), "runs_apart.csv": _plain(found.apart)}
    if adapted is not None:
        *most, last = report.sections
        own = adaptation_report.sections(adapted, request.out / "figures")
        report = replace(report, sections=[*most, *own, last])
        answer["adaptation"] = _finite(adapted.as_data())
        tables |= {"adaptations.csv": adapted.runs, "summary.csv": adapted.summary}
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


def _adaptations(table: RunTable, request: analysis.study.Request, say: Say) -> dict[str, Any]:
    """The same of adaptations alone."""
    _refuse_what_is_of_trainings(request)
    ready_folder(request.out)
    found = study_adaptations(table, request.options, say, request.exclude)
    say("drawing")
    report = adaptation_report.document(found, request.out, request.command or "tinyscale analyze")
    answer = {
        "store": found.table.store,
        "selection": found.table.selection.describe(),
        "adaptation": _finite(found.as_data()),
    }
    tables = {"adaptations.csv": found.runs, "summary.csv": found.summary}
    path = write_report(report, request.out, {"fits.json": answer}, tables)
    answer["report"] = str(path)
    if request.log:
        metrics = {"adaptations": float(len(found.runs))}
        answer["mlflow_run_id"] = log_report(
            found.table, request.out, kind="analysis", metrics=metrics, say=say
        )
    return answer


def _refuse_what_is_of_trainings(request: analysis.study.Request) -> None:
    """An option that adaptations alone have no use for is a mistake."""
    given = [OPTIONS[role] for role in request.selection.columns if role != "N"]
    given += ["--unit"] if request.unit != "auto" else []
    given += ["--design"] if request.design is not None else []
    given += ["--at"] if request.options.at else []
    if given:
        what = request.selection.describe()
        raise UserError(f"{given[0]} is for trainings, and {what} has adaptations alone.")


def compare_store(request: analysis.compare.Request, say: Say) -> dict[str, Any]:
    """Groups of runs: comparison, figures, report, files and the analysis run; what was found.

    Raises:
        UserError: the selection is wrong, or the folder cannot be written.
    """
    found = compare_runs(request, say)
    say("drawing")
    report = compare_report.document(found, request)
    answer = _groups(found)
    tables = {
        "summary_table.csv": found.summary,
        "configurations.csv": found.configurations,
        "runs.csv": _plain(found.runs),
        "runs_apart.csv": _plain(found.table.apart),
    }
    texts = {"summary_table.md": as_markdown(compare_report.summary_table(found)) + "\n"}
    path = write_report(report, request.out, {"comparison.json": answer}, tables, texts)
    answer["report"] = str(path)
    if request.log:
        answer["mlflow_run_id"] = log_report(
            found.table,
            request.out,
            kind="comparison",
            metrics={"runs": len(found.runs), "groups": len(found.groups)},
            say=say,
        )
    return answer


def _laws(found: Study) -> dict[str, Any]:
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
        "store": found.table.store,
        "selection": found.table.selection.describe(),
        "unit": found.unit.name,
        "design": asdict(found.design),
        "notes": found.notes,
        "floor": found.floor,
        "floor_held": [asdict(one) for one in found.held],
        "runs": len(found.runs),
        "runs_apart": found.apart["why"].value_counts().to_dict() if len(found.apart) else {},
        "fits": _finite(fits),
        "comparison": _finite(rivals),
    }


def _groups(found: Comparison) -> dict[str, Any]:
    """What comparison.json holds."""
    return {
        "store": found.table.store,
        "selection": found.table.selection.describe(),
        "unit": found.unit.name,
        "group_by": list(found.fields),
        "reference": found.reference,
        "matched_by": found.matched,
        "groups": [
            {str(key): None if value != value else value for key, value in row.items()}
            for row in found.summary.to_dict("records")
        ],
        "tests": [asdict(one) for one in found.tests],
        "in_short": compare_report.in_short(found),
        "equal_cost": [asdict(one) for one in found.equals],
    }


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


def _plain(runs: pd.DataFrame) -> pd.DataFrame:
    """The table as a file: what is said of no run is left out."""
    internal = ["experiment_id", "kind", "pruned", "experiment", "above", "asked", "asked_for"]
    return runs.drop(columns=[c for c in internal if c in runs]).dropna(axis=1, how="all")


def _finite(value: Any) -> Any:
    """Plain data with null for what is not finite."""
    text = json.dumps(value, default=float)
    return json.loads(text, parse_constant=lambda _: None)
