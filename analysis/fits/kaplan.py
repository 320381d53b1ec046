"""Kaplan's law of parameters and tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analysis.fits.form import (
    STEEPEST,
    Bound,
    Form,
    OfSizeAndTokens,
    between,
    exponents,
    levelled,
)
from analysis.fits.logsumexp import LogSumExp, Term
from analysis.fits.model import Array
from analysis.fits.points import Points
from analysis.fits.power_law import PowerLawNoOffset

_FLATTEST = 1e-3  # an outer exponent below this is a loss that ignores both axes


@dataclass(frozen=True)
class Kaplan(OfSizeAndTokens):
    """``L(N, D) = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D`` (arXiv:2001.08361, eq. 1.5).

    N_c in parameters, D_c in tokens; they also carry the loss's unit, as L has no other scale.
    The law has no floor: it falls to zero with N and D.
    """

    name: ClassVar[str] = "kaplan"
    least: ClassVar[int] = 2

    @property
    def parameters(self) -> tuple[str, ...]:
        """N_c, D_c, alpha_N, alpha_D."""
        return ("N_c", "D_c", "alpha_N", "alpha_D")

    def simpler(self) -> Sequence[Form]:
        """Without N, and without D."""
        return (PowerLawNoOffset("D"), PowerLawNoOffset("N"))

    def bind(self, data: Points) -> Bound:
        """Internal: both terms' logarithms at the least N and D, their ratio, alpha_D."""
        level, y = levelled(data.loss)
        n0, d0 = np.log(data.axes["N"]).min(), np.log(data.axes["D"]).min()
        widest = (np.ptp(y) + 10) / _FLATTEST
        model = LogSumExp(
            (Term(0, np.log(data.axes["N"]) - n0, 1), Term(2, np.log(data.axes["D"]) - d0)),
            y,
            lower=np.array([-widest, 0.0, -widest, _FLATTEST]),
            upper=np.array([widest, STEEPEST / _FLATTEST, widest, STEEPEST]),
            reach=np.array([5.0, 2.0, 5.0, 0.2]),
            scale=3,
        )

        def public(theta: Array) -> dict[str, Array]:
            ratio, outer = theta[:, 1], theta[:, 3]
            with np.errstate(over="ignore", divide="ignore"):
                return {
                    "N_c": np.exp((theta[:, 0] + level / outer) / ratio + n0),
                    "D_c": np.exp(theta[:, 2] + level / outer + d0),
                    "alpha_N": ratio * outer,
                    "alpha_D": outer,
                }

        def place(grid: Array) -> Array:
            """From (height of N's part, of D's part, alpha_N, alpha_D) in log loss."""
            outer = grid[:, 3]
            return np.stack(
                [grid[:, 0] / outer, grid[:, 2] / outer, grid[:, 1] / outer, outer], axis=1
            )

        heights = between(y.min() - 2, y.max() + 0.5)
        levels = (heights, heights, exponents(0.02, 1.0), exponents(0.02, 1.0))
        return Bound(model, levels, ("N_c", "alpha_N", "D_c", "alpha_D"), public, place)

    def predict(self, params: Mapping[str, Array], axes: Mapping[str, Array]) -> Array:
        """The law, its two parts added as logarithms so that neither overflows."""
        outer = params["alpha_D"]
        by_n = params["alpha_N"] / outer * (np.log(params["N_c"]) - np.log(axes["N"]))
        by_d = np.log(params["D_c"]) - np.log(axes["D"])
        return np.asarray(np.exp(outer * np.logaddexp(by_n, by_d)))
