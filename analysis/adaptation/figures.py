"""The pictures of adaptation: its laws, and gain against forgetting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.adaptation.answers import counted
from analysis.adaptation.laws import Law, headline
from analysis.adaptation.table import VERBATIM
from analysis.band import band
from analysis.figures.style import (
    COLOURS,
    Saved,
    legend,
    log_x,
    panels,
    save,
    short,
    title,
)
from analysis.fits import FitOptions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", ":", "-.")


def laws_figure(
    runs: pd.DataFrame, table: pd.DataFrame, found: list[Law], options: FitOptions, folder: Path
) -> Saved:
    """`adaptation_laws`: gain and forgetting against tokens, gain against rank and size."""
    figure, axes = panels(2, 2, width=9.6, height=8.0)
    edit = VERBATIM if VERBATIM in set(table["edit"]) else str(table["edit"].iloc[0])
    own = table[table["edit"] == edit]
    rows = [
        _against_tokens(axes[0], runs[runs["edit"] == edit], found, "gain", options),
        _against_tokens(axes[1], runs[runs["edit"] == edit], found, "forgetting", options),
    ]
    _against_rank(axes[2], own)
    _against_size(axes[3], own)
    title(axes[0], "what is learned")
    title(axes[1], "what is forgotten")
    title(axes[2], "gain by method")
    title(axes[3], "gain by size")
    data = pd.concat([own.assign(row="point"), *rows], ignore_index=True)
    bands = ""
    if any(ends for law in found for ends in law.fit.ci.values()):
        bands = f", bands their {options.level:.0%} intervals over seeds"
    caption = (
        f"Above: {edit} edits, one dot an adaptation; lines are laws in tokens where they"
        f" converged{bands}. Below: means with 95% intervals over seeds."
    )
    return save(figure, data, folder, "adaptation_laws", caption, wide=True)


def pareto_figure(table: pd.DataFrame, folder: Path) -> Saved:
    """`pareto_forgetting`: a panel a baseline, its points and the front."""
    baselines = list(dict.fromkeys(table["baseline"]))
    names = baseline_names(baselines)
    methods, edits = list(dict.fromkeys(table["method"])), list(dict.fromkeys(table["edit"]))
    columns = min(2, len(baselines))
    lines = -(-len(baselines) // columns)
    figure, axes = panels(lines, columns, width=4.9 * columns, height=4.6 * lines)
    for panel in axes[len(baselines) :]:
        panel.set_visible(False)
    for panel, baseline in zip(axes, baselines, strict=False):
        own = table[table["baseline"] == baseline]
        on = own[own["on_front"]].sort_values("forgetting")
        panel.step(on["forgetting"], on["gain"], where="post", color="0.35", linewidth=1,
                   label="front")  # fmt: skip
        for k, method in enumerate(methods):
            for i, edit in enumerate(edits):
                some = own[(own["method"] == method) & (own["edit"] == edit)]
                if some.empty:
                    continue
                colour, marker = COLOURS[k % len(COLOURS)], _marker(i)
                panel.errorbar(
                    some["forgetting"], some["gain"],
                    xerr=_reach(some, "forgetting"), yerr=_reach(some, "gain"),
                    fmt="none", ecolor=colour, elinewidth=0.6, alpha=0.5,
                )  # fmt: skip
                best = some[some["on_front"]]
                panel.plot(some["forgetting"], some["gain"], marker, color=colour, markersize=5,
                           markerfacecolor="white")  # fmt: skip
                panel.plot(best["forgetting"], best["gain"], marker, color=colour, markersize=5)
        title(panel, f"{names[baseline]} ({short(float(own['parameters'].iloc[0]))})")
        panel.set_xlabel("forgetting (nats per token)")
        panel.axvline(0, color="0.8", linewidth=0.8)
    axes[0].set_ylabel("gain (nats per token)")
    for k, method in enumerate(methods):
        axes[0].plot([], [], "o", color=COLOURS[k % len(COLOURS)], label=method)
    for i, edit in enumerate(edits):
        axes[0].plot([], [], _marker(i), color="0.4", markerfacecolor="white",
                     label=edit)  # fmt: skip
    legend(axes[0], loc="best", fontsize=7.5)
    caption = (
        "Gain against forgetting, a mark an edit, method and number of steps, with 95% intervals"
        " over seeds; full marks are beaten by no other of their baseline in both."
    )
    return save(figure, table, folder, "pareto_forgetting", caption, wide=len(baselines) > 1)


def baseline_names(labels: Iterable[str]) -> dict[str, str]:
    """Runs' names in short, without the ids behind them and their sweep's name; of several that
    would be one name, the whole."""
    short_ones = {label: _without_id(label) for label in labels}
    names = list(short_ones.values())
    return {label: one if names.count(one) == 1 else label for label, one in short_ones.items()}


def _without_id(label: str) -> str:
    label, comma, fields = label.partition(", ")  # which tell it from another of its name
    name = re.sub(r"(?<=.)-[0-9a-f]{8}$", "", label)
    # Of a sweep's own baselines, what varies.
    return name.rsplit("-baselines-", 1)[-1] + comma + fields


def _marker(k: int) -> str:
    return _MARKERS[k % len(_MARKERS)]


def _dash(k: int) -> str:
    return _DASHES[k % len(_DASHES)]


def _against_tokens(
    panel: Axes, runs: pd.DataFrame, found: list[Law], outcome: str, options: FitOptions
) -> pd.DataFrame:
    """Dots, and the law of each baseline and method with its band; what was drawn."""
    drawn = []
    baselines, methods = list(dict.fromkeys(runs["baseline"])), list(dict.fromkeys(runs["method"]))
    names = baseline_names(baselines)
    low, high = runs["tokens"].min(), runs["tokens"].max()
    reach = np.geomspace(low, high, 80)
    for b, baseline in enumerate(baselines):
        for m, method in enumerate(methods):
            own = runs[(runs["baseline"] == baseline) & (runs["method"] == method)]
            if own.empty:
                continue
            colour = COLOURS[(b * len(methods) + m) % len(COLOURS)]
            spot = own["tokens"] * (1 + 0.03 * (m - 1))  # side by side, where all would cover
            panel.plot(spot, own[outcome], _marker(b), color=colour, markersize=3.5, alpha=0.6)
            name = f"{names[baseline]}, {method}"
            law = headline(found, baseline, method, "loss" if outcome == "gain" else outcome)
            if law is None:
                panel.plot([], [], _marker(b), color=colour, label=f"{name} (no law)")
                continue
            role, places = law.form.axes[0], reach
            if role == "per_token":
                places = 1 / reach
            over = band(law.form, law.fit, law.points, {role: places}, options)
            middle, below, above = over.middle, over.low, over.high
            if outcome == "gain":
                before = float(own["before"].iloc[0])
                middle, below, above = before - middle, before - above, before - below
            panel.plot(reach, middle, _dash(b), color=colour, label=name)
            panel.fill_between(reach, below, above, color=colour, alpha=0.13, linewidth=0)
            drawn.append(
                pd.DataFrame(
                    {"row": "law", "baseline": baseline, "method": method, "outcome": outcome,
                     "tokens": reach, "fitted": middle, "low": below, "high": above}
                )
            )  # fmt: skip
    panel.set_xlabel("tokens trained on, a passage")
    panel.set_ylabel(f"{outcome} (nats per token)")
    log_x(panel, [low, high])
    panel.axhline(0, color="0.8", linewidth=0.8)
    if outcome == "gain":
        legend(panel, loc="upper left", fontsize=7)
        _leave_room(panel, runs[outcome], 0.25)
    return pd.concat(drawn) if drawn else pd.DataFrame()


def _against_rank(panel: Axes, table: pd.DataFrame) -> None:
    """Gain of each method, a colour a number of steps, a style a baseline."""
    methods = list(dict.fromkeys(table["method"]))
    _by(panel, table, "method", np.arange(len(methods)), methods)
    panel.set_xticks(range(len(methods)), methods)
    panel.set_xlim(-0.4, len(methods) - 0.6)
    _legend_above(panel, table)


def _against_size(panel: Axes, table: pd.DataFrame) -> None:
    """Gain against parameters, a colour a number of steps, a marker a method."""
    methods = list(dict.fromkeys(table["method"]))
    for i, steps in enumerate(sorted(table["steps"].unique())):
        for m, method in enumerate(methods):
            own = table[(table["steps"] == steps) & (table["method"] == method)]
            own = own.sort_values("parameters")
            panel.errorbar(
                own["parameters"], own["gain"], yerr=_reach(own, "gain"),
                fmt=_marker(m) + _dash(m), color=COLOURS[i % len(COLOURS)],
                markersize=4, linewidth=1, elinewidth=0.8,
                label=counted(steps) if m == 0 else None,
            )  # fmt: skip
    for m, method in enumerate(methods):
        panel.plot([], [], _marker(m) + _dash(m), color="0.4", label=method)
    panel.set_xlabel("parameters of the baseline")
    panel.set_ylabel("gain (nats per token)")
    log_x(panel, table["parameters"])
    _legend_above(panel, table)


def _legend_above(panel: Axes, table: pd.DataFrame) -> None:
    """A legend in room of its own over the data."""
    _leave_room(panel, table["gain"], 0.35)
    legend(panel, loc="upper left", fontsize=7, ncols=2)


def _leave_room(panel: Axes, values: pd.Series, share: float) -> None:
    """Room over the data, as a share of what they and zero span."""
    low, high = min(0.0, float(values.min())), float(values.max())
    panel.set_ylim(top=high + share * (max(0.0, high) - low))


def _by(
    panel: Axes, table: pd.DataFrame, column: str, places: np.ndarray, names: Sequence[str]
) -> None:
    baselines = list(dict.fromkeys(table["baseline"]))
    for i, steps in enumerate(sorted(table["steps"].unique())):
        for b, baseline in enumerate(baselines):
            own = table[(table["steps"] == steps) & (table["baseline"] == baseline)]
            own = own.set_index(column).reindex(list(names)).reset_index()
            panel.errorbar(
                places + 0.06 * (b - (len(baselines) - 1) / 2), own["gain"],
                yerr=_reach(own, "gain"), fmt=_marker(b) + _dash(b),
                color=COLOURS[i % len(COLOURS)], markersize=4, linewidth=1, elinewidth=0.8,
                label=counted(steps) if b == 0 else None,
            )  # fmt: skip
    told = baseline_names(baselines)
    for b, baseline in enumerate(baselines):
        panel.plot([], [], _marker(b) + _dash(b), color="0.4", label=told[baseline])
    panel.set_ylabel("gain (nats per token)")


def _reach(table: pd.DataFrame, name: str) -> np.ndarray:
    """From each mean to the ends of its interval, none where there is one seed: [2, n]."""
    low = (table[name] - table[f"{name}_low"]).to_numpy(dtype=float)
    high = (table[f"{name}_high"] - table[name]).to_numpy(dtype=float)
    return np.nan_to_num(np.clip(np.array([low, high]), 0, None))
