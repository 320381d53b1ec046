"""Puts a report on disk and into the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.report.document import Document
from analysis.report.html import html
from analysis.report.markdown import markdown
from analysis.runs import RunTable
from scaling.errors import UserError, first_line


def prepare(out: Path) -> Path:
    """The report's folder and its empty figures/, without what an earlier report left there.

    Raises:
        UserError: it cannot be made.
    """
    figures = out / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
        for ending in ("png", "svg", "csv"):
            for old in figures.glob(f"*.{ending}"):
                old.unlink()
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from None
    return figures


def write_report(
    document: Document,
    out: Path,
    answers: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
) -> Path:
    """Writes report.html, report.md, JSON answers and CSV tables; answers the page's path.

    Raises:
        UserError: the folder cannot be written to.
    """
    try:
        for name, answer in answers.items():
            text = json.dumps(answer, indent=1, allow_nan=False)
            (out / name).write_text(text + "\n", encoding="utf-8")
        for name, table in tables.items():
            table.to_csv(out / name, index=False)
        (out / "report.md").write_text(markdown(document), encoding="utf-8")
        (out / "report.html").write_text(html(document, out), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from None
    return (out / "report.html").resolve()


def log_report(
    table: RunTable,
    out: Path,
    *,
    kind: str,
    metrics: Mapping[str, float],
    say: Callable[[str], None],
) -> str | None:
    """Logs the folder as artifacts of a run of its own; None, and a word, where that fails."""
    from scaling.tracking import reports
    from scaling.tracking.store import store_errors

    selection = table.selection
    page = (out / "report.html").read_bytes()
    try:
        return reports.log_report(
            table.uri,
            experiment=table.experiment,
            name=f"{kind}-{selection.sweep or selection.experiment or table.experiment}",
            kind=kind,
            key=hashlib.sha256(page).hexdigest()[:24],  # the same report is logged once
            folder=out,
            params={"selection": selection.describe()[:6000]},
            metrics=metrics,
        )
    except store_errors() as error:
        say(f"the report is not in the store: {first_line(error)[:160]}")
        return None
