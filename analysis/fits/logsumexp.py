"""Laws whose logarithm is a log-sum-exp of straight lines in log axes.

``ln L = s * logsumexp_k(c_k - gamma_k x_k)`` with x a centred log axis covers the power law
(one or two terms), Chinchilla's (three), Gadre's with a shared exponent, and Kaplan's (two terms
and the outer exponent s). Taking logarithms inside keeps it finite where a direct sum would
overflow, and one class has the exact first and second derivatives of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analysis.fits.model import Array, Curve


@dataclass(frozen=True)
class Term:
    """``theta[intercept] - slope * axis``, the logarithm of one summand.

    Attributes:
        intercept: position of the term's logarithm at ``axis = 0``.
        axis: logarithm of a column from its least value, [n]; None for a constant term.
        exponent: position of the slope; None where the slope is 1 (or the term constant).
    """

    intercept: int
    axis: Array | None = None
    exponent: int | None = None


@dataclass(frozen=True)
class LogSumExp:
    """A law bound to its points, as the solver wants it (`analysis.fits.model.Model`).

    Attributes:
        terms: the summands.
        target: ln L, [n].
        lower, upper: bounds of the parameters, [p].
        reach: longest step by parameter, [p].
        scale: position of the outer exponent s; None for 1.
    """

    terms: tuple[Term, ...]
    target: Array
    lower: Array
    upper: Array
    reach: Array
    scale: int | None = None
    _size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_size", len(self.lower))

    def _exponents(self, theta: Array) -> list[Array]:
        lines = []
        for term in self.terms:
            line = theta[:, term.intercept, None]
            if term.axis is None:
                line = np.broadcast_to(line, (len(theta), len(self.target)))
            else:
                slope = 1.0 if term.exponent is None else theta[:, term.exponent, None]
                line = line - slope * term.axis
            lines.append(line)
        return lines

    def _shares(self, theta: Array) -> tuple[Array, list[Array]]:
        """logsumexp [S, n] and each term's share of the sum, [S, n] each."""
        lines = self._exponents(theta)
        top = lines[0]
        for line in lines[1:]:
            top = np.maximum(top, line)
        shares = [np.exp(line - top) for line in lines]
        total = shares[0].copy()
        for share in shares[1:]:
            total += share
        for share in shares:
            share /= total
        return top + np.log(total), shares

    def value(self, theta: Array) -> Array:
        """ln L predicted: from [S, p] to [S, n]."""
        lines = self._exponents(theta)
        top = lines[0]
        for line in lines[1:]:
            top = np.maximum(top, line)
        total = np.exp(lines[0] - top)
        for line in lines[1:]:
            total += np.exp(line - top)
        f = np.log(total, out=total)
        f += top
        return f if self.scale is None else theta[:, self.scale, None] * f

    def expand(self, theta: Array) -> tuple[Array, Array, Curve]:
        """ln L [S, n], its derivatives by parameter [S, p, n], and its curvature.

        The second derivatives of a log-sum-exp are ``sum_k p_k u_k u_k' - J J'`` with u_k the
        derivatives of the k-th line, p_k its share, and J = sum_k p_k u_k.
        """
        f, shares = self._shares(theta)
        first = np.zeros((len(theta), self._size, len(self.target)))
        for term, share in zip(self.terms, shares, strict=True):
            first[:, term.intercept] += share
            if term.axis is not None and term.exponent is not None:
                first[:, term.exponent] -= share * term.axis
        outer = None if self.scale is None else theta[:, self.scale, None]

        def curve(slope: Array) -> Array:
            scaled = slope if outer is None else slope * outer
            out = -np.matmul(first * scaled[:, None, :], np.swapaxes(first, 1, 2))
            for term, share in zip(self.terms, shares, strict=True):
                weighted = scaled * share
                c, g = term.intercept, term.exponent
                out[:, c, c] += weighted.sum(axis=1)
                if term.axis is not None and g is not None:
                    once, twice = (weighted @ np.stack([term.axis, term.axis**2], axis=1)).T
                    out[:, c, g] -= once
                    out[:, g, c] -= once
                    out[:, g, g] += twice
            if self.scale is not None:
                cross = np.matmul(first, slope[:, :, None])[:, :, 0]
                out[:, self.scale, :] += cross
                out[:, :, self.scale] += cross
            return out

        if outer is None:
            return f, first, curve
        jacobian = first * outer[:, :, None]
        jacobian[:, self.scale] = f
        return outer * f, jacobian, curve

    def project(self, theta: Array) -> Array:
        """Theta with its intercepts refitted to its exponents, by least squares in ``L/L_obs``.

        The law is linear in the terms' coefficients, so this is one small linear system. Starts
        whose refit has a coefficient that is not positive, and laws with an outer exponent, come
        back as they are.
        """
        if self.scale is not None:
            return theta
        shape = (len(theta), len(self.target))
        features = []
        for term in self.terms:
            drop = self.target
            if term.axis is not None:
                slope = 1.0 if term.exponent is None else theta[:, term.exponent, None]
                drop = drop + slope * term.axis
            features.append(np.broadcast_to(np.exp(-drop), shape))
        size = len(features)
        gram = np.empty((len(theta), size, size))
        for i in range(size):
            for j in range(i + 1):
                gram[:, i, j] = gram[:, j, i] = np.einsum("sn,sn->s", features[i], features[j])
        right = np.stack([feature.sum(axis=1) for feature in features], axis=1)
        scale = np.sqrt(np.einsum("sii->si", gram))
        gram = gram / (scale[:, :, None] * scale[:, None, :]) + 1e-14 * np.eye(size)
        coefficients = np.linalg.solve(gram, (right / scale)[:, :, None])[:, :, 0] / scale
        good = np.all(coefficients > 0, axis=1)
        out = theta.copy()
        for k, term in enumerate(self.terms):
            out[good, term.intercept] = np.log(coefficients[good, k])
        return np.clip(out, self.lower, self.upper)


@dataclass(frozen=True)
class InLoss:
    """The same law met in losses rather than in their logarithms: plain least squares.

    Attributes:
        log: the law in logarithms; its losses are in units of the median loss.
    """

    log: LogSumExp

    @property
    def target(self) -> Array:
        """Losses over the median loss, [n]."""
        return np.asarray(np.exp(self.log.target))

    @property
    def lower(self) -> Array:
        """Lowest parameters, [p]."""
        return self.log.lower

    @property
    def upper(self) -> Array:
        """Highest parameters, [p]."""
        return self.log.upper

    @property
    def reach(self) -> Array:
        """Longest steps, [p]."""
        return self.log.reach

    def value(self, theta: Array) -> Array:
        """L over the median loss: [S, n]."""
        return np.asarray(np.exp(self.log.value(theta)))

    def expand(self, theta: Array) -> tuple[Array, Array, Curve]:
        """The exponential of the log law's expansion."""
        f, first, log_curve = self.log.expand(theta)
        level = np.exp(f)

        def curve(slope: Array) -> Array:
            scaled = slope * level
            square = np.matmul(first * scaled[:, None, :], np.swapaxes(first, 1, 2))
            return square + log_curve(scaled)

        return level, first * level[:, None, :], curve

    def project(self, theta: Array) -> Array:
        """As the log law does."""
        return self.log.project(theta)
