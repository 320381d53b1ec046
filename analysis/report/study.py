"""The report of an analysis: what was run, which laws it speaks for, and how firmly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from analysis.design import CONVENTIONS, level, named, numeric
from analysis.figures.isoflop import basins_figure, valleys_figure
from analysis.figures.joint import (
    Estimate,
    contours_figure,
    forest,
    residuals_figure,
    slices_figure,
)
from analysis.figures.law import conventions_figure, law_figure
from analysis.fits.result import said_place
from analysis.floor import OF_THE_FLOOR
from analysis.laws import LEVELS
from analysis.question import Law, Question
from analysis.rates import basins
from analysis.report.document import (
    Block,
    Bullets,
    Card,
    Code,
    Document,
    Picture,
    Section,
    Table,
    Text,
    between,
    figure,
)
from analysis.report.runs import apart_table, groups_table
from analysis.report.writing import prepare
from analysis.study import Request, Study

_FORMULAS = {
    "power_law": "L = E + A x^-α",
    "power_law_no_offset": "L = A x^-α",
    "log_power": "L = A (ln x)^-α",
    "chinchilla": "L = E + A N^-α + B D^-β",
    "kaplan": "L = ((N_c/N)^(α_N/α_D) + D_c/D)^α_D",
    "data_constrained": "L = E + A N'^-α + B D'^-β, repeated tokens counting for less",
    "isoflop": "N* ∝ C^a, D* ∝ C^b",
}

FIRST = frozenset({"joint", "isoflop", "N", "D"})
"""Axes whose laws a hurried reader is told of; where there are none, all are."""

_GREEK = {"alpha": "α", "beta": "β", "alpha_N": "α_N", "alpha_D": "α_D"}


def document(found: Study, request: Request) -> Document:
    """The report; its figures are drawn into the folder on the way."""
    folder = prepare(request.out)
    sections = [Section("In short", _short(found)), Section("What was run", _what(found))]
    for name, _ in found.series:
        mine = [one for one in found.questions if one.series == name]
        sections += [_law_section(one, found, folder) for one in _shown(mine)]
        sections += _sizes_sections(mine, found, folder, name)
    sections += _floor_section(found, folder)
    sections += _rates_section(found, folder)
    if len(found.apart):
        sections.append(Section("Runs apart", [apart_table(found.apart)]))
    sections.append(Section("All configurations", [groups_table(found.runs, found.unit)]))
    sections.append(Section("To make this again", _again(found, request)))
    about = f"{found.table.selection.describe()}, from {found.table.store}"
    return Document(f"Scaling of {found.table.experiment}", about, sections)


def _short(found: Study) -> list[Block]:
    """What a hurried reader should know."""
    lines = []
    first = [one for one in found.questions if one.axis in FIRST and one.size == "N"]
    for question in first or found.questions:
        law = question.headline
        if law is None:
            lines.append(f"{question.title}: no law; {question.laws[0].fit.message}.")
        else:
            formula = _FORMULAS[law.fit.form]
            lines.append(f"{question.title}: {formula} with {parameters(law)}. {law.claim}")
    joint: dict[str, str] = {}
    for held in found.held:
        if held.joint:
            said = f"{held.series}: {held.sentence}" if held.series else held.sentence
            joint.setdefault(held.series, said)
    lines += joint.values()
    if found.floor is not None and not joint:
        lines.append(
            f"The validation text's entropy floor is {found.floor:.4g} {found.unit.name}; no joint"
            " law gave an E to hold against it."
        )
    if not found.questions:
        lines.append(
            f"Nowhere does a dimension take {LEVELS} values or more while all else is equal, so"
            " no law can be asked after."
        )
    best = found.runs.sort_values("loss").iloc[0]
    what, unit = "final loss", f" {found.unit.name}"
    if found.unit.is_own:
        what, unit = found.unit.metric, ""
    lines.append(f"The lowest {what} is {best['loss']:.4f}{unit}, of {best['name']}.")
    return [Bullets(lines)]


def _what(found: Study) -> list[Block]:
    runs = found.runs
    seeds = runs.groupby("group")["seed"].nunique()
    least, most = int(seeds.min()), int(seeds.max())
    each = f"{least}" if least == most else f"{least} to {most}"
    counts = [
        f"{len(runs)} finished runs of {runs['group'].nunique()} configurations,"
        f" {each} seed{'s' * (most > 1)} each.",
        f"What varies: {found.design.describe()}.",
        found.unit.losses,
        *(f"{note}." for note in found.notes),
    ]
    if len(found.apart):
        said = ", ".join(f"{n} {why}" for why, n in found.apart["why"].value_counts().items())
        counts.append(f"Not counted, and listed below: {said}.")
    if "validation_bytes" in runs and runs["validation_bytes"].nunique() > 1:
        counts.append("The validation texts differ in length between runs: compare with care.")
    if "precision" in runs and len(precisions := runs["precision"].value_counts()) > 1:
        said = " and ".join(f"{n} in {precision}" for precision, n in precisions.items())
        counts.append(f"The runs are of several precisions, {said}: compare with care.")
    for name, part in found.series:
        if part["group"].nunique() < LEVELS:
            few = part["group"].nunique()
            counts.append(f"{name or 'The runs'}: {few} configurations only, no law of them.")
    for column in found.design.dimensions:
        values = runs[column].nunique()
        if values < LEVELS:
            counts.append(f"{named(column)} takes {values} values: no law of it.")
    columns = (*CONVENTIONS, "width", "depth", "D", "unique_tokens", "epochs", "C", "lr", "loss")
    rows = [
        [named(c), figure(runs[c].min()), figure(runs[c].max()), figure(runs[c].nunique())]
        for c in columns
        if c in runs and pd.to_numeric(runs[c], errors="coerce").notna().all()
    ]
    return [Bullets(counts), Table(["", "from", "to", "values"], rows)]


def _shown(mine: list[Question]) -> Iterator[Question]:
    """Questions with a section of their own: joint first; other conventions share one."""
    order = {"joint": 0, "isoflop": 1, "N": 2, "D": 3}
    for question in sorted(mine, key=lambda one: order.get(one.axis, 4)):
        if question.size == "N" or question.axis not in {"joint", "isoflop", *CONVENTIONS}:
            yield question


def _law_section(question: Question, found: Study, folder: Path) -> Section:
    law = question.headline
    blocks: list[Block] = []
    if question.note:
        blocks.append(Text(f"{len(question.runs)} runs: {question.note}."))
    drawn = next((one for one in question.laws if _is_surface(one)), None)
    if question.axis == "isoflop":
        blocks.append(Picture(valleys_figure(question, found.unit, folder)))
    elif question.axis != "joint":
        saved = law_figure(question, found.unit, found.floor, found.options, folder)
        blocks.append(Picture(saved))
    elif drawn is not None:
        blocks += [
            Picture(slices_figure(question, drawn, found.unit, found.floor, folder)),
            Picture(contours_figure(question, drawn, found.unit, folder)),
            Picture(residuals_figure(question, drawn, folder)),
        ]
    blocks.append(_laws_table(question))
    blocks += [
        Text(f"{one.name}: {one.fit.message}.") for one in question.laws if not one.fit.converged
    ]
    notes = {note for one in question.laws for note in one.fit.notes}
    blocks += [Bullets(sorted(notes))] if notes else []
    shown = law or question.laws[0]
    blocks.append(Card(shown.name, shown.findings, shown.claim))
    return Section(question.title, blocks)


def _is_surface(law: Law) -> bool:
    """Whether a law of N and D can be drawn."""
    return law.fit.converged and law.form is not None and law.form.axes == ("N", "D")


def _laws_table(question: Question) -> Table:
    rivals = {(one.form, one.approach): one for one in question.rivals}
    rows = []
    for law in question.laws:
        fit = law.fit
        rival = rivals.get((fit.form, fit.approach))
        error = fit.held_out.get("mean_error")
        rows.append(
            [
                f"{_FORMULAS[fit.form]} ({fit.approach.replace('_', ' ')})",
                fit.status.replace("_", " "),
                parameters(law),
                figure(fit.quality.get("r_squared")),
                "–" if rival is None or rival.delta_aic is None else f"{rival.delta_aic:.1f}",
                "–" if error is None else f"{error:+.2%}",
            ]
        )
    fits = [law.fit for law in question.laws]
    caption = f"Laws of {fits[0].n_points} runs"
    if any(ends for one in fits for ends in one.ci.values()):
        caption += f"; brackets hold {fits[0].settings.get('level', 0.95):.0%} intervals"
    head = ["law", "status", "parameters", "R²", "ΔAIC", "held-out error"]
    predicted = [law.fit.asked("predicted_loss") for law in question.laws]
    if any(predicted):
        head.append("predicted loss")
        for row, one in zip(rows, predicted, strict=True):
            row.append(
                "–"
                if one is None
                else f"{between(one.value, one.ci)} at {said_place(one.at, one.outside)}"
            )
    return Table(head, rows, f"{caption}.", left=3)


def parameters(law: Law) -> str:
    """A law's numbers with their intervals, in a line; a dash where it has none."""
    found = [
        f"{_GREEK.get(name, name)} = {between(value, law.fit.ci[name])}"
        for name, value in law.fit.params.items()
        if value is not None
    ]
    return ", ".join(found) or "–"


