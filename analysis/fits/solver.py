"""Minimises a law's Huber objective from many starts, or on many resamples, at once.

Far starts come in over a falling ladder of deltas, least squares first; warm ones go straight.
``huber(r) = r^2/2`` where ``|r| <= delta`` and ``delta (|r| - delta/2)`` beyond, on logarithms
of losses (Hoffmann et al. 2022, arXiv:2203.15556, use 1e-3). Each problem's steps are those of
`analysis.fits.descent`. Results do not depend on how problems are divided over threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from loky import cpu_count

from analysis.fits.descent import Batch
from analysis.fits.model import Array, Index, Mask, Model

_LADDER_TOP = 0.5  # log units: at this delta every plausible residual is inside, least squares
_LADDER_FACTOR = 8.0
_LADDER_STEPS = 12
_FIRST_STEPS = 80
_TOGETHER = 256  # problems that step together, and
_NUMBERS = 1 << 20  # these times their points at most: 8 MB an array
_LAST_STEPS = 200
_LOOSE, _TIGHT = 1e-2, 1e-11  # relative gain of the objective not worth another step


@dataclass(frozen=True)
class Solution:
    """Where each of S problems ended.

    Attributes:
        theta: end points, [S, p].
        objective: their objectives, [S].
        converged: whether no step could lower the objective by more than the tolerance, [S].
        moved: whether the end differs from the start, [S].
        iterations: steps tried, [S].
    """

    theta: Array
    objective: Array
    converged: Mask
    moved: Mask
    iterations: Index

    def take(self, index: Index) -> Solution:
        """The problems at these positions."""
        return Solution(
            self.theta[index],
            self.objective[index],
            self.converged[index],
            self.moved[index],
            self.iterations[index],
        )


def minimise(
    model: Model,
    starts: Array,
    delta: float,
    weights: Array | None = None,
    *,
    tolerance: float = 1e-11,
    max_steps: int = 200,
) -> Solution:
    """Minimises one problem from each start, at ``delta`` alone (right for warm starts).

    Args:
        model: the form bound to its points.
        starts: [S, p]; clipped into the model's bounds.
        delta: where Huber turns from square to straight, in log units.
        weights: how often each point counts, [S, n]; once each where None.
        tolerance: relative decrease of the objective that is not worth another step.
        max_steps: steps allowed.
    """
    return _in_chunks(
        lambda piece: _ended(
            Batch(model, starts[piece], None if weights is None else weights[piece]).descend(
                delta, tolerance, max_steps
            )
        ),
        len(starts),
        model.target.size,
    )


def minimise_from_afar(
    model: Model, starts: Array, delta: float, *, direct_every: int = 16
) -> Solution:
    """Minimises one unweighted problem from many far starts.

    Most starts come in over a falling ladder of deltas. On its first rung, least squares, starts
    that meet in one place (to 1e-6) go on as one, since the way on depends on the place alone;
    each is still counted. Every ``direct_every``-th start skips the ladder, so that a wrong turn
    of the ladder would be seen.
    """
    direct = np.arange(len(starts)) % direct_every == direct_every - 1
    rungs = _rungs(delta)
    ends: list[tuple[Index, Solution]] = []
    if direct.any():
        ends.append((np.flatnonzero(direct), minimise(model, starts[direct], delta)))
    if not direct.all():
        far = starts[~direct]
        first = _in_chunks(
            lambda piece: _ended(
                Batch(model, far[piece]).descend(rungs[0], _TIGHT, _FIRST_STEPS, project=True)
            ),
            len(far),
            model.target.size,
        )
        places, place_of = np.unique(np.round(first.theta, 6), axis=0, return_inverse=True)
        _, leader = np.unique(place_of, return_index=True)

        def onward(piece: slice) -> Solution:
            batch = Batch(model, first.theta[leader[piece]])
            for rung in rungs[1:]:
                batch.descend(rung, _LOOSE, _LADDER_STEPS)
            return _ended(batch.descend(delta, _TIGHT, _LAST_STEPS))

        rest = _in_chunks(onward, len(places), model.target.size).take(place_of.reshape(-1))
        ends.append((np.flatnonzero(~direct), rest))
    order = np.argsort(np.concatenate([where for where, _ in ends]))
    merged = _concatenate([solution for _, solution in ends]).take(order)
    moved = np.any(merged.theta != np.clip(starts, model.lower, model.upper), axis=1)
    return replace(merged, moved=moved)


def _in_chunks(work: Callable[[slice], Solution], count: int, points: int) -> Solution:
    """Runs ``work`` over slices of the problems, on as many threads as there are cores.

    Of so many points fewer problems step together where there are many: memory is bounded.
    """
    chunk = max(1, min(_TOGETHER, _NUMBERS // points))

    def quiet(piece: slice) -> Solution:
        # Wild far trials under- and overflow; their objectives are refused by comparison.
        with np.errstate(all="ignore"):
            return work(piece)

    pieces = [slice(i, i + chunk) for i in range(0, max(count, 1), chunk)]
    if len(pieces) == 1:
        return quiet(pieces[0])
    with ThreadPoolExecutor(min(cpu_count(), len(pieces))) as pool:
        return _concatenate(list(pool.map(quiet, pieces)))


def _rungs(delta: float) -> list[float]:
    """Deltas to come down over before ``delta`` itself; the first is least squares."""
    rungs = [max(_LADDER_TOP, delta)]
    while rungs[-1] / _LADDER_FACTOR > 1.5 * delta:
        rungs.append(rungs[-1] / _LADDER_FACTOR)
    return rungs


def _ended(batch: Batch) -> Solution:
    moved = np.any(batch.theta != batch.start, axis=1)
    return Solution(batch.theta, batch.objective, batch.converged, moved, batch.iterations)


def _concatenate(parts: list[Solution]) -> Solution:
    return Solution(
        np.concatenate([s.theta for s in parts]),
        np.concatenate([s.objective for s in parts]),
        np.concatenate([s.converged for s in parts]),
        np.concatenate([s.moved for s in parts]),
        np.concatenate([s.iterations for s in parts]),
    )
