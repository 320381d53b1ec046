"""IsoFLOP optima: the best size at each compute budget, and how it grows with compute.

At each budget the losses over ln N are met by a parabola or an Akima curve; its minimum is
N*(C), and ``ln N* = const + a ln C``, ``ln D* = const + b ln C`` give the exponents (approach 2
of Hoffmann et al. 2022, arXiv:2203.15556; Akima as in Porian et al. 2024, arXiv:2406.19146). The
parabola is biased where alpha and beta differ and the budget's sizes range widely, so these are
pictures beside the joint fits, not the headline.

A budget counts only if its minimum lies inside its own sizes; one that bends downward has no
optimum, and one whose minimum is at an end has not seen it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.interpolate import Akima1DInterpolator

from analysis.fits.bootstrap import draw, interval, tails, too_few
from analysis.fits.model import Array
from analysis.fits.points import Points
from analysis.fits.prepare import FitOptions
from analysis.fits.result import Derived, Fit, FitStatus, refused

PARAMETERS = ("a", "b")
_SAME_BUDGET = 1.25  # runs whose FLOPs are within this factor of the least share a budget
_NEEDED = {"parabola": 3, "akima": 4}  # distinct sizes that a budget's curve needs
_BUDGETS = 3  # a line of two parameters and one to check it


@dataclass(frozen=True)
class Optimum:
    """One budget's minimum: ln N* and the loss there, or why there is none."""

    log_n: float
    loss: float
    status: FitStatus


def fit_isoflop(data: Points, approach: str, options: FitOptions | None = None) -> Fit:
    """The exponents a of N* and b of D* in C by ``parabola`` or ``akima``.

    Points need N, the loss, and C or D (then C = 6ND); with C alone, D = C/(6N). Exact FLOPs
    beside D are used for the budgets, and D* is read between the budget's own runs.

    Raises:
        ValueError: an axis is missing, or the approach is not one of the two.
    """
    options = options or FitOptions()
    if approach not in _NEEDED:
        raise ValueError(f"isoflop is fitted by parabola or akima, not {approach!r}")
    if "N" not in data.axes or not {"C", "D"} & set(data.axes):
        raise ValueError("isoflop needs N, and C or D")
    n, c, d = _axes(data)
    budget = group_budgets(c)
    settings = _settings(data, options, int(budget.max()) + 1)
    ones = np.ones(len(data))
    found = [
        _optimum(approach, n[budget == k], data.loss[budget == k], ones[budget == k])
        for k in range(int(budget.max()) + 1)
    ]
    cards = [_card(found[k], n, c, d, budget == k) for k in range(len(found))]
    good = [k for k, one in enumerate(found) if one.status is FitStatus.CONVERGED]
    if len(good) < _BUDGETS:
        status, message = _why(found, len(good))
        no = refused("isoflop", approach, PARAMETERS, status, message, len(data), settings)
        return replace(no, budgets=cards)
    a, b, square = _exponents(cards, good)
    base = Fit(
        "isoflop",
        approach,
        FitStatus.CONVERGED,
        f"{len(good)} of {len(found)} budgets have an optimum inside their sizes",
        {"a": a, "b": b},
        {"a": None, "b": None},
        square,
        len(data),
        settings,
        rows=[] if data.rows is None else [int(row) for row in data.rows],
        budgets=cards,
    )
    top = max(good, key=lambda k: cards[k]["C"])
    derived = {
        "tokens_per_parameter": Derived(
            cards[top]["D_opt"] / cards[top]["N_opt"],
            None,
            "tokens/parameter",
            {"C": cards[top]["C"]},
        )
    }
    for k, one in enumerate(found):
        if one.status is not FitStatus.CONVERGED:
            base.notes.append(f"the budget of {cards[k]['C']:.3g} FLOPs is left out: {one.status}")
    base = replace(base, derived=derived)
    if options.bootstrap == 0:
        return base
    return _with_intervals(base, data, approach, options, budget)


