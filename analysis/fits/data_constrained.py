"""Chinchilla's law where tokens repeat: Muennighoff's data-constrained form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analysis.fits.chinchilla import Chinchilla
from analysis.fits.form import (
    FAINT,
    STEEPEST,
    Bound,
    Form,
    between,
    exponents,
    floors,
    levelled,
)
from analysis.fits.model import Array, Curve
from analysis.fits.points import Points

_LEAST_EXPONENT = 1e-3  # N*(U) divides by the exponents


@dataclass(frozen=True)
class DataConstrained(Form):
    """``L = E + A/N'^alpha + B/D'^beta`` (Muennighoff et al. 2023, arXiv:2305.16264).

    With U unique tokens, ``D' = U (1 + R_D (1 - exp(-(D/U - 1)/R_D)))``: repeated tokens are
    worth less and less, R_D being the repeats by which a token's worth has fallen to 1/e.
    Likewise ``N' = U_N (1 + R_N (1 - exp(-(N/U_N - 1)/R_N)))`` for parameters beyond
    ``U_N = min(N, N*(U))``, the compute-optimal size for U tokens:
    ``N*(U) = G (G U)^(beta/alpha)``, ``G = (alpha A/(beta B))^(1/(alpha+beta))``.
    R_N and R_D are pure numbers. All seven are fitted together (the paper fits five first).
    Of a data set larger than D, U is the D tokens that were trained on.
    """

    name: ClassVar[str] = "data_constrained"

    @property
    def parameters(self) -> tuple[str, ...]:
        """E, A, B, alpha, beta, R_N, R_D."""
        return ("E", "A", "B", "alpha", "beta", "R_N", "R_D")

    @property
    def axes(self) -> tuple[str, ...]:
        """N, D and the unique tokens U."""
        return ("N", "D", "U")

    def simpler(self) -> Sequence[Form]:
        """Repeated tokens as good as new ones."""
        return (Chinchilla(),)

    def unidentifiable(self, data: Points) -> str | None:
        """As Chinchilla's, and some tokens must repeat."""
        if not np.any(data.axes["D"] > 1.001 * data.axes["U"]):
            column = data.columns.get("U", "U")
            return f"no run has more tokens than column {column!r}: nothing says what repeats cost"
        return Chinchilla().unidentifiable(data)

    def bind(self, data: Points) -> Bound:
        """Internal: as Chinchilla's five, then ln R_N and ln R_D."""
        level, y = levelled(data.loss)
        model = _Repeats.over(data, y, level)
        low, high = y.min(), y.max()

        def public(theta: Array) -> dict[str, Array]:
            return {
                "E": np.exp(theta[:, 4] + level),
                "A": np.exp(theta[:, 0] + level + theta[:, 1] * model.n0),
                "B": np.exp(theta[:, 2] + level + theta[:, 3] * model.d0),
                "alpha": theta[:, 1],
                "beta": theta[:, 3],
                "R_N": np.exp(theta[:, 5]),
                "R_D": np.exp(theta[:, 6]),
            }

        heights = between(low - 3, high)
        slopes, fades = exponents(0.1, 1.0), between(0.5, 3.0)
        levels = (heights, heights, slopes, slopes, floors(low), fades, fades)
        names = ("A", "alpha", "B", "beta", "E", "R_N", "R_D")
        return Bound(model, levels, names, public, lambda grid: grid[:, [0, 2, 1, 3, 4, 5, 6]])

    def predict(self, params: Mapping[str, Array], axes: Mapping[str, Array]) -> Array:
        """The law at N parameters, D tokens, U of them unique."""
        alpha, beta = params["alpha"], params["beta"]
        log_g = np.log(alpha * params["A"] / (beta * params["B"])) / (alpha + beta)
        seen = np.minimum(axes["U"], axes["D"])
        best = np.exp(log_g + beta / alpha * (log_g + np.log(seen)))
        unique = np.minimum(best, axes["N"])
        n = unique * _worth(axes["N"] / unique, params["R_N"])
        d = seen * _worth(axes["D"] / seen, params["R_D"])
        return np.asarray(params["E"] + params["A"] * n**-alpha + params["B"] * d**-beta)


