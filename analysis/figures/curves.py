"""Curves of groups laid over each other, with bands over seeds; fronts; losses at equal cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.equal import NO_COUNT
from analysis.figures.style import (
    COLOURS,
    FLOOR,
    QUIET,
    Look,
    Saved,
    legend_of,
    log_x,
    log_y,
    looks,
    named_line,
    panels,
    plain_x,
    save,
    title,
)
from analysis.pareto import COSTS
from analysis.units import Unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES = (
    ("step", "optimizer step"),
    ("tokens", "tokens"),
    ("flops", "training FLOPs"),
    ("seconds", "seconds of wall time"),
)
_LOGARITHMIC = {"grad_norm", "tokens_per_second"}
_MOST = 16  # lines that can be told apart
_ROWS = 40  # groups that are legible below each other
_POINTS = 300  # a line; more would only make the page heavy

Groups = Sequence[tuple[str, pd.DataFrame]]


def curves_figure(
    groups: Groups,
    lines: Mapping[str, pd.DataFrame],
    key: str,
    label: str,
    folder: Path,
    name: str,
    floor: float | None = None,
) -> Saved | None:
    """One metric by step, tokens, FLOPs and time: a line a configuration, a colour a group.

    The band is the range over seeds. None where no run has the metric.
    """
    drawn = _drawn(groups, lines, key)
    if drawn.empty:
        return None
    figure, axes = panels(2, 2, width=8.2, height=6.0)
    look_of = dict(zip([name for name, _ in groups], looks(len(groups)), strict=True))
    for panel, (column, words) in zip(axes, AXES, strict=True):
        said: set[str] = set()
        for _, part in drawn.groupby(["label", "group"], sort=False):
            group = str(part["label"].iloc[0])
            whole = part.dropna(subset=[column])
            if key != "val/loss":
                whole = whole[whole["step"] > 0]
            if whole.empty:
                continue
            told = None if group in said else named_line(group)
            _line(panel, whole, column, look_of[group], told)
            said.add(group)
        if floor is not None:
            panel.axhline(floor, color=FLOOR, linestyle=(0, (6, 3)), label="entropy floor")
        panel.set_xlabel(words)
        if not said:
            panel.text(0.5, 0.5, "not recorded", transform=panel.transAxes, ha="center",
                       color=QUIET)  # fmt: skip
            continue
        plain_x(panel)
        if key in _LOGARITHMIC:
            log_y(panel, drawn["mean"])
    axes[0].set_ylabel(label)
    axes[2].set_ylabel(label)
    legend_of(figure, axes[0])
    caption = f"{label[:1].upper()}{label[1:]} by each axis; bands are the range over seeds."
    shown = drawn["group"].nunique()
    every = {group for _, part in groups for group in part["group"]}
    having = {group for _, part in groups for group in _having(part, lines, key)["group"]}
    if len(having) > shown:
        caption += f" The {shown} costliest configurations; {len(having) - shown} are not drawn."
    if lacking := len(every - having):
        caption += f" No record of it: {lacking} of {len(every)} configurations."
    return save(figure, drawn, folder, name, caption, wide=True)


def _line(panel: Axes, curve: pd.DataFrame, column: str, look: Look, label: str | None) -> None:
    """A configuration's mean over seeds, in their range."""
    panel.plot(curve[column], curve["mean"], color=look.colour, linestyle=look.dash, linewidth=1.3,
               marker="." if len(curve) <= 15 else None, markersize=4, label=label)  # fmt: skip
    panel.fill_between(
        curve[column], curve["low"], curve["high"], color=look.colour, alpha=0.2, linewidth=0
    )


