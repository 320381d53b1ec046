"""The best fit from many starts, whether it may be believed, and the same fit to resamples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from analysis.fits.form import Bound, Form, levelled
from analysis.fits.logsumexp import InLoss, LogSumExp
from analysis.fits.model import Array, Index, Mask, Model
from analysis.fits.points import Points
from analysis.fits.result import FitStatus
from analysis.fits.solver import Solution, minimise, minimise_from_afar

SAME_OBJECTIVE = 1e-6
"""Starts whose objective is within this, relatively, of the best have reached the best."""

_PERFECT = 1e-10  # log units: residuals below this are a perfect fit, whatever their ratio
_SINGULAR = 1e-9  # least over greatest singular value of the scaled derivatives
# Exponents of equally good ends further apart than both of these are different answers; nearer
# ones are the flat stretches that sums of absolute residuals have.
_FAR_APART, _FAR_APART_SHARE = 0.05, 0.2
_SQUARE = 1e6  # a Huber delta that no residual reaches


@dataclass(frozen=True)
class Best:
    """The best end over all starts.

    Attributes:
        public: the law's own parameters there.
        objective: what was minimised.
        status: whether it may be believed; ``message`` says why in a sentence.
        starts: their count, share that reached the best, share that converged.
        bounds_hit: parameters on a bound, and which.
    """

    public: dict[str, float]
    objective: float
    status: FitStatus
    message: str
    starts: dict[str, float]
    bounds_hit: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Resamples:
    """The same fit to B resamples.

    Attributes:
        public: the law's own parameters, [B] each.
        settled: which came to a minimum, [B].
        at_bound: which lie on a bound, [B].
    """

    public: dict[str, Array]
    settled: Mask
    at_bound: Mask


class Estimator(Protocol):
    """A way of fitting a law to points."""

    @property
    def approach(self) -> str:
        """Its name in results."""
        ...

    def best(self, starts: int) -> Best:
        """The best end over about this many starts."""
        ...

    def refit(self, weights: Array) -> Resamples:
        """After `best`: the fit to each row of point counts [B, n]."""
        ...


class Huber:
    """Sum of Huber losses of log residuals from a grid of starts (arXiv:2203.15556)."""

    approach = "huber"

    def __init__(self, form: Form, data: Points, delta: float) -> None:
        self.form, self.data, self.delta = form, data, delta
        self.bound = self._bind()
        self._warm: list[Array] = []

    def _bind(self) -> Bound:
        return self.form.bind(self.data)

    def best(self, starts: int) -> Best:
        """Every start to its end, the lowest polished and judged."""
        model = self.bound.model
        ends = minimise_from_afar(model, self.bound.starts(starts), self.delta)
        return self._settle(ends)

    def _settle(self, ends: Solution) -> Best:
        model = self.bound.model
        order = np.argsort(np.where(np.isfinite(ends.objective), ends.objective, np.inf))
        top = order[0]
        polished = minimise(model, ends.theta[[top]], self.delta, tolerance=1e-14)
        theta, objective = polished.theta, float(polished.objective[0])
        self._warm = [theta[0], *_others(ends, theta[0], order)]
        self._warm.append(minimise(model, theta, max(0.5, self.delta)).theta[0])
        bounds = _bounds_hit(model, theta[0], self.bound.names)
        status, message = judge(model, ends, theta, objective, self.bound.names, bounds)
        equal = reached(ends, objective, len(self.data))
        return Best(
            {name: float(value[0]) for name, value in self.bound.public(theta).items()},
            objective,
            status,
            message,
            {
                "count": len(ends.objective),
                "share_reached_best": float(equal.mean()),
                "share_converged": float(ends.converged.mean()),
            },
            bounds,
        )

    def refit(self, weights: Array) -> Resamples:
        """Each resample from the best fit, its rivals and the least-squares fit; the lowest."""
        chosen: Solution | None = None
        for start in self._warm:
            tried = minimise(
                self.bound.model,
                np.tile(start, (len(weights), 1)),
                self.delta,
                weights,
                tolerance=1e-9,
                max_steps=60,
            )
            chosen = tried if chosen is None else _lower(chosen, tried)
        if chosen is None:
            raise RuntimeError("refit() before best(): there is no fit to start from")
        slow = np.flatnonzero(~chosen.converged)
        if len(slow):  # long flat valleys: leaving them out would narrow the intervals
            longer = minimise(
                self.bound.model,
                chosen.theta[slow],
                self.delta,
                weights[slow],
                tolerance=1e-8,
                max_steps=600,
            )
            chosen.theta[slow], chosen.converged[slow] = longer.theta, longer.converged
        model = self.bound.model
        edge = np.any((chosen.theta <= model.lower) | (chosen.theta >= model.upper), axis=1)
        return Resamples(self.bound.public(chosen.theta), chosen.converged, np.asarray(edge))


class LeastSquares(Huber):
    """Sum of squares of the loss's own residuals, for laws published that way."""

    approach = "least_squares"

    def __init__(self, form: Form, data: Points) -> None:
        super().__init__(form, data, _SQUARE)

    def _bind(self) -> Bound:
        bound = self.form.bind(self.data)
        if not isinstance(bound.model, LogSumExp):
            raise TypeError(f"{self.form.name} is not a sum of terms; fit it by huber")
        return Bound(InLoss(bound.model), bound.levels, bound.names, bound.public, bound.place)

    def _settle(self, ends: Solution) -> Best:
        best = super()._settle(ends)
        unit = float(np.exp(2 * levelled(self.data.loss)[0]))  # what the model's losses are over
        return Best(
            best.public,
            best.objective * unit,
            best.status,
            best.message,
            best.starts,
            best.bounds_hit,
        )


