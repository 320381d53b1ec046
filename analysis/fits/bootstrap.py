"""Bootstrap over runs: percentile intervals for parameters and for what follows from them.

Whole groups are drawn with replacement (a run's checkpoints share its noise), as many as there
are; every draw is fitted again. Of least squares, of few trajectories and of few points the draws
spread too little: by sqrt((n - p)/n), and normal quantiles are too near. There the tails are taken
at ``Phi(sqrt(n/(n - p)) t_{n-p})`` in place of 2.5 and 97.5 % (expanded percentiles, Hesterberg
2015, arXiv:1411.5279, with p parameters in place of the one mean). Huber's fits of 8 points and
more with a small delta need none of it: their draws spread as widely as they should or more
(measured: plain percentiles cover 93 to 99 % for them, down to 87 % of fewer points, and down to
88.5 % for least squares of 64 points).

Of the fewest groups no quantiles are far enough out. The draws' whole range holds the truth in
``1 - 2^(1-n)`` of cases for the mean of n runs alike (75 % of three, 88 % of four, 94 % of five)
and in ``1 - 2/n!`` for the slope of a line (67, 92 and 98 %). Of fewer than five groups nothing
is drawn, and there are no intervals.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from analysis.fits.estimator import Estimator, Resamples
from analysis.fits.model import Array
from analysis.fits.points import Points
from analysis.fits.result import Interval

LEAST_GROUPS = 5
"""The fewest groups whose resamples' range holds the truth in about 95 % of cases."""

_FEW_GROUPS = 8  # below these the draws of any fit spread too little


def draw(data: Points, count: int, seed: int) -> Array:
    """How often each point is in each of ``count`` resamples: [count, n].

    [0, n] where there are too few groups for intervals.
    """
    codes, groups = data.groups()
    if groups < LEAST_GROUPS:
        return np.empty((0, len(data)))
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=count)
    return np.asarray(drawn[:, codes], dtype=np.float64)


def too_few(data: Points) -> str:
    """Why `draw` draws nothing."""
    groups = data.groups()[1]
    what = "points" if groups == len(data) else "groups of points"
    return (
        f"no intervals: resamples of {groups} {what} differ too little to hold the truth as often"
        " as an interval should"
    )


def resample(estimator: Estimator, data: Points, count: int, seed: int) -> Resamples:
    """The fit to ``count`` resamples of the points, or to none where groups are too few."""
    return estimator.refit(draw(data, count, seed))


def tails(level: float, groups: int, parameters: int, *, wide: bool) -> tuple[float, float]:
    """The quantiles for an interval of this level.

    They are the plain ones where the draws spread widely enough (``wide``) and groups are not
    few, and else expanded for ``groups`` and ``parameters``.
    """
    half = (1 - level) / 2
    if wide and groups >= _FEW_GROUPS:
        return half, 1 - half
    room = max(1, groups - parameters)  # with less the draws spread less still
    low = float(stats.norm.cdf(np.sqrt(groups / room) * stats.t.ppf(half, room)))
    return low, 1 - low


def interval(values: Array, ends: tuple[float, float]) -> Interval | None:
    """The quantiles of finite values; None with fewer than 20 of them."""
    finite = values[np.isfinite(values)]
    if len(finite) < 20:
        return None
    low, high = np.quantile(finite, ends)
    return float(low), float(high)


def correlations(samples: Mapping[str, Array]) -> dict[str, dict[str, float]]:
    """Correlations between parameters over resamples; heights by their logarithm.

    A and B range over decades between resamples, and it is ln A that moves with alpha.
    """
    columns = {}
    for name, values in samples.items():
        wide = name in {"A", "B", "N_c", "D_c"}
        with np.errstate(divide="ignore"):
            columns[f"ln {name}" if wide else name] = np.log(values) if wide else values
    table = np.stack(list(columns.values()))
    table = table[:, np.isfinite(table).all(axis=0)]
    if table.shape[1] < 20 or np.any(np.ptp(table, axis=1) == 0):
        return {}
    matrix = np.corrcoef(table)
    return {
        one: {other: float(matrix[i, j]) for j, other in enumerate(columns)}
        for i, one in enumerate(columns)
    }
