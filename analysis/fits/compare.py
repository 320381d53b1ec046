"""Rival laws on the same points, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.fits.result import Fit


@dataclass(frozen=True)
class Rival:
    """One law's standing among those fitted to the same points.

    Attributes:
        form, approach, axes: which fit.
        delta_aic: its AIC less the least; None where it has none.
        weight: Akaike weight, the share of evidence among the rivals; None likewise.
        held_out_error: mean signed relative error on the largest runs; None where unknown.
        held_out_by: the role by which those are the largest; None likewise. Errors by different
            roles are of different runs.
        rms_log_residual: scatter about the fit, in log units.
    """

    form: str
    approach: str
    axes: tuple[str, ...]
    delta_aic: float | None
    weight: float | None
    held_out_error: float | None
    held_out_by: str | None
    rms_log_residual: float | None


def compare(fits: Sequence[Fit]) -> list[Rival]:
    """Ranks fits of the same points by AIC, those without one last.

    AIC (of Gaussian log residuals, Akaike 1974) says which describes the fitted range; the
    held-out error says which extrapolates, and where they differ a law is for the second.

    Raises:
        ValueError: the fits are of different points, so that their AICs cannot be compared.
    """
    if len({tuple(one.rows) if one.rows else one.n_points for one in fits if one.quality}) > 1:
        raise ValueError("fits of different points cannot be compared by AIC")
    scores = [one.quality.get("aic") for one in fits]
    known = [score for score in scores if score is not None]
    least = min(known, default=0.0)
    total = sum(float(np.exp(-(score - least) / 2)) for score in known)
    rivals = []
    for one, score in zip(fits, scores, strict=True):
        rivals.append(
            Rival(
                one.form,
                one.approach,
                tuple(one.settings["axes"]),
                None if score is None else score - least,
                None if score is None else float(np.exp(-(score - least) / 2)) / total,
                one.held_out.get("mean_error"),
                one.held_out.get("by"),
                one.quality.get("rms_log_residual"),
            )
        )
    return sorted(rivals, key=lambda rival: np.inf if rival.delta_aic is None else rival.delta_aic)