def group_budgets(flops: Array) -> np.ndarray:
    """Each run's budget from 0, cheapest first: runs within a factor 1.25 of the cheapest."""
    order = np.argsort(flops, kind="stable")
    codes = np.zeros(len(flops), dtype=np.int64)
    start, code = flops[order[0]], 0
    for i in order:
        if flops[i] > _SAME_BUDGET * start:
            start, code = flops[i], code + 1
        codes[i] = code
    return codes


def _axes(data: Points) -> tuple[Array, Array, Array]:
    """N, C and D, whichever of the last two was given."""
    n = data.axes["N"]
    flops = data.flops()
    c = data.axes["C"] if flops is None else flops
    return n, c, data.axes.get("D", c / (6 * n))


def _optimum(approach: str, n: Array, loss: Array, weights: Array, spare: int = 1) -> Optimum:
    """The minimum over ln N of one budget, with points counted by weight.

    ``spare`` sizes more than the curve needs are asked for; a resample may do without.
    """
    used = weights > 0
    sizes, where = np.unique(n[used], return_inverse=True)
    if len(sizes) < _NEEDED[approach] + spare:
        return Optimum(np.nan, np.nan, FitStatus.TOO_FEW_POINTS)
    if approach == "parabola":
        return _parabola(np.log(n[used]), loss[used], weights[used])
    total = np.bincount(where.reshape(-1), weights[used])
    mean = np.bincount(where.reshape(-1), weights[used] * loss[used]) / total
    return _akima(np.log(sizes), mean)


def _parabola(x: Array, loss: Array, weights: Array) -> Optimum:
    middle, half = (x.max() + x.min()) / 2, np.ptp(x) / 2
    z = (x - middle) / half
    root = np.sqrt(weights)
    design = np.stack([np.ones_like(z), z, z * z], axis=1)
    (level, lean, bend), *_ = np.linalg.lstsq(design * root[:, None], loss * root, rcond=None)
    if bend <= 1e-12 * np.abs(loss).max():
        return Optimum(np.nan, np.nan, FitStatus.NOT_CONVEX)
    best = -lean / (2 * bend)
    if not -1 < best < 1:
        return Optimum(np.nan, np.nan, FitStatus.EDGE_OPTIMUM)
    return Optimum(
        float(middle + half * best),
        float(level + lean * best + bend * best * best),
        FitStatus.CONVERGED,
    )


def _akima(x: Array, loss: Array) -> Optimum:
    lowest = int(np.argmin(loss))
    if lowest in (0, len(x) - 1):
        downward = loss[1:-1].min() > max(loss[0], loss[-1])
        status = FitStatus.NOT_CONVEX if downward else FitStatus.EDGE_OPTIMUM
        return Optimum(np.nan, np.nan, status)
    curve = Akima1DInterpolator(x, loss)
    turns = np.asarray(curve.derivative().roots(extrapolate=False), dtype=np.float64)
    inside = turns[np.isfinite(turns) & (turns > x[0]) & (turns < x[-1])]
    candidates = np.append(inside, x[lowest])
    values = curve(candidates)
    best = int(np.argmin(values))
    return Optimum(float(candidates[best]), float(values[best]), FitStatus.CONVERGED)


def _card(one: Optimum, n: Array, c: Array, d: Array, mine: np.ndarray) -> dict[str, Any]:
    """A budget as fits.json shows it; D* is between the budget's runs, in logarithms."""
    budget = float(np.exp(np.log(c[mine]).mean()))
    card: dict[str, Any] = {
        "C": budget,
        "n_points": int(mine.sum()),
        "status": str(one.status),
        "N_opt": None,
        "D_opt": None,
        "loss": None,
    }
    if one.status is FitStatus.CONVERGED:
        sizes, first = np.unique(n[mine], return_index=True)
        log_d = np.interp(one.log_n, np.log(sizes), np.log(d[mine][first]))
        card |= {"N_opt": float(np.exp(one.log_n)), "D_opt": float(np.exp(log_d))}
        card["loss"] = one.loss
    return card


