"""What every law has in common: names, bounds, starts, and a way back to its own parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from analysis.fits.model import Array, Model
from analysis.fits.points import Points

FAINT = 14.0
"""A term at its largest below e^-14 (1e-6) of the least loss counts as vanished."""

STEEPEST = 10.0
"""No law of losses falls faster than x^-10 over its whole range; there an exponent is stopped."""


@dataclass(frozen=True)
class Asked:
    """A derived quantity over parameter sets: values [S], with unit and place."""

    values: Array
    unit: str
    at: Mapping[str, float]


@dataclass(frozen=True)
class Bound:
    """A law bound to its points.

    Attributes:
        model: what the solver minimises, logarithms of losses over the median loss.
        levels: per internal parameter, the low-to-high range that starts are taken from.
        names: public name behind each internal parameter, for messages about bounds.
        public: from internal [S, p] to the law's own parameters, [S] each.
        starts: builds starts from a grid over ``levels``; the grid itself by default.
    """

    model: Model
    levels: tuple[Callable[[int], Array], ...]
    names: tuple[str, ...]
    public: Callable[[Array], dict[str, Array]]
    place: Callable[[Array], Array] = lambda grid: grid

    def starts(self, count: int) -> Array:
        """At most ``count`` starts, a full grid with as even level counts as fit: [S, p]."""
        return self.place(grid(self.levels, count))


class Form(ABC):
    """A law L(...) with named parameters. ``name`` is what ``--form`` takes."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def parameters(self) -> tuple[str, ...]:
        """Public parameter names."""

    @property
    @abstractmethod
    def axes(self) -> tuple[str, ...]:
        """Roles that the law is a function of."""

    @abstractmethod
    def unidentifiable(self, data: Points) -> str | None:
        """Why these points cannot tell the parameters apart, in a sentence; None if they may."""

    @abstractmethod
    def bind(self, data: Points) -> Bound:
        """The law over these points, in the solver's coordinates."""

    @abstractmethod
    def predict(self, params: Mapping[str, Array], axes: Mapping[str, Array]) -> Array:
        """Losses; parameters and axes are broadcast against each other."""

    def simpler(self) -> Sequence[Form]:
        """Laws with a term less, which the points must refute for these exponents to count."""
        return ()

    def answers(self, at: Mapping[str, float]) -> set[str]:
        """Which of the roles asked about the law has an answer to: all of its axes, or none."""
        return set(self.axes) if at.keys() >= set(self.axes) else set()

    def derived(
        self, params: Mapping[str, Array], data: Points, at: Mapping[str, float]
    ) -> dict[str, Asked]:
        """Quantities that follow from parameters [S]; by default the loss at the place asked.

        ``at`` holds the places asked about by role.
        """
        if not self.axes or not self.answers(at) >= set(self.axes):
            return {}
        place = {role: at[role] for role in self.axes}
        axes = {role: np.asarray(value) for role, value in place.items()}
        return {"predicted_loss": Asked(self.predict(params, axes), "loss", place)}


class OfSizeAndTokens(Form):
    """A law of N and D, each with a term and an exponent of its own."""

    least: ClassVar[int]  # levels of N and of D that tell the exponents

    @property
    def axes(self) -> tuple[str, ...]:
        """N and D."""
        return ("N", "D")

    def unidentifiable(self, data: Points) -> str | None:
        """Enough levels of N and of D, which must not move together."""
        return (
            too_few_levels(data, "N", self.least, self.name)
            or too_few_levels(data, "D", self.least, self.name)
            or move_together(data, "N", "D")
        )


def grid(levels: Sequence[Callable[[int], Array]], count: int) -> Array:
    """The full grid with as even numbers of levels as keep it within ``count``: [S, p].

    4,500 starts of five parameters are 6 x 6 x 5 x 5 x 5.
    """
    each = max(1, int(count ** (1 / len(levels)) + 1e-9))
    numbers = [each] * len(levels)
    for i in range(len(levels)):
        numbers[i] += 1
        if np.prod(numbers) > count:
            numbers[i] -= 1
            break
    axes = [level(number) for level, number in zip(levels, numbers, strict=True)]
    return np.array(list(product(*axes)), dtype=np.float64)


def between(low: float, high: float) -> Callable[[int], Array]:
    """Even levels; their middle where only one is asked."""
    return lambda n: np.linspace(low, high, n) if n > 1 else np.array([(low + high) / 2])


def exponents(low: float = 0.05, high: float = 2.0) -> Callable[[int], Array]:
    """Exponents at even ratios."""
    return lambda n: np.exp(between(np.log(low), np.log(high))(n))


def floors(least: float) -> Callable[[int], Array]:
    """Logarithms of irreducible losses from a tenth to nearly all of the least loss."""
    return lambda n: least + np.log(between(0.1, 0.98)(n))


def too_few_levels(data: Points, role: str, needed: int, law: str) -> str | None:
    """A sentence if a column has fewer than ``needed`` distinct values."""
    count = len(np.unique(data.axes[role]))
    if count >= needed:
        return None
    values = "value" if count == 1 else "values"
    column = data.columns.get(role, role)
    return (
        f"column {column!r} has {count} distinct {values} and {law} needs {needed}"
        " to tell its exponent"
    )


def move_together(data: Points, first: str, second: str) -> str | None:
    """A sentence if two columns are the same up to a power: their exponents could be swapped."""
    x, y = np.log(data.axes[first]), np.log(data.axes[second])
    x, y = x - x.mean(), y - y.mean()
    both = float(np.sqrt((x @ x) * (y @ y)))
    if both > 0 and abs(float(x @ y)) < (1 - 1e-9) * both:
        return None
    one, two = data.columns.get(first, first), data.columns.get(second, second)
    return f"columns {one!r} and {two!r} move together, so their exponents cannot be told apart"


def levelled(loss: Array) -> tuple[float, Array]:
    """ln of the median loss, and the logarithms of the losses from it."""
    logs = np.log(loss)
    level = float(np.median(logs))
    return level, logs - level
