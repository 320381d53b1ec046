"""Chinchilla's law by variable projection: search alpha and beta, solve E, A and B.

For given exponents the law is linear in E, A and B, so only two parameters are searched; the
five-parameter fit's condition number of some 1e11 falls to about ten. The objective is half the
sum of squares in the loss's own unit, with E, A, B >= 0 (Golub and Pereyra 1973; for scaling
laws the VPNLS of Open-Athena's scaling-law-analysis). Least squares is swayed by outliers as
Huber is not: where the two approaches disagree, there are some.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from analysis.fits.estimator import SAME_OBJECTIVE, Best, Resamples
from analysis.fits.form import STEEPEST, exponents
from analysis.fits.model import Array, Mask
from analysis.fits.points import Points
from analysis.fits.result import FitStatus

PARAMETERS = ("E", "A", "B", "alpha", "beta")
_LEAST = 1e-3  # an exponent below this cannot be told from a constant
_STEPS = 100
_PERFECT = 1e-12  # of the median loss
_VANISHED = 1e-9  # of the median loss
_DAMPED = 1e-9  # the least damping: far below it nothing of it would be left in a sum
_NUMBERS = 1 << 20  # runs times problems that are stepped together: some 25 MB an array
_SUBSETS = [s for size in (2, 1) for s in combinations(range(3), size)]


class VariableProjection:
    """The Chinchilla form by variable projection, as an `analysis.fits.estimator.Estimator`."""

    approach = "variable_projection"

    def __init__(self, data: Points) -> None:
        self.level = float(np.median(data.loss))
        self.y = data.loss / self.level
        self.origin = np.array([np.log(data.axes[role]).min() for role in ("N", "D")])
        self.x = np.log(data.axes["N"]) - self.origin[0], np.log(data.axes["D"]) - self.origin[1]
        self._warm: list[Array] = []

    def best(self, starts: int) -> Best:
        """From a square grid of exponents, at most 400 and at most ``starts``."""
        side = max(2, min(20, int(starts**0.5)))
        levels = exponents()(side)
        grid = np.array([(a, b) for a in levels for b in levels])
        parts = [self._search(grid[piece], None) for piece in self._pieces(len(grid))]
        theta, objective, settled = (np.concatenate(part) for part in zip(*parts, strict=True))
        top = int(np.argmin(objective))
        floor = len(self.y) * _PERFECT**2
        equal = objective <= objective[top] * (1 + SAME_OBJECTIVE) + floor
        rivals = np.flatnonzero(settled & (np.abs(theta - theta[top]).max(axis=1) > 1e-2))
        rivals = rivals[np.argsort(objective[rivals])][:2]
        self._warm = [theta[top], *theta[rivals]]
        heights, _ = self._project(theta[[top]], None)
        bounds = {
            name: "has vanished"
            for name, height in zip(("E", "A", "B"), heights[0], strict=True)
            if height < _VANISHED
        }
        for name, value in zip(("alpha", "beta"), theta[top], strict=True):
            if value <= _LEAST:
                bounds[name] = "has gone to its least"
            elif value >= STEEPEST:
                bounds[name] = "has gone to its greatest"
        spread = np.ptp(theta[equal], axis=0).max()
        if bounds:
            where = "; ".join(f"{name} {side}" for name, side in bounds.items())
            status, message = FitStatus.BOUND_HIT, f"the best fit lies on a bound: {where}"
        elif not settled[equal].any():
            status, message = FitStatus.MAX_ITERATIONS, "the best end could still go lower"
        elif spread > 0.05:
            status = FitStatus.NOT_IDENTIFIED
            message = f"equally good fits have exponents {spread:.3f} apart"
        else:
            status, message = FitStatus.CONVERGED, "an interior minimum"
        public = self._public(theta[[top]], heights)
        return Best(
            {name: float(value[0]) for name, value in public.items()},
            float(objective[top]) * self.level**2,
            status,
            message,
            {
                "count": len(grid),
                "share_reached_best": float(equal.mean()),
                "share_converged": float(settled.mean()),
            },
            bounds,
        )

    def refit(self, weights: Array) -> Resamples:
        """Each resample from the best exponents and their rivals; the lowest."""
        if not self._warm:
            raise RuntimeError("refit() before best(): there is no fit to start from")
        parts = [self._refit(weights[piece]) for piece in self._pieces(len(weights))]
        return Resamples(
            {name: np.concatenate([part.public[name] for part in parts]) for name in PARAMETERS},
            np.concatenate([part.settled for part in parts]),
            np.concatenate([part.at_bound for part in parts]),
        )

    def _pieces(self, count: int) -> list[slice]:
        """So many problems in pieces of a bounded size."""
        size = max(1, _NUMBERS // len(self.y))
        return [slice(i, i + size) for i in range(0, max(count, 1), size)]

    def _refit(self, weights: Array) -> Resamples:
        best: tuple[Array, Array, Mask] | None = None
        for start in self._warm:
            tried = self._search(np.tile(start, (len(weights), 1)), weights)
            if best is None:
                best = tried
                continue
            lower = tried[1] < best[1]
            best = (
                np.where(lower[:, None], tried[0], best[0]),
                np.where(lower, tried[1], best[1]),
                np.where(lower, tried[2], best[2]),
            )
        assert best is not None
        heights, _ = self._project(best[0], weights)
        theta = best[0]
        at_bound = ((theta <= _LEAST) | (theta >= STEEPEST)).any(axis=1)
        at_bound = np.asarray(at_bound | (heights < _VANISHED).any(axis=1))
        return Resamples(self._public(theta, heights), best[2], at_bound)

    def _public(self, theta: Array, heights: Array) -> dict[str, Array]:
        return {
            "E": heights[:, 0] * self.level,
            "A": heights[:, 1] * self.level * np.exp(theta[:, 0] * self.origin[0]),
            "B": heights[:, 2] * self.level * np.exp(theta[:, 1] * self.origin[1]),
            "alpha": theta[:, 0],
            "beta": theta[:, 1],
        }

    def _columns(self, theta: Array, root: Array | None) -> tuple[Array, Array]:
        """The law's columns [S, n, 3] at coefficients of one, and y [S, n]; by root weights."""
        columns = np.empty((len(theta), len(self.y), 3))
        columns[:, :, 0] = 1.0
        columns[:, :, 1] = np.exp(-theta[:, :1] * self.x[0])
        columns[:, :, 2] = np.exp(-theta[:, 1:] * self.x[1])
        if root is None:
            return columns, np.broadcast_to(self.y, columns.shape[:2])
        return columns * root[:, :, None], root * self.y

    def _project(self, theta: Array, weights: Array | None) -> tuple[Array, Array]:
        """E, A, B >= 0 [S, 3] over the median loss; residuals [S, n] by root weight."""
        columns, y = self._columns(theta, None if weights is None else np.sqrt(weights))
        heights = _regress(columns, y)
        bad = np.flatnonzero((heights < 0).any(axis=1))
        if len(bad):  # three columns have few subsets: the best feasible one is the answer
            lowest = np.full(len(bad), np.inf)
            for subset in _SUBSETS:
                part = columns[bad][:, :, subset]
                found = np.zeros((len(bad), 3))
                found[:, subset] = _regress(part, y[bad])
                left = y[bad] - np.einsum("snk,sk->sn", columns[bad], found)
                square = np.einsum("sn,sn->s", left, left)
                better = (found >= 0).all(axis=1) & (square < lowest)
                heights[bad[better]], lowest[better] = found[better], square[better]
        return heights, y - np.einsum("snk,sk->sn", columns, heights)

    def _search(self, theta: Array, weights: Array | None) -> tuple[Array, Array, Mask]:
        """Levenberg-Marquardt on the projected residual, with Kaufman's derivative."""
        theta, count = theta.copy(), len(theta)
        heights, left = self._project(theta, weights)
        objective = 0.5 * np.einsum("sn,sn->s", left, left)
        damping, settled = np.full(count, 1e-3), np.zeros(count, dtype=bool)
        floor = len(self.y) * (1e-15) ** 2
        active = np.arange(count)
        for _ in range(_STEPS):
            counts = None if weights is None else weights[active]
            gradient, square = self._slope(theta[active], heights[active], left[active], counts)
            low = (theta[active] <= _LEAST) & (gradient > 0)
            held = low | ((theta[active] >= STEEPEST) & (gradient < 0))
            ridge = np.einsum("sii->si", square)
            held |= ridge < 1e-300  # a term whose coefficient is zero: nothing moves with it
            gradient[held] = 0.0
            lam = damping[active][:, None]
            matrix = square * ~held[:, :, None] * ~held[:, None, :]
            matrix[:, [0, 1], [0, 1]] += np.where(held, 1.0, lam * ridge)
            step = -np.linalg.solve(matrix, gradient[:, :, None])[:, :, 0]
            gain = -np.einsum("sk,sk->s", gradient, step)
            done = gain <= 1e-13 * objective[active] + floor
            settled[active[done & (damping[active] < 1)]] = True
            step = np.clip(step, -0.5, 0.5)
            trial = np.clip(theta[active] + step, _LEAST, STEEPEST)
            new_heights, new_left = self._project(trial, counts)
            after = 0.5 * np.einsum("sn,sn->s", new_left, new_left)
            better = after < objective[active]
            won = active[better]
            theta[won], objective[won] = trial[better], after[better]
            heights[won], left[won] = new_heights[better], new_left[better]
            lower, higher = np.maximum(damping[active] / 8, _DAMPED), damping[active] * 8
            damping[active] = np.where(better, lower, higher)
            active = active[~done & (damping[active] < 1e12)]
            if not len(active):
                break
        return theta, objective, settled

    def _slope(
        self, theta: Array, heights: Array, left: Array, weights: Array | None
    ) -> tuple[Array, Array]:
        """Gradient [S, 2] and Gauss-Newton matrix [S, 2, 2] in the exponents."""
        columns, _ = self._columns(theta, None if weights is None else np.sqrt(weights))
        # Columns whose coefficient is zero are not in the fit and are not projected out.
        present = columns * (heights > 0)[:, None, :]
        lines = -np.stack(
            [columns[:, :, k + 1] * self.x[k] * heights[:, k + 1, None] for k in (0, 1)], axis=2
        )
        inner = np.matmul(np.swapaxes(present, 1, 2), lines)
        gram = np.matmul(np.swapaxes(present, 1, 2), present)
        scale = np.sqrt(np.maximum(np.einsum("skk->sk", gram), 1e-300))
        gram = gram / (scale[:, :, None] * scale[:, None, :]) + 1e-14 * np.eye(3)
        fitted = np.linalg.solve(gram, inner / scale[:, :, None]) / scale[:, :, None]
        lines = lines - np.matmul(present, fitted)
        gradient = -np.einsum("snk,sn->sk", lines, left)
        return gradient, np.matmul(np.swapaxes(lines, 1, 2), lines)


def _regress(columns: Array, y: Array) -> Array:
    """Least squares [S, k] by QR; a singular system answers minus one, not a fit."""
    scale = np.linalg.norm(columns, axis=1)
    scale = np.where(scale > 0, scale, 1.0)
    q, r = np.linalg.qr(columns / scale[:, None, :])
    size = np.abs(np.einsum("skk->sk", r))
    singular = size.min(axis=1) < 1e-14
    r = np.where(singular[:, None, None], np.eye(r.shape[1]), r)
    found = np.linalg.solve(r, np.einsum("snk,sn->sk", q, y)[:, :, None])[:, :, 0] / scale
    return np.where(singular[:, None], -1.0, found)