def _sizes_sections(
    mine: list[Question], found: Study, folder: Path, series: str
) -> list[Section]:
    """The laws of size in each convention side by side, and the exponents of the best split."""
    blocks: list[Block] = []
    counted = [one for one in mine if one.axis in CONVENTIONS]
    if len(counted) > 1:
        key = counted[0].key if series else ""
        blocks.append(Picture(conventions_figure(counted, found.unit, folder, key)))
    rows, estimates = [], []
    asked = [one for one in mine if one.axis in {"joint", "isoflop"}]
    exact = any(one.points.exact_flops for one in asked)  # of every run, or 6ND of every run
    cost = "C is the exact training FLOPs" if exact else "C is 6ND"
    for question in asked:
        for law in question.laws:
            fit = law.fit
            # Where C is exact those in 6ND are other exponents, and not those of isoFLOP optima.
            a, b = (fit.derived.get(f"{n}_exact" if exact else n) for n in ("a", "b"))
            if question.axis == "isoflop" and fit.converged:
                pair = [(fit.params[n], fit.ci[n]) for n in ("a", "b")]
            elif a is not None and b is not None:
                pair = [(a.value, a.ci), (b.value, b.ci)]
            else:
                continue
            said = ["–", "–"]
            if (ratio := fit.derived.get("tokens_per_parameter")) is not None:
                said = [between(ratio.value, ratio.ci), said_place(ratio.at, ratio.outside)]
            exponents = [between(*one) for one in pair]
            rows.append([law.name, named(question.size), *exponents, *said])
            if pair[0][0] is not None:
                label = f"{law.name}, {question.size.replace('_', ' ')}"
                estimates.append(Estimate(label, pair[0][0], pair[0][1]))
    if rows:
        head = ["approach", "counting", "a (N* ∝ C^a)", "b (D* ∝ C^b)", "tokens per parameter"]
        caption = f"How compute is best split, by each approach; {cost}."
        blocks.append(Table([*head, "at"], rows, caption, left=2))
    if len(estimates) > 1:
        name = f"exponents-{asked[0].key}" if series else "exponents"
        caption = f"The same exponent by every approach and way of counting; {cost}."
        axis = "exponent a of the best size in compute"
        saved = forest(estimates, axis, folder, name, caption)
        blocks.append(Picture(saved))
    title = "Ways of counting and of fitting" + (f" ({series})" if series else "")
    return [Section(title, blocks)] if blocks else []


