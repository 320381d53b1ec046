"""What a fit says: its status first, numbers only where the status allows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Interval = tuple[float, float]


class FitStatus(StrEnum):
    """How a fit ended. Only `CONVERGED` carries parameters."""

    CONVERGED = "converged"
    """The best end is a minimum inside the bounds, and the points tell its parameters apart."""

    MAX_ITERATIONS = "max_iterations"
    """The best end could still go lower when the steps ran out."""

    UNMOVED = "unmoved"
    """Every best end is the very start it began from: the optimiser has said nothing."""

    BOUND_HIT = "bound_hit"
    """The best end lies on a bound: a term has vanished, or an exponent has run out of range."""

    NOT_IDENTIFIED = "not_identified"
    """Different parameters meet the points equally well."""

    TOO_FEW_POINTS = "too_few_points"
    """No more points than parameters: any numbers would do."""

    NOT_CONVEX = "not_convex"
    """The isoFLOP curves bend downward: they have a maximum, no optimum."""

    EDGE_OPTIMUM = "edge_optimum"
    """The isoFLOP optimum lies at or beyond the smallest or largest model of its budget."""


@dataclass(frozen=True)
class Derived:
    """A quantity that follows from the parameters.

    Attributes:
        value: at the best fit.
        ci: its percentile interval; None without a bootstrap.
        unit: what it is measured in.
        at: where it is asked (N in parameters, D in tokens, C in FLOPs); empty where nowhere.
        outside: which of those lie beyond the points, see `Points.outside`.
    """

    value: float
    ci: Interval | None
    unit: str
    at: Mapping[str, float] = field(default_factory=dict)
    outside: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """One law fitted to one set of points, with what speaks for it and against it.

    Attributes:
        form: the law's name; its formula is in the class of that form.
        approach: how it was fitted: huber, least_squares, variable_projection, parabola, akima.
        status: whether the numbers may be used.
        message: one sentence on the status.
        params: by name; every value None unless converged.
        ci: percentile interval by parameter; None where there is none.
        objective: what was minimised, at its least; None where nothing was.
        n_points: points fitted.
        settings: everything needed to fit it again.
        derived: exponents of N* and D*, tokens per parameter, predicted loss, by name.
        starts: how many, the share that reached the best, the share that converged.
        bounds_hit: parameters on a bound, with the bound's side.
        stopped_at: where the optimiser stood when the status is not converged; no estimate.
        correlations: of the bootstrap's parameters, by name and name.
        bootstrap: resamples asked and used, groups, and what went wrong in the others; empty
            where nothing was resampled.
        quality: R squared, scatter, AIC and the trend of the residuals along each axis.
        held_out: the error on the largest runs, fitted without them.
        residuals: ln L observed less ln L fitted, by point in the table's order.
        rows: the points' row numbers in the table, in the same order.
        budgets: isoFLOP only: each compute budget's optimum or why it has none.
        notes: what a reader should know besides.
    """

    form: str
    approach: str
    status: FitStatus
    message: str
    params: dict[str, float | None]
    ci: dict[str, Interval | None]
    objective: float | None
    n_points: int
    settings: dict[str, Any]
    derived: dict[str, Derived] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)
    bounds_hit: dict[str, str] = field(default_factory=dict)
    stopped_at: dict[str, float] = field(default_factory=dict)
    correlations: dict[str, dict[str, float]] = field(default_factory=dict)
    bootstrap: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    held_out: dict[str, Any] = field(default_factory=dict)
    residuals: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    budgets: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def converged(self) -> bool:
        """Whether the parameters are there to be used."""
        return self.status is FitStatus.CONVERGED

    def values(self) -> dict[str, float]:
        """The parameters of a converged fit.

        Raises:
            ValueError: the fit has none; the message says why.
        """
        found = {name: value for name, value in self.params.items() if value is not None}
        if not self.converged or len(found) < len(self.params):
            raise ValueError(f"{self.form} by {self.approach} has no parameters: {self.message}")
        return found

    def asked(self, name: str) -> Derived | None:
        """A derived quantity, if it was asked for at a place (`FitOptions.at`)."""
        found = self.derived.get(name)
        places = self.settings.get("at", {})
        return found if found is not None and found.at.keys() & places.keys() else None

    def to_json(self) -> dict[str, Any]:
        """Plain data for fits.json; what is not finite becomes null."""
        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}


def said_place(at: Mapping[str, float], outside: Mapping[str, float]) -> str:
    """A place in words, with how far it lies beyond the points: C = 1e+24 (10 times ...)."""
    far = [
        f"{role} {ratio:.3g} times that of the {'largest' if ratio > 1 else 'smallest'} run"
        for role, ratio in outside.items()
    ]
    said = ", ".join(f"{role} = {place:.3g}" for role, place in at.items())
    return f"{said} (extrapolated: {', '.join(far)})" if far else said


def refused(
    form: str,
    approach: str,
    parameters: tuple[str, ...],
    status: FitStatus,
    message: str,
    n_points: int,
    settings: dict[str, Any],
) -> Fit:
    """A fit that was not made: its parameters are None and its message says why."""
    nothing: dict[str, float | None] = dict.fromkeys(parameters)
    no_ci: dict[str, Interval | None] = dict.fromkeys(parameters)
    return Fit(form, approach, status, message, nothing, no_ci, None, n_points, settings)


def plain(value: Any) -> Any:
    """As JSON has it, and null for what is not finite."""
    if isinstance(value, Derived):
        return {
            "value": plain(value.value),
            "ci": plain(value.ci),
            "unit": value.unit,
            "at": plain(value.at),
            "outside": plain(value.outside),
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, StrEnum):
        return str(value)
    return value
