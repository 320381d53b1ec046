"""What the residuals say of a fit: how much is explained, how much is left, and any trend."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from analysis.fits.model import Array
from analysis.fits.points import Points

_ROUNDING = 1e-9  # log units: residuals below this have no trend worth a test


def quality(data: Points, predicted: Array, parameters: int, axes: int) -> dict[str, Any]:
    """Figures of merit of a fit of a law with so many parameters and axes.

    Residuals are ln L observed less ln L predicted. Keys: ``r_squared`` of ln L;
    ``rms_log_residual`` and the robust ``median_abs_log_residual``; ``rmse`` in the loss's unit;
    ``aic`` and ``aicc`` under Gaussian log residuals, ``g ln(RSS/n) + 2 (p + 1)``, to compare
    forms on the same points only (a perfect fit counts as one to 1e-9), where g is the number of
    independent groups, n unless some hang together; ``trend`` by axis.
    """
    residual = np.log(data.loss) - np.log(predicted)
    count, free, groups = len(residual), parameters + 1, data.groups()[1]
    square = float(residual @ residual)
    spread = np.log(data.loss) - np.log(data.loss).mean()
    aic = groups * float(np.log(max(square / count, _ROUNDING**2))) + 2 * free
    room = groups - free - 1
    return {
        "r_squared": 1 - square / float(spread @ spread) if np.ptp(spread) > 0 else None,
        "rms_log_residual": float(np.sqrt(square / count)),
        "median_abs_log_residual": float(np.median(np.abs(residual))),
        "rmse": float(np.sqrt(np.mean((data.loss - predicted) ** 2))),
        "aic": aic,
        "aicc": None if room <= 0 else aic + 2 * free * (free + 1) / room,
        "trend": {
            role: trend(values, residual, 1 + (parameters - 1) / max(axes, 1), groups)
            for role, values in _axes(data).items()
        },
    }


def _axes(data: Points) -> dict[str, Array]:
    flops = data.flops()
    return dict(data.axes) if flops is None else {**data.axes, "C": flops}


def trend(
    axis: Array, residual: Array, met: float = 1, groups: int | None = None
) -> dict[str, float | None]:
    """Whether residuals bend or lean along an axis.

    ``met``: how many levels the law's own parameters can meet whatever they are, a common one and
    a share of the others. ``groups``: how many of the points are independent; all where None.

    ``slope``: log residual per e-fold of the axis. ``p_value``: F test of a line and a parabola
    in ln axis on the residuals' ranks, which outliers do not sway; small means a trend. None
    where the axis has no more levels than are met, or the residuals are rounding.
    """
    x = np.log(axis)
    x = x - x.mean()
    levels = len(np.unique(axis))
    slope = float(x @ residual / (x @ x)) if levels > 1 else None
    columns = min(levels - 1, 2)
    room = (len(x) if groups is None else groups) - 1 - columns
    if columns < 1 or levels <= met or room < 3 or np.sqrt(np.mean(residual**2)) < _ROUNDING:
        return {"slope": slope, "p_value": None}
    ranks = stats.rankdata(residual)
    ranks = ranks - ranks.mean()
    scaled = x / np.abs(x).max()
    design = np.stack([scaled**k for k in range(columns + 1)], axis=1)
    found, *_ = np.linalg.lstsq(design, ranks, rcond=None)
    left = ranks - design @ found
    explained = float(ranks @ ranks - left @ left) / columns
    noise = float(left @ left) / room
    p_value = float(stats.f.sf(explained / noise, columns, room)) if noise > 0 else 0.0
    return {"slope": slope, "p_value": p_value}
