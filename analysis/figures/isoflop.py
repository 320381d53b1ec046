"""IsoFLOP valleys, the best size at each compute, and learning-rate basins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.design import DIMENSIONS, SHAPE, amount, named, numeric, varies
from analysis.figures.style import (
    COLOURS,
    Saved,
    legend,
    log_x,
    log_y,
    panels,
    powers,
    save,
    shades,
    title,
)
from analysis.fits.isoflop import group_budgets
from analysis.question import Question
from analysis.rates import basins
from analysis.units import Unit


def valleys_figure(question: Question, unit: Unit, folder: Path) -> Saved:
    """Losses over size at each budget with their parabolas, and N*(C) with its line."""
    runs, size = question.runs, question.size
    figure, (left, right) = panels(1, 2, width=8.2, height=3.8)
    budget = group_budgets(runs["C"].to_numpy(dtype=float))
    colours = shades(int(budget.max()) + 1)
    parabola, *others = [law.fit for law in question.laws]
    for k, card in enumerate(parabola.budgets):
        mine = runs[budget == k]
        about = float(f"{card['C']:.2g}")  # whole steps make it a little less or more
        left.plot(mine[size], mine["loss"], "o", color=colours[k], markersize=4,
                  label=f"{powers(about)} FLOPs")  # fmt: skip
        x = np.log(mine[size].to_numpy(dtype=float))
        if mine[size].nunique() >= 3:
            reach = np.linspace(x.min(), x.max(), 60)
            curve = np.polynomial.Polynomial.fit(x, mine["loss"].to_numpy(dtype=float), 2)
            left.plot(np.exp(reach), curve(reach), color=colours[k], linewidth=1)
        if card["N_opt"] is not None:
            left.plot(card["N_opt"], card["loss"], "*", color=COLOURS[1], markersize=11,
                      markeredgecolor="white", markeredgewidth=0.6, zorder=5)  # fmt: skip
    left.set(xlabel=named(size), ylabel=unit.label)
    title(left, "valleys (star: the best size)")
    log_x(left, runs[size].astype(float), most=4)
    log_y(left, runs["loss"])
    legend(left, fontsize=7.5)
    rows = []
    for fit, marker, colour in zip([parabola, *others], "*D", COLOURS[1:3], strict=False):
        optima = [card for card in fit.budgets if card["N_opt"] is not None]
        rows += [{"approach": fit.approach, **card} for card in fit.budgets]
        if not optima:
            continue
        c, n = np.array([(card["C"], card["N_opt"]) for card in optima]).T
        said = f", a = {fit.params['a']:.3f}" if fit.params["a"] is not None else ""
        right.plot(c, n, marker, color=colour, label=f"{fit.approach}{said}")
        if fit.params["a"] is not None:
            slope, height = np.polyfit(np.log(c), np.log(n), 1)
            right.plot(c, np.exp(height + slope * np.log(c)), color=colour, linewidth=1)
    right.set(xlabel="training FLOPs", ylabel=f"best {named(size)}")
    title(right, "best size N*(C)")
    if rows and any(row["N_opt"] for row in rows):
        log_x(right, runs["C"].astype(float), most=4)
        log_y(right, [row["N_opt"] for row in rows if row["N_opt"]])
    legend(right)
    caption = (
        "Losses at each compute budget with a parabola in ln N; the best sizes against compute."
    )
    dots = runs[["run_id", "name", "seed", size, "D", "C", "loss"]].assign(row="run")
    data = pd.concat([dots, pd.DataFrame(rows).assign(row="budget")], ignore_index=True)
    return save(figure, data, folder, question.key, caption, wide=True)


def basins_figure(runs: pd.DataFrame, unit: Unit, folder: Path, name: str) -> Saved:
    """Final loss against learning rate, a line a size and budget, the best of each marked."""
    figure, (axes,) = panels(height=3.9)
    by = [c for c in ("N", *DIMENSIONS) if c not in SHAPE and numeric(runs, c)]
    told = [c for c in by if varies(runs, c)] or ["N"]
    found = sorted(basins(runs), key=lambda one: list(one[0][told].iloc[0]))
    rows = []
    for (point, rates), colour in zip(found, shades(len(found)), strict=True):
        place = {c: float(point[c].iloc[0]) for c in by}
        rows.append(rates.assign(**place))
        label = ", ".join(amount(c, place[c]) for c in told) if len(found) <= 10 else None
        axes.plot(rates["lr"], rates["mean"], "o-", color=colour, markersize=4, label=label)
        axes.fill_between(
            rates["lr"], rates["min"], rates["max"], color=colour, alpha=0.15, linewidth=0
        )
        best = rates[rates["best"]].iloc[0]
        axes.plot(best["lr"], best["mean"], "*", color=COLOURS[1], markersize=12,
                  markeredgecolor="white", markeredgewidth=0.6, zorder=5)  # fmt: skip
    low, high = runs["loss"].min(), runs["loss"].max()
    axes.set(xlabel="learning rate", ylabel=unit.label)
    axes.set_ylim(low * (low / high) ** 0.06, high * (high / low) ** 0.3)  # room for the legend
    log_x(axes, runs["lr"].astype(float))
    log_y(axes, runs["loss"])
    legend(axes, fontsize=7.5, ncols=2, loc="upper center")
    held = [amount(c, float(runs[c].iloc[0])) for c in ("N", "D") if c in by and c not in told]
    caption = (
        f"Learning-rate basins by {', '.join(named(c) for c in told)}"
        + (f", at {', '.join(held)}" if held else "")
        + "; a star at an end means that no run beyond it finished."
    )
    return save(figure, pd.concat(rows), folder, name, caption)
