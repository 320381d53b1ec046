"""Groups compared at equal parameters and at equal FLOPs, between the points that they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.design import frontier, rounded

Groups = Sequence[tuple[str, pd.DataFrame]]
SAME = 0.02  # relative difference of a cost that counts as equal
NO_COUNT = "no token count is common to all groups"


@dataclass(frozen=True)
class Equal:
    """One group against the reference at the same cost.

    Attributes:
        group, reference: their names.
        cost: N or C.
        at: where they are compared.
        difference: loss of the group less that of the reference there; None where they share
            no range.
        how: as run, between sizes, along the training curve, or why there is none.
    """

    group: str
    reference: str
    cost: str
    at: float | None
    difference: float | None
    how: str


def at_sizes(groups: Groups) -> Groups:
    """Each group's runs at the largest token count that all groups have; no runs where none is.

    Of several configurations of one size (other learning rates, ...) the best is kept.
    """
    counts = [set(rounded(runs["D"])) for _, runs in groups]
    shared = max(set.intersection(*counts), default=np.nan)
    return [(name, _best(runs[rounded(runs["D"]) == shared], "N")) for name, runs in groups]


def at_compute(groups: Groups) -> Groups:
    """Each group's runs that no cheaper configuration of it undercuts."""
    return [(name, frontier(runs) if runs["C"].notna().all() else runs) for name, runs in groups]


def _best(runs: pd.DataFrame, by: str) -> pd.DataFrame:
    """At each value, the runs of the configuration with the lowest mean loss."""
    if runs.empty or runs[by].isna().any():
        return runs
    means = runs.groupby([by, "group"])["loss"].mean().reset_index()
    best = means.loc[means.groupby(by)["loss"].idxmin(), "group"]
    return runs[runs["group"].isin(best)]


def equal(
    groups: Groups,
    reference: str,
    cost: str,
    curves: dict[str, pd.DataFrame] | None = None,
) -> list[Equal]:
    """Each group against the reference at equal cost.

    Where both have one size of the same cost it is their plain difference; where they have
    several, losses are met by straight lines in ln cost and compared in the middle of the shared
    range. At equal FLOPs a single size may be read from the curve of the costlier one (`curves`
    by group, columns ``flops`` and ``loss``), whose learning rate has not come down by then.
    """
    base = dict(groups)[reference]
    found = []
    for name, runs in groups:
        if name == reference:
            continue
        found.append(_one(name, runs, reference, base, cost, curves or {}))
    return found


def _one(
    name: str,
    runs: pd.DataFrame,
    reference: str,
    base: pd.DataFrame,
    cost: str,
    curves: dict[str, pd.DataFrame],
) -> Equal:
    if runs.empty or base.empty:  # see `at_sizes`
        return Equal(name, reference, cost, None, None, NO_COUNT)
    if runs[cost].isna().any() or base[cost].isna().any():
        return Equal(name, reference, cost, None, None, "the runs do not say their cost")
    mine, theirs = (part.groupby(cost)["loss"].mean() for part in (runs, base))
    if len(mine) == len(theirs) == 1:
        a, b = float(mine.index[0]), float(theirs.index[0])
        if abs(a / b - 1) <= SAME:
            return Equal(name, reference, cost, b, float(mine.iloc[0] - theirs.iloc[0]), "as run")
        if cost == "C" and {name, reference} <= set(curves):
            return _along_curves(name, reference, mine, theirs, curves)
        return Equal(name, reference, cost, None, None, f"one size each, {a / b - 1:+.1%} apart")
    low = max(mine.index.min(), theirs.index.min())
    high = min(mine.index.max(), theirs.index.max())
    if low > high:
        return Equal(name, reference, cost, None, None, "their ranges do not meet")
    at = float(np.exp((np.log(low) + np.log(high)) / 2))
    apart = _read(mine, at) - _read(theirs, at)
    return Equal(name, reference, cost, at, apart, "between sizes")


def _along_curves(
    name: str, reference: str, mine: pd.Series, theirs: pd.Series, curves: dict[str, pd.DataFrame]
) -> Equal:
    a, b = float(mine.index[0]), float(theirs.index[0])
    cheap, dear = (name, reference) if a < b else (reference, name)
    at, level = (a, float(mine.iloc[0])) if a < b else (b, float(theirs.iloc[0]))
    curve = curves[dear].dropna(subset=["flops", "loss"])
    curve = curve[curve["flops"] > 0]
    if curve.empty or not curve["flops"].min() <= at <= curve["flops"].max():
        return Equal(name, reference, "C", None, None, "the curve does not reach there")
    there = float(np.interp(np.log(at), np.log(curve["flops"]), curve["loss"]))
    apart = level - there if cheap == name else there - level
    how = f"along the curve of {dear}, whose learning rate is still high there"
    return Equal(name, reference, "C", at, apart, how)


def _read(losses: pd.Series, at: float) -> float:
    x = np.log(losses.index.to_numpy(dtype=float))
    return float(np.interp(np.log(at), x, losses.to_numpy(dtype=float)))
