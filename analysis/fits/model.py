"""What the solver asks of a law bound to its points.

Shapes throughout: S problems (starts or resamples), n points, p parameters; arrays over problems
come first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Index = npt.NDArray[np.int64]

Curve = Callable[[Array], Array]
"""From slopes [S, n] to the sum over points of slope times second derivatives, [S, p, p]."""


class Model(Protocol):
    """What the solver asks of a form bound to its points."""

    @property
    def target(self) -> Array:
        """y, the logarithms to be met, shape [n]."""
        ...

    @property
    def lower(self) -> Array:
        """Lowest allowed parameters, shape [p]."""
        ...

    @property
    def upper(self) -> Array:
        """Highest allowed parameters, shape [p]."""
        ...

    @property
    def reach(self) -> Array:
        """Longest single step by parameter, shape [p]."""
        ...

    def value(self, theta: Array) -> Array:
        """f(theta), from [S, p] to [S, n]."""
        ...

    def expand(self, theta: Array) -> tuple[Array, Array, Curve]:
        """f [S, n], its first derivatives [S, p, n], and its second derivatives' weighted sum."""
        ...

    def project(self, theta: Array) -> Array:
        """A guess [S, p] that may lie lower at the same exponents; theta itself where none."""
        ...