def _worth(times: Array, fade: Array) -> Array:
    """How many unique passes ``times`` passes are worth: 1 + R (1 - exp(-(times - 1)/R))."""
    return np.asarray(1 - fade * np.expm1(-(times - 1) / fade))


def _log_worth(times: Array, fade: Array) -> tuple[Array, Array, Array]:
    """ln worth, and its derivatives by ln ``times`` and by ln ``fade``."""
    z = (times - 1) / fade
    left = np.exp(-z)
    worth = 1 - fade * np.expm1(-z)
    return np.log(worth), times * left / worth, (-fade * np.expm1(-z) - fade * z * left) / worth


@dataclass(frozen=True)
class _Repeats:
    """The form over its points, as the solver wants it; Gauss-Newton, without curvature."""

    n: Array
    u: Array
    times: Array
    n0: float
    d0: float
    level: float
    target: Array
    lower: Array
    upper: Array
    reach: Array

    @classmethod
    def over(cls, data: Points, y: Array, level: float) -> _Repeats:
        """Bounds: R between a hundredth of a repeat and ten thousand (fades never)."""
        low, high, least = y.min(), y.max(), _LEAST_EXPONENT
        seen = np.minimum(data.axes["U"], data.axes["D"])
        n, u = np.log(data.axes["N"]), np.log(seen)
        return cls(
            n=n,
            u=u,
            times=data.axes["D"] / seen,
            n0=float(n.min()),
            d0=float(u.min()),
            level=level,
            target=y,
            lower=np.array([low - FAINT, least, low - FAINT, least, low - FAINT, -4.6, -4.6]),
            upper=np.array([high + 5, STEEPEST, high + 5, STEEPEST, high + 1, 9.2, 9.2]),
            reach=np.array([2.0, 0.3, 2.0, 0.3, 1.0, 1.0, 1.0]),
        )

    def value(self, theta: Array) -> Array:
        """ln L over the median: [S, n]."""
        return self.expand(theta)[0]

    def expand(self, theta: Array) -> tuple[Array, Array, Curve]:
        """ln L and its exact first derivatives [S, 7, n]; the curvature is left out."""
        log_a, alpha, log_b, beta, floor, log_rn, log_rd = (theta[:, [i]] for i in range(7))
        both = alpha + beta
        # ln G, and its derivatives by the internal parameters
        g = (
            np.log(alpha) + log_a + alpha * self.n0 - np.log(beta) - log_b - beta * self.d0
        ) / both
        g_by = {
            0: 1 / both,
            1: (1 / alpha + self.n0 - g) / both,
            2: -1 / both,
            3: (-1 / beta - self.d0 - g) / both,
        }
        ratio = beta / alpha
        best = g + ratio * (self.u + g)
        free = best < self.n  # elsewhere U_N = N, and nothing moves it
        unique = np.where(free, best, self.n)
        log_wn, wn_by_times, wn_by_fade = _log_worth(np.exp(self.n - unique), np.exp(log_rn))
        log_wd, _, wd_by_fade = _log_worth(self.times, np.exp(log_rd))
        n, d = unique + log_wn - self.n0, self.u + log_wd - self.d0
        lines = np.stack([log_a - alpha * n, log_b - beta * d, np.broadcast_to(floor, n.shape)])
        top = lines.max(axis=0)
        shares = np.exp(lines - top)
        total = shares.sum(axis=0)
        shares /= total
        out = np.zeros((len(theta), 7, len(self.target)))
        out[:, 0], out[:, 1] = shares[0], -shares[0] * n
        out[:, 2], out[:, 3] = shares[1], -shares[1] * d
        out[:, 4] = shares[2]
        out[:, 5] = -shares[0] * alpha * wn_by_fade
        out[:, 6] = -shares[1] * beta * wd_by_fade
        by_unique = -shares[0] * alpha * (1 - wn_by_times) * free
        for i, slope in g_by.items():
            moved = (1 + ratio) * slope
            if i == 1:
                moved = moved - ratio / alpha * (self.u + g)
            if i == 3:
                moved = moved + (self.u + g) / alpha
            out[:, i] += by_unique * moved

        def curve(slope: Array) -> Array:
            return np.zeros((len(slope), 7, 7))

        return top + np.log(total), out, curve

    def project(self, theta: Array) -> Array:
        """No guess: the law is not linear in its heights, which move N*(U)."""
        return theta