def _floor_section(found: Study, folder: Path) -> list[Section]:
    if found.floor is None:
        return []
    title = "Fitted E against the known entropy"
    if not found.held:
        said = (
            f"The validation text's entropy floor is {found.floor:.4g} {found.unit.name}."
            f" {_why_none(found)}, so nothing can be held against it."
        )
        return [Section(title, [Text(said)])]
    rows = [
        Estimate(one.law.removeprefix("Loss against "), one.value, one.ci) for one in found.held
    ]
    saved = forest(
        rows, f"E ({found.unit.name})", folder, "floor",
        "Each law's fitted E with its interval; dashed, the entropy of the validation text.",
        (found.floor, f"entropy {found.floor:.4g}"),
    )  # fmt: skip
    lines = [f"{one.law}: {one.sentence}" for one in found.held]
    return [Section(title, [Picture(saved), Bullets(lines)])]


def _why_none(found: Study) -> str:
    """Why there is no fitted E to hold against the entropy."""
    axes = {question.axis for question in found.questions}
    if not axes:
        return "No law was fitted"
    if not axes & OF_THE_FLOOR:
        said = " and ".join(sorted(map(named, axes)))
        return f"What was fitted are laws of {said}, whose E is not the entropy"
    return "No law with an E converged, for the reasons that the tables above give of each"


def _rates_section(found: Study, folder: Path) -> list[Section]:
    """Of each series the sizes where enough rates were tried, at the largest such budget."""
    blocks: list[Block] = []
    for k, (name, part) in enumerate(found.series):
        if not (numeric(part, "lr") and numeric(part, "N")):
            continue
        points = [point for point, rates in basins(part) if len(rates) >= LEVELS]
        if not points:
            continue
        top = pd.concat(points)
        if numeric(top, "D"):
            tokens = level(top, "D")
            top = top[tokens == tokens.groupby(top["N"]).transform("max")]
        key = f"basins-{k}" if name else "basins"
        sizes, shown = part["N"].nunique(), top["N"].nunique()
        said = (
            f"Sizes shown: {shown} of {sizes}, each at the largest token count that has {LEVELS}"
            f" learning rates or more{'' if shown == sizes else '; the others have none'}."
        )
        blocks += [
            Text(f"{name}: {said}" if name else said),
            Picture(basins_figure(top, found.unit, folder, key)),
        ]
    return [Section("Learning rates", blocks)] if blocks else []


def _again(found: Study, request: Request) -> list[Block]:
    options = found.options
    how = (
        f"Huber's threshold {options.delta:g}, {options.starts} starts at most,"
        f" {options.bootstrap} resamples of runs with seed {options.seed},"
        f" {options.holdout:.0%} of the runs held out."
    )
    return [
        Text(
            "All of this is made from the store alone; fits.json and figures/*.csv hold the data."
        ),
        Code(request.command or "tinyscale analyze"),
        Text(how),
    ]