def losses_figure(summary: pd.DataFrame, runs: pd.DataFrame, unit: Unit, folder: Path) -> Saved:
    """Final losses, a dot a run and a bar the mean's interval, the best group on top."""
    order = summary.sort_values("loss")["group"].tolist()[:_ROWS]
    figure, (axes,) = panels(height=0.8 + 0.42 * len(order))
    for k, name in enumerate(order):
        row = summary[summary["group"] == name].iloc[0]
        mine = runs[runs["label"] == name]
        if row["loss_low"] == row["loss_low"]:
            axes.plot([row["loss_low"], row["loss_high"]], [k, k], color=COLOURS[0], alpha=0.35,
                      linewidth=7, solid_capstyle="butt")  # fmt: skip
        axes.plot(mine["loss"], [k] * len(mine), "o", color=COLOURS[0], markersize=4)
        axes.plot([row["loss"]], [k], "|", color=COLOURS[1], markersize=10, markeredgewidth=2)
        axes.text(0.01, k - 0.36, name, transform=axes.get_yaxis_transform(), fontsize=8.5,
                  color="0.3", va="center")  # fmt: skip
    axes.set_yticks([])
    axes.set_ylim(len(order) - 0.5, -0.65)
    axes.set_xlabel(unit.label)
    axes.grid(axis="y", visible=False)
    caption = "Final losses: a dot a run, a stroke the mean, a bar its 95 % interval over seeds."
    if len(summary) > len(order):
        caption += f" The best {len(order)} of {len(summary)} groups."
    means = summary[["group", "loss", "loss_low", "loss_high"]].rename(columns={"group": "label"})
    dots = runs[["label", "run_id", "name", "seed", "loss"]].assign(row="run")
    data = pd.concat([dots, means.assign(row="mean")], ignore_index=True)
    return save(figure, data, folder, "losses", caption)


