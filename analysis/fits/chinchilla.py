"""Laws of parameters and tokens together, as sums of terms: Chinchilla's and Gadre's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analysis.fits.form import (
    FAINT,
    STEEPEST,
    Asked,
    Bound,
    Form,
    OfSizeAndTokens,
    between,
    exponents,
    floors,
    levelled,
    too_few_levels,
)
from analysis.fits.logsumexp import LogSumExp, Term
from analysis.fits.model import Array
from analysis.fits.points import Points
from analysis.fits.power_law import PowerLaw


class Additive(OfSizeAndTokens):
    """A law with a floor and a term each of N and D, whose best split of compute is known."""

    def answers(self, at: Mapping[str, float]) -> set[str]:
        """N and D together, and C."""
        return super().answers(at) | ({"C"} & at.keys())

    def derived(
        self, params: Mapping[str, Array], data: Points, at: Mapping[str, float]
    ) -> dict[str, Asked]:
        """What `frontier` says, and the loss at N and D, or where C is best spent."""
        found = frontier(params, data, at)
        asked = super().derived(params, data, at)
        if not asked and "C" in at:
            best = {"N": found["N_opt"].values, "D": found["D_opt"].values}
            asked["predicted_loss"] = Asked(self.predict(params, best), "loss", {"C": at["C"]})
        return found | asked


@dataclass(frozen=True)
class Chinchilla(Additive):
    """``L(N, D) = E + A/N^alpha + B/D^beta`` (Hoffmann et al. 2022, arXiv:2203.15556).

    N in parameters, D in tokens; E, A, B in the loss's unit (A at N = 1, B at D = 1).
    """

    name: ClassVar[str] = "chinchilla"
    least: ClassVar[int] = 3

    @property
    def parameters(self) -> tuple[str, ...]:
        """E, A, B, alpha, beta."""
        return ("E", "A", "B", "alpha", "beta")

    def simpler(self) -> Sequence[Form]:
        """Without N, and without D."""
        return (PowerLaw("D"), PowerLaw("N"))

    def bind(self, data: Points) -> Bound:
        """Internal: ln A N_min^-alpha, alpha, ln B D_min^-beta, beta, ln E, over the median."""
        level, y = levelled(data.loss)
        n0, d0 = np.log(data.axes["N"]).min(), np.log(data.axes["D"]).min()
        low, high = y.min(), y.max()
        model = LogSumExp(
            (
                Term(0, np.log(data.axes["N"]) - n0, 1),
                Term(2, np.log(data.axes["D"]) - d0, 3),
                Term(4),
            ),
            y,
            lower=np.array([low - FAINT, 0.0, low - FAINT, 0.0, low - FAINT]),
            upper=np.array([high + 5, STEEPEST, high + 5, STEEPEST, high + 1]),
            reach=np.array([2.0, 0.5, 2.0, 0.5, 1.0]),
        )

        def public(theta: Array) -> dict[str, Array]:
            return {
                "E": np.exp(theta[:, 4] + level),
                "A": np.exp(theta[:, 0] + level + theta[:, 1] * n0),
                "B": np.exp(theta[:, 2] + level + theta[:, 3] * d0),
                "alpha": theta[:, 1],
                "beta": theta[:, 3],
            }

        # The heights come first in the grid, where a count between powers puts its extra levels.
        heights = between(low - 4, high)
        order = (heights, heights, exponents(), exponents(), floors(low))
        return Bound(
            model,
            order,
            ("A", "alpha", "B", "beta", "E"),
            public,
            place=lambda grid: grid[:, [0, 2, 1, 3, 4]],
        )

    def predict(self, params: Mapping[str, Array], axes: Mapping[str, Array]) -> Array:
        """E + A N^-alpha + B D^-beta."""
        return np.asarray(
            params["E"]
            + params["A"] * axes["N"] ** -params["alpha"]
            + params["B"] * axes["D"] ** -params["beta"]
        )


@dataclass(frozen=True)
class OpenLM(Additive):
    """``L = E + A N^-alpha + B D^-alpha``, one exponent (Gadre et al. 2024, arXiv:2403.08540).

    The paper writes ``L = E + (a M^eta + b M^-eta) C^-eta`` with M = D/N and C = 6ND, the same
    law with ``eta = alpha/2, a = A 6^eta, b = B 6^eta``; those three are among the derived.
    Fitted as there, by least squares in the loss itself.
    """

    name: ClassVar[str] = "openlm"
    least: ClassVar[int] = 2

    @property
    def parameters(self) -> tuple[str, ...]:
        """E, A, B, alpha."""
        return ("E", "A", "B", "alpha")

    def simpler(self) -> Sequence[Form]:
        """Without N, and without D."""
        return (PowerLaw("D"), PowerLaw("N"))

    def unidentifiable(self, data: Points) -> str | None:
        """Two levels of N and of D, three of one, which must not move together."""
        third = "N" if len(np.unique(data.axes["D"])) == 2 else "D"
        return super().unidentifiable(data) or too_few_levels(data, third, 3, self.name)

    def bind(self, data: Points) -> Bound:
        """Internal: ln A N_min^-alpha, ln B D_min^-alpha, alpha, ln E, over the median."""
        level, y = levelled(data.loss)
        n0, d0 = np.log(data.axes["N"]).min(), np.log(data.axes["D"]).min()
        low, high = y.min(), y.max()
        model = LogSumExp(
            (
                Term(0, np.log(data.axes["N"]) - n0, 2),
                Term(1, np.log(data.axes["D"]) - d0, 2),
                Term(3),
            ),
            y,
            lower=np.array([low - FAINT, low - FAINT, 0.0, low - FAINT]),
            upper=np.array([high + 5, high + 5, STEEPEST, high + 1]),
            reach=np.array([2.0, 2.0, 0.5, 1.0]),
        )

        def public(theta: Array) -> dict[str, Array]:
            return {
                "E": np.exp(theta[:, 3] + level),
                "A": np.exp(theta[:, 0] + level + theta[:, 2] * n0),
                "B": np.exp(theta[:, 1] + level + theta[:, 2] * d0),
                "alpha": theta[:, 2],
            }

        levels = (between(low - 4, high), between(low - 4, high), exponents(), floors(low))
        return Bound(model, levels, ("A", "B", "alpha", "E"), public)

    def predict(self, params: Mapping[str, Array], axes: Mapping[str, Array]) -> Array:
        """E + A N^-alpha + B D^-alpha."""
        return np.asarray(
            params["E"]
            + params["A"] * axes["N"] ** -params["alpha"]
            + params["B"] * axes["D"] ** -params["alpha"]
        )

    def derived(
        self, params: Mapping[str, Array], data: Points, at: Mapping[str, float]
    ) -> dict[str, Asked]:
        """The paper's eta, a and b beside what Chinchilla's law derives."""
        eta = params["alpha"] / 2
        own = {
            "eta": Asked(eta, "", {}),
            "a_gadre": Asked(params["A"] * 6**eta, "loss", {}),
            "b_gadre": Asked(params["B"] * 6**eta, "loss", {}),
        }
        return own | super().derived(params, data, at)


def frontier(
    params: Mapping[str, Array], data: Points, at: Mapping[str, float]
) -> dict[str, Asked]:
    """Where compute is best spent: ``N* ~ C^a``, ``D* ~ C^b``, and D*/N* at one C.

    With C = 6ND: ``a = beta/(alpha+beta)``, ``b = alpha/(alpha+beta)`` and
    ``N* = G (C/6)^a`` with ``G = (alpha A/(beta B))^(1/(alpha+beta))`` (arXiv:2203.15556).
    With exact FLOPs beside D, C = k N^m D is fitted to the points (m < 1 where embeddings and
    attention weigh), and the optimum along it has ``a = beta/(alpha + m beta)``, ``b = 1 - m a``;
    those come as a_exact and b_exact, and D*/N* follows them.
    """
    alpha, beta = params["alpha"], params.get("beta", params["alpha"])
    out = {
        "a": Asked(beta / (alpha + beta), "", {}),
        "b": Asked(alpha / (alpha + beta), "", {}),
    }
    n, d, c = np.log(data.axes["N"]), np.log(data.axes["D"]), data.flops()
    m, log_k = 1.0, float(np.log(6.0))
    if data.exact_flops and c is not None:
        slope, log_k = np.polyfit(n, np.log(c) - n - d, 1)
        m = 1.0 + float(slope)
        a = beta / (alpha + m * beta)
        out |= {"a_exact": Asked(a, "", {}), "b_exact": Asked(1 - m * a, "", {})}
    compute = at.get("C", float(np.max(6 * np.exp(n + d) if c is None else c)))
    gain = np.log(alpha * params["A"] / (m * beta * params["B"]))
    log_n = (gain + beta * (np.log(compute) - log_k)) / (alpha + m * beta)
    log_d = np.log(compute) - log_k - m * log_n
    place = {"C": float(compute)}
    out["tokens_per_parameter"] = Asked(np.exp(log_d - log_n), "tokens/parameter", place)
    out["N_opt"] = Asked(np.exp(log_n), "parameters", place)
    out["D_opt"] = Asked(np.exp(log_d), "tokens", place)
    return out
