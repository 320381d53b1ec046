"""Laws of one axis: the power law with and without a floor, and a power of the logarithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analysis.fits.form import (
    FAINT,
    STEEPEST,
    Bound,
    Form,
    between,
    exponents,
    floors,
    levelled,
    too_few_levels,
)
from analysis.fits.logsumexp import LogSumExp, Term
from analysis.fits.model import Array
from analysis.fits.points import Points


@dataclass(frozen=True)
class Constant(Form):
    """``L = E``: what a law of any axis has to beat."""

    name: ClassVar[str] = "constant"

    @property
    def parameters(self) -> tuple[str, ...]:
        """E."""
        return ("E",)

    @property
    def axes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def unidentifiable(self, data: Points) -> str | None:
        """One loss is enough."""
        return None

    def bind(self, data: Points) -> Bound:
        """Internal: ln E over the median."""
        level, y = levelled(data.loss)
        low, high = y.min() - 1, y.max() + 1
        model = LogSumExp((Term(0),), y, np.array([low]), np.array([high]), np.array([2.0]))

        def public(theta: Array) -> dict[str, Array]:
            return {"E": np.exp(theta[:, 0] + level)}

        return Bound(model, (between(y.min(), y.max()),), ("E",), public)

    def predict(self, params: Mapping[str, Array], axes: Mapping[str, Array]) -> Array:
        """E."""
        return np.asarray(params["E"])


@dataclass(frozen=True)
class PowerLaw(Form):
    """``L = E + A x^-alpha`` (Hestness et al. 2017, arXiv:1712.00409; Kaplan, 2001.08361).

    E and A in the loss's unit (A at x = 1), alpha a pure number.

    Attributes:
        axis: the role x is taken from: N, D, C or a column's own name.
    """

    name: ClassVar[str] = "power_law"
    axis: str = "N"

    @property
    def parameters(self) -> tuple[str, ...]:
        """E, A, alpha."""
        return ("E", "A", "alpha")

    @property
    def axes(self) -> tuple[str, ...]:
        """The one axis."""
        return (self.axis,)

    def simpler(self) -> Sequence[Form]:
        """No law at all."""
        return (Constant(),)

    def unidentifiable(self, data: Points) -> str | None:
        """Three levels of x for a floor, a height and a slope."""
        return too_few_levels(data, self.axis, 3, self.name)

    def bind(self, data: Points) -> Bound:
        """Internal: ln A x_min^-alpha, alpha, ln E, losses over their median."""
        level, y = levelled(data.loss)
        origin = np.log(data.axes[self.axis]).min()
        x = np.log(data.axes[self.axis]) - origin
        low, high = y.min(), y.max()
        model = LogSumExp(
            (Term(0, x, 1), Term(2)),
            y,
            lower=np.array([low - FAINT, 0.0, low - FAINT]),
            upper=np.array([high + 5, STEEPEST, high + 1]),
            reach=np.array([2.0, 0.5, 1.0]),
        )

        def public(theta: Array) -> dict[str, Array]:
            height = theta[:, 0] + level + theta[:, 1] * origin
            return {
                "E": np.exp(theta[:, 2] + level),
                "A": np.exp(height),
                "alpha": theta[:, 1],
            }

        levels = (between(low - 4, high), exponents(), floors(low))
        return Bound(model, levels, ("A", "alpha", "E"), public)

    def predict(self, params: Mapping[str, Array], axes: Mapping[str, Array]) -> Array:
        """E + A x^-alpha."""
        return np.asarray(params["E"] + params["A"] * axes[self.axis] ** -params["alpha"])


@dataclass(frozen=True)
class PowerLawNoOffset(Form):
    """``L = A x^-alpha``: a straight line in log-log axes. A in the loss's unit."""

    name: ClassVar[str] = "power_law_no_offset"
    axis: str = "N"

    @property
    def parameters(self) -> tuple[str, ...]:
        """A, alpha."""
        return ("A", "alpha")

    @property
    def axes(self) -> tuple[str, ...]:
        """The one axis."""
        return (self.axis,)

    def simpler(self) -> Sequence[Form]:
        """No law at all."""
        return (Constant(),)

    def unidentifiable(self, data: Points) -> str | None:
        """Two levels of x for a line."""
        return too_few_levels(data, self.axis, 2, self.name)

    def _stretch(self, x: Array) -> Array:
        """The logarithm that the line is drawn against."""
        return np.asarray(np.log(x))

    def bind(self, data: Points) -> Bound:
        """Internal: ln of the loss at the least x, and alpha."""
        level, y = levelled(data.loss)
        stretched = self._stretch(data.axes[self.axis])
        origin = stretched.min()
        model = LogSumExp(
            (Term(0, stretched - origin, 1),),
            y,
            lower=np.array([y.min() - FAINT, 0.0]),
            upper=np.array([y.max() + 5, STEEPEST]),
            reach=np.array([2.0, 0.5]),
        )

        def public(theta: Array) -> dict[str, Array]:
            height = theta[:, 0] + level + theta[:, 1] * origin
            return {"A": np.exp(height), "alpha": theta[:, 1]}

        return Bound(
            model, (between(y.min() - 2, y.max() + 1), exponents()), self.parameters, public
        )

    def predict(self, params: Mapping[str, Array], axes: Mapping[str, Array]) -> Array:
        """A x^-alpha."""
        return np.asarray(params["A"] * np.exp(-params["alpha"] * self._stretch(axes[self.axis])))


@dataclass(frozen=True)
class LogPower(PowerLawNoOffset):
    """``L = A (ln x)^-alpha``: falls more slowly than any power law, and has no floor.

    The rival to hold a power law against; it needs x > 1 and depends on x's unit (parameters,
    tokens, FLOPs as counts).
    """

    name: ClassVar[str] = "log_power"

    def unidentifiable(self, data: Points) -> str | None:
        """Two levels of x, all above 1."""
        if data.axes[self.axis].min() <= 1:
            column = data.columns.get(self.axis, self.axis)
            return f"column {column!r} has a value of 1 or less, whose logarithm has no power law"
        return super().unidentifiable(data)

    def _stretch(self, x: Array) -> Array:
        return np.asarray(np.log(np.log(x)))