def pareto_figure(table: pd.DataFrame, unit: Unit, folder: Path) -> Saved:
    """Mean loss against each cost, with the configurations that no other beats in both."""
    figure, axes = panels(2, 2, width=8.2, height=6.4)
    names = list(dict.fromkeys(table["group"]))
    several = len(names) < len(table)  # where a group is one configuration its name says it
    shown = looks(len(names)) if several else looks(1) * len(names)
    for panel, cost in zip(axes, COSTS, strict=True):
        known = table[table[cost.column] > 0]  # on a logarithmic axis; unknown is not above 0
        panel.set_xlabel(cost.label)
        if known.empty:
            panel.text(0.5, 0.5, "none that compare", transform=panel.transAxes, ha="center",
                       color=QUIET)  # fmt: skip
            continue
        on = known[known[f"front_{cost.column}"]].sort_values(cost.column)
        panel.step(on[cost.column], on["loss"], where="pre" if cost.more else "post",
                   color="0.3", linewidth=1)  # fmt: skip
        for name, look in zip(names, shown, strict=True):
            mine, best = known[known["group"] == name], on[on["group"] == name]
            panel.plot(mine[cost.column], mine["loss"], look.marker, color=look.colour,
                       markersize=5, markerfacecolor="white",
                       label=named_line(name) if several else None)  # fmt: skip
            panel.plot(best[cost.column], best["loss"], look.marker, color=look.colour,
                       markersize=6)  # fmt: skip
        _name_points(
            panel, known if len(known) <= 6 else on.iloc[:: -(-len(on) // 6)], cost.column
        )
        log_x(panel, known[cost.column].astype(float) * 1.0, most=4)
        low, high = known[cost.column].min(), known[cost.column].max()
        panel.set_xlim(low / 1.15, high * (high / low) ** 0.25 * 1.3)
        panel.margins(y=0.15)
    axes[0].set_ylabel(unit.label)
    axes[2].set_ylabel(unit.label)
    legend_of(figure, axes[0], loc="upper right")
    caption = (
        "Fronts, a dot a configuration: full ones are beaten by no other in both loss and cost."
        " Speeds compare only on one machine."
    )
    costs = [cost.column for cost in COSTS]
    columns = ["group", "name", "loss", *costs, *[f"front_{column}" for column in costs]]
    return save(figure, table[columns], folder, "pareto", caption, wide=True)


def equal_figure(
    groups: Groups, sizes: Groups, compute: Groups, unit: Unit, folder: Path
) -> Saved:
    """Final losses against parameters and against FLOPs, a colour a group.

    Lines join the runs that are compared: `sizes` at one token count, which may leave none, and
    `compute` on each front.
    """
    figure, axes = panels(1, 2, width=8.2, height=3.7)
    left, groups = len(groups[2 * _MOST :]), groups[: 2 * _MOST]  # as many as are told apart
    rows = []
    views = (("N", "parameters", sizes), ("C", "training FLOPs", compute))
    for panel, (column, words, compared) in zip(axes, views, strict=True):
        chosen = dict(compared)
        panel.set_xlabel(words)
        values = pd.concat([runs[column] for _, runs in groups]).dropna().astype(float)
        for (name, runs), look in zip(groups, looks(len(groups)), strict=True):
            if runs[column].isna().any():
                continue
            by = chosen[name].groupby(column)["loss"].mean()
            dots = runs[["label", "run_id", "seed", "N", "C", "loss"]]
            joined = runs["run_id"].isin(chosen[name]["run_id"])
            rows.append(dots.assign(row="run", axis=column, joined=joined))
            means = by.reset_index().assign(label=name, row="mean", axis=column)
            rows.append(means)
            panel.plot(runs[column], runs["loss"], ".", color=look.colour, markersize=4, alpha=0.5)
            panel.plot(by.index, by, color=look.colour, linestyle=look.dash, marker=look.marker,
                       linewidth=1.1, markersize=5, label=named_line(name))  # fmt: skip
        if len(values):
            log_x(panel, values, most=4)
    axes[0].set_ylabel(unit.label)
    shared = any(len(runs) for _, runs in sizes)
    title(axes[0], "at equal parameters (and tokens)" if shared else NO_COUNT)
    title(axes[1], "at equal FLOPs")
    legend_of(figure, axes[0])
    size = "lines at the largest token count that all groups have"
    if not shared:
        size = f"where {NO_COUNT} and nothing is compared"
    caption = (
        f"Final losses over size, {size}, and over compute, lines along each group's front: read"
        " downwards, groups at equal cost."
    )
    if left:
        caption += f" Not drawn: {left} of {left + len(groups)} groups."
    data = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
    return save(figure, data, folder, "equal-cost", caption, wide=True)


def _name_points(panel: object, rows: pd.DataFrame, column: str) -> None:
    for row in rows.to_dict("records"):
        panel.annotate(  # type: ignore[attr-defined]
            str(row["name"])[:28], (row[column], row["loss"]), xytext=(5, 4),
            textcoords="offset points", fontsize=7.5, color="0.3",
        )  # fmt: skip


def _drawn(groups: Groups, lines: Mapping[str, pd.DataFrame], key: str) -> pd.DataFrame:
    """Mean and range over seeds of each configuration's metric, by step."""
    kept: list[tuple[float, pd.DataFrame]] = []
    # Every group keeps its costliest configurations.
    allowed = max(1, _MOST // max(len(groups), 1))
    for label, runs in groups:
        having = _having(runs, lines, key)
        cost = pd.to_numeric(having["C"], errors="coerce").groupby(having["group"]).mean()
        cost = cost.fillna(0.0)
        for group in cost.sort_values(ascending=False, kind="stable").index[:allowed]:
            mine = having.loc[having["group"] == group, "run_id"]
            table = _over_seeds([lines[run] for run in mine], key)
            kept.append((cost[group], _thinned(table.assign(label=label, group=group))))
    costliest = sorted(range(len(kept)), key=lambda k: -kept[k][0])[: 2 * _MOST]
    return pd.concat([kept[k][1] for k in sorted(costliest)]) if kept else pd.DataFrame()


def _having(runs: pd.DataFrame, lines: Mapping[str, pd.DataFrame], key: str) -> pd.DataFrame:
    """The runs that have recorded the metric."""
    return runs[[key in lines[run] for run in runs["run_id"]]]


def _over_seeds(curves: Sequence[pd.DataFrame], key: str) -> pd.DataFrame:
    """A metric's mean, least and largest at each step, and where each axis stands there."""
    places = [column for column, _ in AXES[1:]]
    whole = pd.concat([one[["step", *places, key]] for one in curves]).dropna(subset=[key])
    if key in _LOGARITHMIC:
        whole = whole[whole[key] > 0]
    by = whole.groupby("step")
    table = by[places].mean()
    return table.assign(mean=by[key].mean(), low=by[key].min(), high=by[key].max()).reset_index()


def _thinned(table: pd.DataFrame) -> pd.DataFrame:
    if len(table) <= _POINTS:
        return table
    return table.iloc[np.unique(np.linspace(0, len(table) - 1, _POINTS).round().astype(int))]
