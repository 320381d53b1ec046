"""The loss against one dimension: runs, laws with a band, floor, and the residuals below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.band import band, line
from analysis.design import CONVENTIONS, amount, level, named, numeric
from analysis.figures.style import (
    COLOURS,
    FLOOR,
    QUIET,
    Saved,
    legend,
    log_x,
    log_y,
    panels,
    save,
    shades,
    title,
)
from analysis.fits import FitOptions
from analysis.question import Law, Question
from analysis.units import Unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", ":")
_MOST = 12  # lines of other slices, whose shades are told apart
_FORMULAS = {
    "power_law": "E + A x^-α",
    "power_law_no_offset": "A x^-α",
    "log_power": "A (ln x)^-α",
}


def law_figure(
    question: Question, unit: Unit, floor: float | None, options: FitOptions, folder: Path
) -> Saved:
    """A question of one dimension: scatter, laws and residuals."""
    axis, shown = question.axis, question.headline
    figure, (top, below) = panels(2, height=5.9, ratios=(3, 1.1), share_x=True)
    x = question.runs[axis].to_numpy(dtype=float)
    around = _context(top, question)
    top.plot(x, question.runs["loss"], "o", color=COLOURS[0], markersize=5, label="runs fitted")
    reach = np.geomspace(x.min() / 1.15, x.max() * 1.6, 120)
    table = pd.DataFrame({axis: reach})
    heights = [*around["loss"], *question.runs["loss"]]
    how = "no law converged"
    for style, law in zip(_STYLES, _drawn(question), strict=False):
        if law.form is None:
            continue
        label = _FORMULAS.get(law.fit.form, law.fit.form)
        if law is shown:
            over = band(law.form, law.fit, question.points, {axis: reach}, options)
            how = over.lacks or "the band is the fit's own interval"
            table = table.assign(fitted=over.middle)
            if not over.lacks:
                label = f"{label}, {options.level:.0%} band"
                table = table.assign(low=over.low, high=over.high)
                top.fill_between(
                    reach, over.low, over.high, color=COLOURS[1], alpha=0.18, linewidth=0
                )
            top.plot(reach, over.middle, color=COLOURS[1], label=label)
        else:
            over_x = line(law.form, law.fit, {axis: reach})
            top.plot(reach, over_x, style, color="0.35", linewidth=1.1, label=label)
            table[law.fit.form] = over_x
    if floor is not None:
        heights.append(floor)
        top.axhline(floor, color=FLOOR, linestyle=(0, (6, 3)), label=f"entropy floor {floor:.4g}")
    top.set_ylabel(unit.label)
    top.set_ylim(min(heights) / 1.06, max(heights) * 1.06)
    log_y(top, [min(heights), max(heights)])
    # Above the panel: runs, other slices and the floor leave no corner of it free.
    longest = max(map(len, top.get_legend_handles_labels()[1]))
    columns = 3 if longest <= 26 else 2 if longest <= 40 else 1  # that fit side by side
    legend(top, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, columnspacing=1.2)
    _residuals(below, question, shown)
    below.set_xlabel(named(axis))
    log_x(below, [reach.min(), reach.max()])
    data = pd.concat([_of_runs(question), table.assign(row="law")], ignore_index=True)
    caption = f"{question.title}, one dot a run; {how}; below, what the law leaves."
    return save(figure, data, folder, f"law-{question.key}", caption)


def conventions_figure(found: Sequence[Question], unit: Unit, folder: Path, key: str) -> Saved:
    """The same runs with parameters counted in each way: the way moves the exponent."""
    figure, axes = panels(1, len(found), width=3.1 * len(found), height=3.3)
    rows = []
    for panel, question in zip(axes, found, strict=True):
        x = question.runs[question.axis].to_numpy(dtype=float)
        panel.plot(x, question.runs["loss"], "o", color=COLOURS[0], markersize=4)
        rows.append(_of_runs(question).assign(convention=question.axis))
        law = question.headline
        if law is not None and law.form is not None:
            reach = np.geomspace(x.min(), x.max(), 80)
            over = line(law.form, law.fit, {question.axis: reach})
            panel.plot(reach, over, color=COLOURS[1])
            fitted = pd.DataFrame({question.axis: reach, "fitted": over, "row": "law"})
            rows.append(fitted.assign(convention=question.axis))
            alpha = law.fit.values()["alpha"]
            ends = law.fit.ci["alpha"]
            said = f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ""
            panel.text(
                0.97, 0.95, f"α = {alpha:.3f}{said}\n{_FORMULAS[law.fit.form]}",
                transform=panel.transAxes, ha="right", va="top", fontsize=8.5,
            )  # fmt: skip
        title(panel, named(question.axis))
        log_x(panel, x, most=4)
        log_y(panel, question.runs["loss"])
    axes[0].set_ylabel(unit.label)
    caption = "The same runs with parameters counted each way: the count alone moves the exponent."
    name = f"conventions-{key}" if key else "conventions"
    return save(figure, pd.concat(rows), folder, name, caption, wide=len(found) > 2)


def _context(axes: Axes, question: Question) -> pd.DataFrame:
    """The series' other runs, by all that they hold fixed, behind those that are fitted."""
    others = question.around[~question.around["run_id"].isin(question.runs["run_id"])]
    others = others[others[question.axis] > 0]
    if others.empty:
        return others
    by = list(question.held)
    if question.axis == "C" and numeric(others, "N"):
        by.append("N")
    parts = list(others.groupby([level(others, c) for c in by])) if by else []
    if not 0 < len(parts) <= _MOST:
        axes.plot(others[question.axis], others["loss"], ".", color=QUIET, label="other runs")
        return others
    for (_, part), colour in zip(parts, shades(len(parts)), strict=True):
        means = part.groupby(question.axis)["loss"].mean()
        told = len(parts) <= 4 or part is parts[0][1] or part is parts[-1][1]
        said = ", ".join(amount(c, float(part[c].iloc[0])) for c in by)
        axes.plot(
            means.index, means, ".-", color=colour, linewidth=0.7, markersize=5, alpha=0.65,
            label=said if told else None,
        )  # fmt: skip
    return others


def _drawn(question: Question) -> list[Law]:
    """Converged laws, the headline first."""
    good = [law for law in question.laws if law.fit.converged]
    return sorted(good, key=lambda law: law is not question.headline)


def _residuals(axes: Axes, question: Question, shown: Law | None) -> None:
    axes.axhline(0, color="0.3", linewidth=0.9)
    axes.set_ylabel("residual (%)")
    if shown is None:
        return
    left = 100 * np.expm1(np.asarray(shown.fit.residuals))
    axes.plot(question.runs[question.axis], left, "o", color=COLOURS[0], markersize=4)
    spread = 100 * shown.fit.quality["rms_log_residual"]
    axes.axhspan(-spread, spread, color=COLOURS[0], alpha=0.1, linewidth=0)
    reach = 1.25 * max(np.abs(left).max(), spread, 1e-6)
    axes.set_ylim(-reach, reach)


def _of_runs(question: Question) -> pd.DataFrame:
    columns = ["run_id", "name", "seed", *dict.fromkeys([question.axis, *CONVENTIONS, "D", "C"])]
    kept = [c for c in columns if c in question.runs]
    table = question.runs[[*kept, "loss"]].assign(row="run")
    if question.headline is not None:
        table["residual_percent"] = 100 * np.expm1(np.asarray(question.headline.fit.residuals))
    return table
