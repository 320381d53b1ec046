"""The loss against parameters and tokens together: slices, contours, residuals, exponents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.band import line
from analysis.design import IN_BUDGETS, in_budgets, level, named, numeric
from analysis.figures.style import (
    COLOURS,
    FLOOR,
    Saved,
    legend,
    log_x,
    log_y,
    panels,
    powers,
    save,
    shades,
    short,
    title,
)
from analysis.fits.isoflop import group_budgets
from analysis.fits.model import Array
from analysis.question import Law, Question
from analysis.units import Unit

_LINES = 10  # at most, whose colours are told apart


@dataclass(frozen=True)
class Estimate:
    """A number with an interval, as a row of `forest`."""

    label: str
    value: float
    ci: tuple[float, float] | None


@dataclass(frozen=True)
class _Strand:
    """Runs that one line of the law goes through, and the line's places."""

    label: str
    runs: pd.DataFrame
    n: Array
    d: Array


def slices_figure(
    question: Question, law: Law, unit: Unit, floor: float | None, folder: Path
) -> Saved:
    """The joint law over the runs: loss against size, a line a token count or compute budget.

    Where runs share neither, loss against predicted loss.
    """
    runs, size = question.runs, question.size
    strands, of = _strands(runs, size)
    dots = runs[["run_id", "name", "seed", size, "D", "C", "loss"]].assign(
        fitted=_predict(law, runs[size].to_numpy(dtype=float), runs["D"].to_numpy(dtype=float)),
        row="run",
    )
    figure, (axes,) = panels(height=4.4)
    heights, tables = list(runs["loss"]), [dots]
    if strands:
        for one, colour in zip(strands, shades(len(strands)), strict=True):
            over = _predict(law, one.n, one.d)
            axes.plot(one.runs[size], one.runs["loss"], "o", color=colour, markersize=4.5)
            axes.plot(one.n, over, color=colour, linewidth=1.2, label=one.label)
            tables.append(pd.DataFrame({size: one.n, "D": one.d, "fitted": over, "row": "law"}))
        axes.set_xlabel(named(size))
        log_x(axes, np.concatenate([one.n for one in strands]))
        caption = f"Runs and the joint law ({law.name}), a colour and a line a {of}."
    else:
        ends = [dots["fitted"].min(), dots["fitted"].max()]
        axes.plot(dots["fitted"], dots["loss"], "o", color=COLOURS[0], markersize=4.5)
        axes.plot(ends, ends, color=COLOURS[1], linewidth=1.2, label="as predicted")
        axes.set_xlabel("predicted loss")
        log_x(axes, dots["fitted"])
        caption = f"Losses against those that the joint law ({law.name}) gives the same runs."
    if floor is not None:
        heights.append(floor)
        axes.axhline(floor, color=FLOOR, linestyle=(0, (6, 3)), label=f"entropy floor {floor:.4g}")
    axes.set(ylabel=unit.label, ylim=(min(heights) / 1.05, max(heights) * 1.05))
    log_y(axes, heights)
    legend(axes, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, columnspacing=1.2)
    data = pd.concat(tables, ignore_index=True)
    return save(figure, data, folder, f"joint-{question.key}", caption)


def _strands(runs: pd.DataFrame, size: str) -> tuple[list[_Strand], str]:
    """The runs by token count where these are few, else by compute budget, and by which."""
    tokens = level(runs, "D")
    if tokens.nunique() <= _LINES:
        reach = np.geomspace(runs[size].min() / 1.1, runs[size].max() * 1.3, 80)
        return [
            _Strand(f"{short(count)} tokens", runs[tokens == count], reach, np.full(80, count))
            for count in sorted(tokens.unique())
        ], "token count"
    if not numeric(runs, "C") or in_budgets(runs).mean() < IN_BUDGETS:
        return [], ""
    budget, found = group_budgets(runs["C"].to_numpy(dtype=float)), []
    for k in range(int(budget.max()) + 1):
        mine = runs[budget == k]
        met = mine.groupby(size)["D"].mean()  # N and D of one budget: lines through its runs' own
        n = np.geomspace(met.index.min(), met.index.max(), 80)
        d = np.exp(np.interp(np.log(n), np.log(met.index), np.log(met)))
        about = float(f"{mine['C'].mean():.2g}")
        found.append(_Strand(f"{powers(about)} FLOPs", mine, n, d))
    return (found, "compute budget") if len(found) <= _LINES else ([], "")


