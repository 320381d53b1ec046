"""The part of a report that tells of adaptations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from analysis.adaptation.answers import answer
from analysis.adaptation.figures import baseline_names, laws_figure, pareto_figure
from analysis.adaptation.laws import Law
from analysis.adaptation.study import AdaptationStudy
from analysis.report.document import (
    Block,
    Bullets,
    Code,
    Document,
    Picture,
    Section,
    Table,
    Text,
    between,
    figure,
)
from analysis.report.writing import prepare

_SHOWN = 60  # rows of the table of points
POOR = 0.9  # R squared below which a converged law is called a trend


def document(found: AdaptationStudy, out: Path, command: str) -> Document:
    """A report of adaptations alone; its figures are drawn into the folder on the way."""
    parts = [*sections(found, prepare(out)), Section("To make this again", [Code(command)])]
    about = f"{found.table.selection.describe()}, from {found.table.store}"
    return Document(f"Adaptation in {found.table.experiment}", about, parts)


def sections(found: AdaptationStudy, folder: Path) -> list[Section]:
    """The sections on adaptation, for a report of their own or at the end of another."""
    names = baseline_names(found.runs["baseline"])
    pictures: list[Block] = [
        Picture(laws_figure(found.runs, found.summary, found.laws, found.options, folder)),
        _laws_table(found.laws, names),
        *_unsettled(found.laws, names),
    ]
    tests: list[Block] = [Text(answer(found.tests))]
    lines = [
        f"{steps} steps: {one.sentence}" for steps, some in found.tests.items() for one in some
    ]
    if lines:
        tests.append(Bullets(lines))
        tests.append(
            Text(
                "Loss is that of the held-out continuations. Methods of one baseline and seed"
                " share their edits and are averaged before the test; all share the same passages,"
                " and what is said holds for these. Equal tokens are those trained on;"
                " what writing and trying candidates took besides is in summary.csv."
            )
        )
    return [
        Section("Adaptation in short", [Bullets(_short(found, names))]),
        Section("Laws of adaptation", pictures),
        Section("Gain against forgetting", [Picture(pareto_figure(found.summary, folder))]),
        Section("Does self-editing beat verbatim at equal tokens?", tests),
        Section("Every point of adaptation", [_points_table(found.summary, names)]),
    ]


def _short(found: AdaptationStudy, names: Mapping[str, str]) -> list[str]:
    runs, table = found.runs, found.summary
    lines = [
        f"{len(runs)} adaptations of {runs['fingerprint'].nunique()} baselines,"
        f" {runs['edit'].nunique()} kinds of edits, {runs['seed'].nunique()} seeds; seeds draw"
        " edits, LoRA's first weights and the order of texts, so that full fine-tuning on a"
        " verbatim passage that fits the context is the same for all of them: one number, without"
        " an interval.",
    ]
    if len(apart := found.table.apart):
        said = "; ".join(f"{n} {why}" for why, n in apart["why"].value_counts().items())
        lines.append(f"{len(apart)} more do not count: {said}.")
    for baseline, own in table.groupby("baseline", sort=False):
        best = own.sort_values("gain").iloc[-1]
        lines.append(
            f"{names[str(baseline)]}: the most is learned by {best['edit']},"
            f" {best['method']} after {best['steps']} steps, {_with_ends(best, 'gain')} nats per"
            f" token of new text, for {_with_ends(best, 'forgetting')} forgotten."
        )
        if own["accuracy"].notna().any():
            row = own.dropna(subset=["accuracy"]).sort_values("accuracy").iloc[-1]
            was = runs.loc[runs["baseline"] == baseline, "accuracy_before"].mean()
            lines.append(
                f"{names[str(baseline)]}: questions answered right go from {was:.0%} to"
                f" {row['accuracy']:.0%} ({row['edit']}, {row['method']}, {row['steps']} steps)."
            )
    lines.append(answer(found.tests))
    return lines


def _with_ends(row: pd.Series, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return between(float(row[name]), None if low != low else (float(low), float(high)))


def _laws_table(found: list[Law], names: Mapping[str, str]) -> Table:
    rows = []
    for law in found:
        turned = {"alpha": "a", "A": "A", "E": "E"}
        if law.outcome == "forgetting":
            turned = {"alpha": "b", "A": "B"}
        said = ", ".join(
            f"{turned[name]} = {between(value, law.fit.ci[name])}"
            for name, value in law.fit.params.items()
            if value is not None
        )
        rows.append(
            [names[law.baseline], law.method, law.formula,
             law.fit.status.replace("_", " "), said or "–",
             figure(law.fit.quality.get("r_squared"))]
        )  # fmt: skip
    head = ["baseline", "method", "law", "status", "parameters", "R²"]
    caption = (
        "Laws in D, the tokens trained on for a passage: L the loss on what is learned, F the"
        " forgetting"
    )
    has_ends = any(ends for law in found for ends in law.fit.ci.values())
    caption += "; brackets hold intervals over seeds." if has_ends else "."
    return Table(head, rows, caption, left=5)


def _unsettled(found: list[Law], names: Mapping[str, str]) -> list[Block]:
    lines = [
        f"{names[law.baseline]}, {law.method}, {law.formula}: {law.fit.message}."
        for law in found
        if not law.fit.converged
    ]
    lines += [
        f"{names[law.baseline]}, {law.method}, {law.formula}: a poor description (R² ="
        f" {figure(law.fit.quality['r_squared'], 2)}); read it as a trend, not as a law."
        for law in found
        if law.fit.converged and law.fit.quality["r_squared"] < POOR
    ]
    lines += [
        f"{names[law.baseline]}, {law.method}: {law.left_out} points without forgetting"
        " are not in its law."
        for law in found
        if law.left_out
    ]
    lines += sorted({f"Laws of adaptation: {note}." for law in found for note in law.fit.notes})
    return [Bullets(lines)] if lines else []


def _points_table(table: pd.DataFrame, names: Mapping[str, str]) -> Table:
    shown = table
    rows = [
        [names[str(row["baseline"])], str(row["method"]), str(row["edit"]),
         figure(row["steps"]), _with_ends(row, "gain"), _with_ends(row, "forgetting"),
         figure(row["accuracy"]), "yes" if row["on_front"] else ""]
        for _, row in shown.head(_SHOWN).iterrows()
    ]  # fmt: skip
    head = ["baseline", "method", "edit", "steps", "gain", "forgetting", "accuracy", "on front"]
    more = f", the first {_SHOWN} of {len(table)}" if len(table) > _SHOWN else ""
    caption = f"Means over seeds with 95% intervals{more}; all of them are in summary.csv."
    return Table(head, rows, caption, left=3)
