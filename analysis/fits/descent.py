"""Steps many Huber problems together, each by a damped Newton step of its own.

The objective of one problem is the sum over points of ``w * huber(f(theta) - y, delta)`` on
logarithms of losses. With a delta far below the scatter it is nearly a sum of absolute values,
where general optimisers stop too early. Each step here is Newton's, damped by ``lambda`` times
the Gauss-Newton matrix with the weights ``min(1, delta/|r|)``: that matrix majorises the
objective's curvature, so ``lambda = 1`` is an iteratively reweighted least squares step, which
hardly ever fails, and ``lambda -> 0`` is Newton's step, which finishes quadratically.
"""

from __future__ import annotations

import numpy as np

from analysis.fits.model import Array, Index, Mask, Model

_ZERO_RESIDUAL = 1e-14  # log units: residuals below this are rounding
_DECREASE = 1e-3  # share of the expected decrease that a step must bring
_STALLED = 1e12  # a damping above this moves nothing


def huber(residual: Array, delta: float) -> Array:
    """``r^2/2`` inside delta, ``delta (|r| - delta/2)`` outside; any shape."""
    size = np.abs(residual)
    inside = np.minimum(size, delta)
    inside *= size - 0.5 * inside
    return inside


class Batch:
    """Problems that step together; those that are done step no more.

    Attributes:
        start: where each began, within bounds, [S, p].
        theta: where each is now, [S, p].
        objective: there, at the last delta, [S].
        converged: whether the last descent ended at a minimum, [S].
        iterations: steps tried, [S].
    """

    def __init__(self, model: Model, starts: Array, weights: Array | None = None) -> None:
        self.model = model
        self.start = np.clip(starts, model.lower, model.upper)
        self.theta = self.start.copy()
        self.weights = weights
        self.iterations = np.zeros(len(starts), dtype=np.int64)
        self.objective = np.full(len(starts), np.inf)
        self.converged = np.zeros(len(starts), dtype=bool)

    def _objective(self, theta: Array, which: Index, delta: float) -> Array:
        loss = huber(self.model.value(theta) - self.model.target, delta)
        if self.weights is None:
            return np.asarray(loss.sum(axis=1))
        return np.einsum("sn,sn->s", loss, self.weights[which])

    def _derivatives(self, theta: Array, which: Index, delta: float) -> tuple[Array, Array, Array]:
        """Gradient [S, p], Hessian and the majorising Gauss-Newton matrix [S, p, p]."""
        f, jacobian, curve = self.model.expand(theta)
        residual = f - self.model.target
        size = np.abs(residual)
        slope = np.clip(residual, -delta, delta)
        inside = (size <= delta).astype(np.float64)
        outside = delta / np.maximum(size, delta)
        if self.weights is not None:
            counts = self.weights[which]
            slope *= counts
            inside *= counts
            outside *= counts
        gradient = np.matmul(jacobian, slope[:, :, None])[:, :, 0]
        across = np.swapaxes(jacobian, 1, 2)
        hessian = np.matmul(jacobian * inside[:, None, :], across)
        hessian += curve(slope)
        majoriser = np.matmul(jacobian * outside[:, None, :], across)
        return gradient, hessian, majoriser

    def descend(
        self, delta: float, tolerance: float, max_steps: int, project: bool = False
    ) -> Batch:
        """Steps at one delta until each problem is done, or ``max_steps``."""
        model, count, size = self.model, *self.theta.shape
        everyone = np.arange(count)
        objective = self._objective(self.theta, everyone, delta)
        points = model.target.size if self.weights is None else self.weights.sum(axis=1)
        floor = np.broadcast_to(0.5 * points * _ZERO_RESIDUAL**2, (count,))
        damping = np.full(count, 0.1)
        converged = np.zeros(count, dtype=bool)
        gradient, hessian, majoriser = self._derivatives(self.theta, everyone, delta)
        active = everyone
        diagonal = np.arange(size)
        for _ in range(max_steps):
            g, theta = gradient[active], self.theta[active]
            held = ((theta <= model.lower) & (g > 0)) | ((theta >= model.upper) & (g < 0))
            g = np.where(held, 0.0, g)
            plain, bound = _freeze(hessian[active], held), _freeze(majoriser[active], held)
            ridge = 1e-13 * bound[:, diagonal, diagonal].max(axis=1) + 1e-300
            bound[:, diagonal, diagonal] += ridge[:, None]
            # What an undamped reweighted step would gain: the measure of being done.
            gain = 0.5 * np.einsum("sp,sp->s", g, _solve(bound, g))
            now = objective[active]
            finished = gain <= tolerance * now + floor[active]
            finished |= ~np.isfinite(now)
            converged[active[finished & np.isfinite(now)]] = True
            going = ~finished & (damping[active] < _STALLED)
            if not going.any():
                break
            active, g, theta, now = active[going], g[going], theta[going], now[going]
            plain, bound = plain[going], bound[going]
            lam = damping[active]
            step = -_solve(plain + lam[:, None, None] * bound, g)
            # Uphill or broken directions come from an indefinite Hessian: reweight instead.
            bad = ~(np.einsum("sp,sp->s", g, step) < 0)
            if bad.any():
                step[bad] = -_solve(bound[bad] * (1 + lam[bad])[:, None, None], g[bad])
            step /= np.maximum(1.0, np.max(np.abs(step) / model.reach, axis=1))[:, None]
            trial = np.clip(theta + step, model.lower, model.upper)
            after = self._objective(trial, active, delta)
            if project:  # a step along a curved valley leaves its floor: go back to it
                other = model.project(trial)
                value = self._objective(other, active, delta)
                lower = np.asarray(value < after)
                trial[lower], after[lower] = other[lower], value[lower]
            expected = -np.einsum("sp,sp->s", g, step) - 0.5 * np.einsum(
                "sp,spq,sq->s", step, plain, step
            )
            # Any decrease at all would not do: where every residual is straight, a damping of 0.5
            # reflects about the minimum, and to and fro goes on for ever, lower by rounding alone.
            better = np.asarray(now - after > _DECREASE * np.maximum(expected, 0.0))
            ratio = np.where(better, (now - after) / np.where(expected > 0, expected, np.inf), 0)
            lam = np.where(ratio > 0.2, lam / 8, lam)
            damping[active] = np.where(better, np.maximum(lam, 1e-9), np.maximum(lam, 1e-6) * 5)
            self.iterations[active] += 1
            won = active[better]
            if len(won):
                self.theta[won] = trial[better]
                objective[won] = after[better]
                gradient[won], hessian[won], majoriser[won] = self._derivatives(
                    trial[better], won, delta
                )
        self.objective, self.converged = objective, converged
        return self


def _freeze(matrix: Array, held: Mask) -> Array:
    """The matrices with held parameters' rows and columns those of the identity."""
    free = (~held).astype(np.float64)
    frozen = matrix * free[:, :, None] * free[:, None, :]
    diagonal = np.arange(held.shape[1])
    frozen[:, diagonal, diagonal] += held
    return frozen


def _solve(matrix: Array, vector: Array) -> Array:
    """Solves [S, p, p] x = [S, p]; a singular or broken system answers zeros."""
    finite = np.isfinite(matrix).all(axis=(1, 2)) & np.isfinite(vector).all(axis=1)
    ok = np.asarray(finite)
    matrix = np.where(ok[:, None, None], matrix, np.eye(matrix.shape[1]))
    vector = np.where(ok[:, None], vector, 0.0)
    try:
        answer = np.linalg.solve(matrix, vector[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:  # one exactly singular matrix spoils the batch: nudge all
        scale = np.abs(matrix).max(axis=(1, 2))[:, None, None] + 1e-300
        nudged = matrix + 1e-13 * scale * np.eye(matrix.shape[1])
        answer = np.linalg.solve(nudged, vector[:, :, None])[:, :, 0]
    return np.asarray(np.where(np.isfinite(answer), answer, 0.0))