def contours_figure(question: Question, law: Law, unit: Unit, folder: Path) -> Saved:
    """Contours of L(N, D), the runs upon them, and the size that each compute is best spent on."""
    runs, size = question.runs, question.size
    figure, (axes,) = panels(height=4.4)
    n = np.geomspace(runs[size].min() / 1.6, runs[size].max() * 1.6, 90)
    d = np.geomspace(runs["D"].min() / 1.6, runs["D"].max() * 1.6, 90)
    wide_n, wide_d = np.meshgrid(n, d)
    loss = _predict(law, wide_n.ravel(), wide_d.ravel()).reshape(wide_n.shape)
    levels = np.geomspace(loss.min(), loss.max(), 12)
    filled = axes.contourf(wide_n, wide_d, loss, levels=levels, cmap="viridis_r", alpha=0.85)
    lines = axes.contour(
        wide_n, wide_d, loss, levels=levels[1:-1:2], colors="white", linewidths=0.6
    )
    axes.clabel(lines, fmt=lambda value: f"{value:.3g}", fontsize=7.5)
    axes.plot(runs[size], runs["D"], "o", color="white", markeredgecolor="black",
              markersize=4.5, label="runs")  # fmt: skip
    best = _best_split(law, n, d)
    axes.plot(best["N"], best["D"], color=COLOURS[1], linewidth=2, label="best split of compute")
    axes.set(xlabel=named(size), ylabel="tokens", xlim=(n[0], n[-1]), ylim=(d[0], d[-1]))
    log_x(axes, n)
    log_y(axes, d)
    axes.grid(False)
    with_bar = figure.colorbar(filled, ax=axes, format=lambda value, _: f"{value:.3g}")
    with_bar.set_label(unit.label)
    legend(axes, loc="upper left", labelcolor="black", facecolor="white", frameon=True)
    caption = (
        f"Contours of the joint law ({law.name}); the line is the size and the tokens that spend"
        " a compute C = 6ND best."
    )
    surface = {size: wide_n.ravel(), "D": wide_d.ravel(), "loss": loss.ravel(), "row": "law"}
    parts = (
        runs[["run_id", "name", "seed", size, "D", "C", "loss"]].assign(row="run"),
        best.rename(columns={"N": size}).assign(row="best split"),
        pd.DataFrame(surface),
    )
    data = pd.concat(parts, ignore_index=True)
    return save(figure, data, folder, f"contours-{question.key}", caption)


def residuals_figure(question: Question, law: Law, folder: Path) -> Saved:
    """What the joint law leaves, along parameters, tokens and compute."""
    runs = question.runs
    columns = [c for c in (question.size, "D", "C") if c in runs and runs[c].notna().all()]
    figure, axes = panels(1, len(columns), width=2.9 * len(columns), height=2.7)
    left = 100 * np.expm1(np.asarray(law.fit.residuals))
    for panel, column in zip(axes, columns, strict=True):
        panel.axhline(0, color="0.3", linewidth=0.9)
        panel.plot(runs[column], left, "o", color=COLOURS[0], markersize=3.5, alpha=0.8)
        p_value = law.fit.quality["trend"].get("N" if column == question.size else column, {})
        found = p_value.get("p_value")
        panel.set_xlabel(named(column))
        title(panel, "" if found is None else f"trend p = {found:.2g}")
        log_x(panel, runs[column].astype(float), most=4)
    axes[0].set_ylabel("residual (%)")
    data = runs[["run_id", "name", "seed", *columns]].assign(residual_percent=left)
    caption = "Observed over predicted loss: a law that holds leaves no trend along any axis."
    return save(figure, data, folder, f"residuals-{question.key}", caption, wide=True)


def forest(
    rows: Sequence[Estimate],
    label: str,
    folder: Path,
    name: str,
    caption: str,
    reference: tuple[float, str] | None = None,
) -> Saved:
    """Estimates of one quantity side by side, with their intervals."""
    figure, (axes,) = panels(height=0.8 + 0.47 * len(rows))
    for k, one in enumerate(rows):
        axes.text(0.01, k - 0.27, one.label, transform=axes.get_yaxis_transform(),
                  fontsize=8.5, color="0.3", va="center",  # the reference's line goes behind it
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
        if one.ci is not None:
            axes.plot(one.ci, [k, k], color=COLOURS[0], linewidth=2.4, solid_capstyle="butt")
        axes.plot([one.value], [k], "o", color=COLOURS[0], markersize=5.5)
    if reference is not None:
        axes.axvline(reference[0], color=FLOOR, linestyle=(0, (6, 3)), label=reference[1])
        legend(axes, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)
    axes.set_yticks([])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.set_xlabel(label)
    axes.grid(axis="y", visible=False)
    data = pd.DataFrame(
        {
            "label": [one.label for one in rows],
            "value": [one.value for one in rows],
            "low": [one.ci[0] if one.ci else None for one in rows],
            "high": [one.ci[1] if one.ci else None for one in rows],
        }
    )
    return save(figure, data, folder, name, caption)


def _predict(law: Law, n: Array, d: Array) -> Array:
    assert law.form is not None
    return line(law.form, law.fit, {"N": n, "D": d})


def _best_split(law: Law, n: Array, d: Array) -> pd.DataFrame:
    """At each C = 6ND over the drawn range, the N and D of the least loss, found on a fine grid.

    Only inside the figure: what lies beyond it the runs say nothing of.
    """
    found = []
    for cost in np.geomspace(6 * n[0] * d[0], 6 * n[-1] * d[-1], 80):
        sizes = np.geomspace(max(n[0], cost / (6 * d[-1])), min(n[-1], cost / (6 * d[0])), 400)
        losses = _predict(law, sizes, cost / (6 * sizes))
        k = int(np.argmin(losses))
        if 0 < k < len(sizes) - 1:
            found.append((cost, sizes[k], cost / (6 * sizes[k]), losses[k]))
    return pd.DataFrame(found, columns=["C", "N", "D", "loss"])
