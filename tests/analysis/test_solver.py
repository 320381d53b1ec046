"""The solver against scipy's optimisers, finite differences, and its own promises."""

import numpy as np
import pytest
from scipy import optimize

from analysis.fits import (
    Chinchilla,
    DataConstrained,
    Form,
    Kaplan,
    LogPower,
    OpenLM,
    PowerLaw,
    PowerLawNoOffset,
    points,
    solver,
)
from analysis.fits.descent import huber
from analysis.fits.logsumexp import InLoss, LogSumExp
from analysis.fits.model import Array
from analysis.fits.points import Points
from analysis.fits.solver import minimise, minimise_from_afar

FORMS: list[Form] = [
    PowerLaw("N"),
    PowerLawNoOffset("N"),
    LogPower("N"),
    Chinchilla(),
    OpenLM(),
    Kaplan(),
    DataConstrained(),
]


def noisy(scatter: float = 0.01, seed: int = 0) -> Points:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e8, 1e10, 6)))
    loss = 1.69 + 406.4 * n**-0.34 + 410.7 * d**-0.28
    loss *= np.exp(scatter * np.random.default_rng(seed).standard_normal(n.size))
    return points(loss, N=n, D=d, U=d / np.resize([1.0, 3.0, 10.0], n.size))


def test_huber_is_square_inside_and_straight_outside() -> None:
    values = huber(np.array([0.0, 0.5, -1.0, 3.0, -3.0]), 1.0)
    assert values == pytest.approx([0.0, 0.125, 0.5, 2.5, 2.5])


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_derivatives_are_those_of_finite_differences(form: Form) -> None:
    bound = form.bind(noisy())
    theta = bound.starts(300)[[17]]
    _, jacobian, curve = bound.model.expand(theta)
    slope = np.cos(np.arange(jacobian.shape[2]))[None, :]
    step = np.finfo(float).eps ** (1 / 3)  # best for central differences
    for i in range(theta.shape[1]):
        shift = np.zeros_like(theta)
        shift[0, i] = step
        up, first_up, _ = bound.model.expand(theta + shift)
        down, first_down, _ = bound.model.expand(theta - shift)
        assert jacobian[0, i] == pytest.approx((up - down)[0] / (2 * step), rel=2e-5, abs=1e-8)
        if isinstance(bound.model, LogSumExp):  # data_constrained leaves its curvature out
            second = ((first_up - first_down)[0] / (2 * step)) @ slope[0]
            assert curve(slope)[0, i] == pytest.approx(second, rel=1e-5, abs=1e-7)


def test_losses_themselves_have_derivatives_too() -> None:
    model = Chinchilla().bind(noisy()).model
    assert isinstance(model, LogSumExp)
    wrapped = InLoss(model)
    theta = np.array([[-1.0, 0.3, -0.5, 0.4, -0.7]])
    slope = np.sin(np.arange(30.0))[None, :]
    _, jacobian, curve = wrapped.expand(theta)
    for i in range(5):
        shift = np.zeros((1, 5))
        shift[0, i] = 1e-5
        up, first_up, _ = wrapped.expand(theta + shift)
        down, first_down, _ = wrapped.expand(theta - shift)
        assert jacobian[0, i] == pytest.approx((up - down)[0] / 2e-5, rel=1e-6, abs=1e-9)
        second = ((first_up - first_down)[0] / 2e-5) @ slope[0]
        assert curve(slope)[0, i] == pytest.approx(second, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("delta", [1e-3, 1e-4, 10.0])
def test_no_scipy_optimiser_finds_lower(delta: float) -> None:
    data = noisy()
    bound = Chinchilla().bind(data)
    model = bound.model
    ours = minimise_from_afar(model, bound.starts(300), delta)
    best = ours.objective.min()

    def objective(theta: Array) -> float:
        return 1e6 * float(huber(model.value(theta[None, :]) - model.target, delta).sum())

    box = list(zip(model.lower, model.upper, strict=True))
    found = []
    for start in bound.starts(32)[::8]:
        options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000}
        end = optimize.minimize(objective, start, method="L-BFGS-B", bounds=box, options=options)
        end = optimize.minimize(
            objective, end.x, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9}
        )
        found.append(end.fun / 1e6)
    assert best <= min(found) * (1 + 1e-9)
    assert best == pytest.approx(min(found), rel=0.01)  # and the two do see the same valley


def test_weights_count_points_as_repeats_would() -> None:
    data = noisy()
    counts = np.random.default_rng(3).integers(0, 4, len(data))
    start = np.array([[-1.0, 0.3, -0.5, 0.4, -0.7]])
    # The same origins: keep every extreme point in both.
    counts[[int(np.argmin(data.axes["N"])), int(np.argmin(data.axes["D"]))]] = 1
    weighted = minimise(Chinchilla().bind(data).model, start, 0.01, counts[None, :].astype(float))
    repeated = data.take(np.repeat(np.arange(len(data)), counts))
    plain = minimise(Chinchilla().bind(repeated).model, start, 0.01)
    assert weighted.objective == pytest.approx(plain.objective, rel=1e-9)
    assert weighted.theta[0, [1, 3]] == pytest.approx(plain.theta[0, [1, 3]], rel=1e-5)


@pytest.mark.slow
def test_results_do_not_depend_on_the_division_into_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound = Chinchilla().bind(noisy())
    starts = bound.starts(200)
    whole = minimise(bound.model, starts, 1e-3)
    monkeypatch.setattr(solver, "_NUMBERS", 7 * len(noisy()))  # as of many points
    parts = minimise(bound.model, starts, 1e-3)
    assert whole.objective.min() == pytest.approx(parts.objective.min(), rel=1e-9)
    again = minimise(bound.model, starts, 1e-3)
    assert np.array_equal(parts.theta, again.theta)


def test_a_hopeless_start_does_not_disturb_the_others() -> None:
    bound = Chinchilla().bind(noisy())
    good = bound.starts(40)
    bad = np.vstack([good, [[np.nan, 0, 0, 0, 0]], [[1e300, 1e300, 1e300, 1e300, 1e300]]])
    alone = minimise(bound.model, good, 1e-3)
    together = minimise(bound.model, bad, 1e-3)
    assert together.objective[: len(good)] == pytest.approx(alone.objective, rel=1e-9)
    assert not together.converged[len(good)]


@pytest.mark.parametrize("counts", [(2, 1, 0), (1, 2, 0), (0, 1, 2), (0, 2, 1), (3, 2, 1)])
def test_a_resample_of_few_points_is_solved_and_not_circled(counts: tuple[int, ...]) -> None:
    n = np.geomspace(1e6, 1e8, 3)
    loss = 30 * n**-0.1 * np.exp([0.01, -0.012, 0.008])
    model = PowerLawNoOffset("N").bind(points(loss, N=n)).model
    whole = minimise(model, np.array([[0.0, 0.1]]), 1e-3).theta
    end = minimise(model, whole, 1e-3, np.array([counts], dtype=float), tolerance=1e-9)
    assert end.converged[0]
    if 0 in counts:  # two places: the line goes through both
        first, last = np.flatnonzero(counts)
        slope = np.log(loss[first] / loss[last]) / np.log(n[last] / n[first])
        assert end.theta[0, 1] == pytest.approx(slope, abs=1e-6)


def test_no_problems_have_no_solution() -> None:
    model = Chinchilla().bind(noisy()).model
    assert minimise(model, np.empty((0, 5)), 1e-3).theta.shape == (0, 5)
