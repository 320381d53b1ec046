"""What is settled before a fit: options, whether the points allow it, and which estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from analysis.fits.bootstrap import tails
from analysis.fits.chinchilla import Chinchilla
from analysis.fits.estimator import Estimator, Huber, LeastSquares
from analysis.fits.form import Form
from analysis.fits.model import Array
from analysis.fits.points import Points
from analysis.fits.projection import VariableProjection
from analysis.fits.result import FitStatus


@dataclass(frozen=True)
class FitOptions:
    """How to fit; recorded in the result's settings.

    Attributes:
        delta: Huber's threshold in log units.
        starts: how many starts at most; a full grid.
        bootstrap: resamples; 0 for no intervals.
        level: of the intervals.
        seed: of the resamples.
        holdout: share of the points, largest by FLOPs, predicted from the others; 0 for none.
        at: places that derived quantities are asked at, by role (N, D, C or an axis).
    """

    delta: float = 1e-3
    starts: int = 4500
    bootstrap: int = 1000
    level: float = 0.95
    seed: int = 0
    holdout: float = 0.2
    at: Mapping[str, float] = field(default_factory=dict)


def refusal(form: Form, data: Points) -> tuple[FitStatus | None, str]:
    """Why these points cannot be fitted, known before any fit; None where they may be."""
    size = len(form.parameters)
    if len(data) <= size:
        return (
            FitStatus.TOO_FEW_POINTS,
            f"{len(data)} points for the {size} parameters of {form.name}; it needs {size + 1}",
        )
    places = len(np.unique(np.stack([data.axes[role] for role in form.axes]), axis=1).T)
    reason = form.unidentifiable(data)
    if reason is not None:
        return FitStatus.NOT_IDENTIFIED, reason
    if places < size:
        return (
            FitStatus.TOO_FEW_POINTS,
            f"{places} distinct points for the {size} parameters of {form.name}",
        )
    return None, ""


def estimator_of(form: Form, data: Points, options: FitOptions, approach: str) -> Estimator:
    """The law by one approach.

    Raises:
        ValueError: the approach does not apply to the law.
    """
    if approach == "huber":
        return Huber(form, data, options.delta)
    if approach == "least_squares":
        return LeastSquares(form, data)
    if approach == "variable_projection" and isinstance(form, Chinchilla):
        return VariableProjection(data)
    raise ValueError(f"{form.name} cannot be fitted by {approach!r}")


def is_squares(options: FitOptions, approach: str, points: int, objective: float) -> bool:
    """Whether the fit is one of squared residuals rather than of nearly absolute ones.

    Huber's is one where its residuals are within delta, by their mean square.
    """
    return approach != "huber" or objective <= points * options.delta**2 / 2


def interval_ends(
    form: Form, data: Points, options: FitOptions, approach: str, objective: float
) -> tuple[float, float]:
    """Quantiles of resamples for intervals, expanded where the draws spread too little."""
    groups = data.groups()[1]
    narrow = is_squares(options, approach, len(data), objective) or groups < len(data)
    return tails(options.level, groups, len(form.parameters), wide=not narrow)


def predict(form: Form, params: Mapping[str, Array], data: Points) -> Array:
    """Losses [S, n] of parameter sets [S]."""
    columns = {name: values[:, None] for name, values in params.items()}
    with np.errstate(all="ignore"):
        return form.predict(columns, {role: data.axes[role] for role in form.axes})


def settings_of(form: Form, data: Points, options: FitOptions, approach: str) -> dict[str, Any]:
    """Everything needed to make the fit again."""
    settings = asdict(options) | {
        "at": dict(options.at),
        "axes": list(form.axes),
        "columns": dict(data.columns),
        "dropped": dict(data.dropped),
        "flops": "exact" if "C" in data.axes else "6ND",
        "groups": data.groups()[1],
    }
    if approach != "huber":
        del settings["delta"]
    return settings