def _exponents(cards: list[dict[str, Any]], good: list[int]) -> tuple[float, float, float]:
    """Slopes of ln N* and ln D* in ln C, and the squares left about the first line."""
    c = np.log([cards[k]["C"] for k in good])
    n = np.log([cards[k]["N_opt"] for k in good])
    d = np.log([cards[k]["D_opt"] for k in good])
    line = np.polyfit(c, n, 1)
    return (
        float(line[0]),
        float(np.polyfit(c, d, 1)[0]),
        float(np.sum((n - np.polyval(line, c)) ** 2)),
    )


def _why(found: list[Optimum], good: int) -> tuple[FitStatus, str]:
    """The commonest reason why too few budgets have an optimum."""
    if good == len(found):
        return FitStatus.TOO_FEW_POINTS, f"{good} compute budgets; a line in C needs {_BUDGETS}"
    reasons = [one.status for one in found if one.status is not FitStatus.CONVERGED]
    status = max(dict.fromkeys(reasons), key=reasons.count)
    said = {
        FitStatus.NOT_CONVEX: "bend downward and have no minimum",
        FitStatus.EDGE_OPTIMUM: "have their minimum at the edge of their sizes",
        FitStatus.TOO_FEW_POINTS: "have too few sizes",
    }[status]
    return status, (
        f"{reasons.count(status)} of {len(found)} compute budgets {said}; {good} are left and"
        f" a line in C needs {_BUDGETS}"
    )


def _with_intervals(
    base: Fit, data: Points, approach: str, options: FitOptions, budget: np.ndarray
) -> Fit:
    """Resamples runs; within each budget where no trajectories are named, to keep its design."""
    n, c, d = _axes(data)
    if data.group is None:
        rng = np.random.default_rng(options.seed)
        weights = np.zeros((options.bootstrap, len(data)))
        for k in range(int(budget.max()) + 1):
            mine = np.flatnonzero(budget == k)
            even = np.full(len(mine), 1 / len(mine))
            weights[:, mine] = rng.multinomial(len(mine), even, size=options.bootstrap)
    else:
        weights = draw(data, options.bootstrap, options.seed)
        if not len(weights):
            return replace(base, notes=[*base.notes, too_few(data)])
    samples = []
    for row in weights:
        cards, good = [], []
        for k in range(int(budget.max()) + 1):
            mine = budget == k
            one = _optimum(approach, n[mine], data.loss[mine], row[mine], spare=0)
            cards.append(_card(one, n, c, d, mine))
            if one.status is FitStatus.CONVERGED:
                good.append(k)
        if len(good) >= _BUDGETS:
            samples.append(_exponents(cards, good)[:2])
    share = len(samples) / options.bootstrap
    used = np.array(samples).reshape(-1, 2)
    # Budgets without an optimum give the line neither runs nor parameters.
    fitted = [k for k, card in enumerate(base.budgets) if card["N_opt"] is not None]
    groups = data.take(np.isin(budget, fitted)).groups()[1]
    ends = tails(options.level, groups, 3 * len(fitted), wide=False)
    enough = share >= 0.5
    notes = list(base.notes)
    if not enough:
        notes.append(f"no intervals: only {share:.0%} of the resamples kept {_BUDGETS} optima")
    return replace(
        base,
        ci={
            name: interval(used[:, i], ends) if enough else None
            for i, name in enumerate(PARAMETERS)
        },
        bootstrap={
            "resamples": options.bootstrap,
            "settled": len(samples),
            "groups": data.groups()[1],
            "seed": options.seed,
            "level": options.level,
            "within_budgets": data.group is None,
        },
        notes=notes,
    )


def _settings(data: Points, options: FitOptions, budgets: int) -> dict[str, Any]:
    given = "C" in data.axes
    return {
        "bootstrap": options.bootstrap,
        "seed": options.seed,
        "level": options.level,
        "columns": dict(data.columns),
        "dropped": dict(data.dropped),
        "flops": "exact" if given else "6ND",
        "tokens": "given" if "D" in data.columns else "C/6N",
        "budgets": budgets,
        "same_budget_within": _SAME_BUDGET,
    }