def reached(ends: Solution, objective: float, points: int) -> Mask:
    """Which ends are as good as the objective: within 1e-6 of it, or perfect."""
    slack = SAME_OBJECTIVE * objective + 0.5 * points * _PERFECT**2
    return np.asarray(ends.objective <= objective + slack)


def judge(
    model: Model,
    ends: Solution,
    theta: Array,
    objective: float,
    names: tuple[str, ...],
    bounds: dict[str, str],
) -> tuple[FitStatus, str]:
    """Whether the best end (theta [1, p]) may be believed, and why or why not."""
    equal = reached(ends, objective, len(model.target))
    if not np.isfinite(objective) or not ends.converged[equal].any():
        return FitStatus.MAX_ITERATIONS, "the best end could still go lower"
    if not ends.moved[equal].any():
        return FitStatus.UNMOVED, "no start that ended best had moved from where it began"
    if bounds:
        where = "; ".join(f"{name} {side}" for name, side in bounds.items())
        return FitStatus.BOUND_HIT, f"the best fit lies on a bound: {where}"
    _, jacobian, _ = model.expand(theta)
    lengths = np.linalg.norm(jacobian[0], axis=1)
    if not np.all(lengths > 0):
        idle = ", ".join(n for n, length in zip(names, lengths, strict=True) if not length > 0)
        return FitStatus.NOT_IDENTIFIED, f"the points do not depend on {idle}"
    singular = np.linalg.svd(jacobian[0] / lengths[:, None], compute_uv=False)
    if singular[-1] < _SINGULAR * singular[0]:
        return (
            FitStatus.NOT_IDENTIFIED,
            "a whole line of parameters fits equally well: the points tell fewer of them apart",
        )
    for i, name in enumerate(names):
        if not name.startswith(("alpha", "beta")):
            continue
        low, high = ends.theta[equal, i].min(), ends.theta[equal, i].max()
        if high - low > max(_FAR_APART, _FAR_APART_SHARE * low):
            return (
                FitStatus.NOT_IDENTIFIED,
                f"equally good fits have {name} from {low:.3f} to {high:.3f}",
            )
    return FitStatus.CONVERGED, "an interior minimum"


def _bounds_hit(model: Model, theta: Array, names: tuple[str, ...]) -> dict[str, str]:
    out = {}
    for i, name in enumerate(names):
        if theta[i] <= model.lower[i]:
            slope = name.startswith(("alpha", "beta"))
            out[name] = "has gone to its least" if slope else "has vanished"
        elif theta[i] >= model.upper[i]:
            out[name] = "has gone to its greatest"
    return out


def _others(ends: Solution, best: Array, order: Index, count: int = 2) -> list[Array]:
    """Up to two other places where starts ended, the lowest first: rivals for a resample."""
    kept: list[Array] = []
    for i in order:
        apart = [np.max(np.abs(ends.theta[i] - one)) > 1e-2 for one in (best, *kept)]
        if ends.converged[i] and all(apart):
            kept.append(ends.theta[i])
            if len(kept) == count:
                break
    return kept


def _lower(one: Solution, other: Solution) -> Solution:
    """Problem by problem, the end with the lower objective."""
    take = other.objective < one.objective
    wide = take[:, None]
    return Solution(
        np.where(wide, other.theta, one.theta),
        np.where(take, other.objective, one.objective),
        np.where(take, other.converged, one.converged),
        np.where(take, other.moved, one.moved),
        one.iterations + other.iterations,
    )
