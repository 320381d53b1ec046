"""Puts a report on disk and into the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.report.document import Document, Picture
from analysis.report.html import html
from analysis.report.markdown import markdown
from analysis.runs import RunTable
from scaling.errors import UserError, first_line

_MANIFEST = "report_files.json"  # what the report in a folder consists of, among others' files


def prepare(out: Path) -> Path:
    """The figures/ of the report's folder.

    Raises:
        UserError: it cannot be made.
    """
    figures = out / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from None
    return figures


def write_report(
    document: Document,
    out: Path,
    answers: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    texts: Mapping[str, str] | None = None,
) -> Path:
    """Writes report.html, report.md, JSON answers, CSV tables and texts; answers the page's path.

    Of the report that was there before goes what this one has no more, and nothing else.

    Raises:
        UserError: the folder cannot be written to.
    """
    texts = {**(texts or {}), "report.md": markdown(document), "report.html": html(document, out)}
    files = [*answers, *tables, *texts, *_figures(document)]
    try:
        for old in {*_files(out)} - {*files}:
            (out / old).unlink(missing_ok=True)
        (out / _MANIFEST).write_text(json.dumps(files, indent=1) + "\n", encoding="utf-8")
        for name, answer in answers.items():
            text = json.dumps(answer, indent=1, allow_nan=False)
            (out / name).write_text(text + "\n", encoding="utf-8")
        for name, table in tables.items():
            table.to_csv(out / name, index=False)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from None
    return (out / "report.html").resolve()


def _figures(document: Document) -> Iterator[str]:
    """The files of its figures."""
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Picture):
                yield from (f"figures/{block.saved.name}.{end}" for end in ("png", "svg", "csv"))


def _files(out: Path) -> list[str]:
    """What the report that is there consists of; nothing where that is not on record."""
    try:
        found = json.loads((out / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    named = [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
    return [one for one in named if not Path(one).is_absolute() and ".." not in Path(one).parts]


def log_report(
    table: RunTable,
    out: Path,
    *,
    kind: str,
    metrics: Mapping[str, float],
    say: Callable[[str], None],
) -> str | None:
    """Logs the report as artifacts of a run of its own; None, and a word, where that fails."""
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
            files=_files(out),
            params={"selection": selection.describe()[:6000]},
            metrics=metrics,
        )
    except store_errors() as error:
        say(f"the report is not in the store: {first_line(error)[:160]}")
        return None
