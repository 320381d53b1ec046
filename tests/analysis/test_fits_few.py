"""Intervals of few points and few groups: honest ones, or none and the reason."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.adaptation.laws import laws
from analysis.adaptation.report import _laws_table
from analysis.band import band
from analysis.fits import (
    Chinchilla,
    Fit,
    FitOptions,
    FitStatus,
    Form,
    PowerLaw,
    PowerLawNoOffset,
    fit,
    fit_isoflop,
    points,
    projection,
)
from analysis.fits.bootstrap import LEAST_GROUPS, tails
from analysis.fits.points import Points

APPROACHES = ("huber", "least_squares")
FORM = PowerLawNoOffset("N")
QUICK = FitOptions(starts=32, bootstrap=200, holdout=0)


def line(sizes: int, seed: int = 0, scatter: float = 0.01) -> Points:
    """One run at each of so many sizes, on a line of slope 0.1."""
    n = np.geomspace(1e5, 1e7, sizes)
    noise = np.exp(scatter * np.random.default_rng(seed).standard_normal(sizes))
    return points(30 * n**-0.1 * noise, N=n)


def seeds(count: int, seed: int = 0, floor: float = 0.0) -> Points:
    """Four stations of each of so many seeds; a seed's share its errors of height and slope."""
    rng = np.random.default_rng(seed)
    run = np.repeat(np.arange(count), 4)
    n = np.tile([128.0, 384.0, 1280.0, 3840.0], count)
    own = rng.standard_normal((2, count))[:, run] + rng.standard_normal((1, 4 * count)) / 2
    noise = np.exp(0.01 * (own[0] + own[1] * (np.log(n) - 6.5) / 2))
    return points((floor + 8 * n**-0.3) * noise, N=n, group=run)


def has_interval(one: Fit) -> bool:
    assert one.converged
    json.dumps(one.to_json(), allow_nan=False)
    said = any("no intervals" in note for note in one.notes)
    ends = [*one.ci.values(), *(found.ci for found in one.derived.values())]
    assert {found is None for found in ends} == {said}
    return not said


@pytest.mark.parametrize("approach", APPROACHES)
def test_fewer_than_five_points_or_groups_have_no_intervals(approach: str) -> None:
    found = {k: fit(FORM, line(k), QUICK, approach) for k in (3, 4, 5)}
    assert [has_interval(one) for one in found.values()] == [False, False, True]
    assert "4 points" in found[4].notes[0]
    found = {k: fit(FORM, seeds(k), QUICK, approach) for k in (3, 4, 5)}
    assert [has_interval(one) for one in found.values()] == [False, False, True]
    assert "3 groups of points" in found[3].notes[0]


@pytest.mark.parametrize("approach", APPROACHES)
def test_few_points_of_no_law_at_all_are_refused_or_doubted(approach: str) -> None:
    options = FitOptions(starts=32, bootstrap=0, holdout=0)

    def kept(data: Points) -> list[bool]:
        found = fit(FORM, data, options, approach)
        return [any("may be chance" in note for note in found.notes)] if found.converged else []

    noise = [np.exp(0.02 * np.random.default_rng(seed).standard_normal(3)) for seed in range(40)]
    doubted = [said for loss in noise for said in kept(points(loss, N=[1e5, 1e6, 1e7]))]
    assert len(doubted) > 4  # the likelihood ratio alone should keep one in a hundred
    assert all(doubted)
    assert kept(line(8)) == [False]


@pytest.mark.parametrize(
    ("runs", "resamples", "lacks"),
    [
        (4, 200, "too few runs for a band"),
        (8, 10, "too few resamples for a band"),
        (8, 0, "no band without resamples"),
    ],
)
def test_a_band_without_resamples_is_the_line_and_says_why(
    runs: int, resamples: int, lacks: str
) -> None:
    data, options = line(runs), FitOptions(starts=32, bootstrap=resamples, holdout=0)
    over = band(FORM, fit(FORM, data, options), data, data.axes, options)
    assert np.array_equal(over.low, over.middle)
    assert np.array_equal(over.high, over.middle)
    assert over.lacks == lacks


@pytest.mark.parametrize("parameters", [2, 3, 5, 7])
def test_fewer_groups_never_have_nearer_tails(parameters: int) -> None:
    for wide in (False, True):
        lows = [tails(0.95, k, parameters, wide=wide)[0] for k in range(LEAST_GROUPS, 40)]
        assert np.all(np.diff(lows) > -1e-12)
        assert lows[0] < 1e-3
    assert tails(0.95, 8, parameters, wide=True) == pytest.approx((0.025, 0.975))


def test_huber_whose_residuals_are_within_delta_is_least_squares() -> None:
    for scatter, delta, same in ((2e-4, 1e-3, True), (0.01, 1e-3, False), (0.01, 0.1, True)):
        options = FitOptions(delta=delta, starts=32, bootstrap=20, holdout=0)
        data = line(40, scatter=scatter)
        ends = [fit(FORM, data, options, how).bootstrap["quantiles"] for how in APPROACHES]
        assert (ends[0] == ends[1]) is same


def test_budgets_without_an_optimum_do_not_change_the_tails() -> None:
    flops = np.repeat(np.geomspace(1e15, 1e17, 3), 7)
    z = np.tile(np.linspace(-1.5, 1.5, 7), 3)
    n = np.exp(0.46 * np.log(flops) + z)
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(21))
    loss = (5 - 0.05 * np.log(flops) + 0.08 * z**2) * noise
    lone = np.geomspace(1e18, 1e22, 8)  # a run each
    more = points(np.append(loss, np.full(8, 2.0)), N=np.append(n, lone / 1e9),
                  C=np.append(flops, lone))  # fmt: skip
    plain = fit_isoflop(points(loss, N=n, C=flops), "parabola", QUICK)
    assert plain.ci["a"] is not None
    assert fit_isoflop(more, "parabola", QUICK).ci == plain.ci


def test_few_trajectories_of_an_isoflop_design_say_why_there_are_no_intervals() -> None:
    flops = np.repeat(np.geomspace(1e15, 1e17, 3), 7)
    z = np.tile(np.linspace(-1.5, 1.5, 7), 3)
    n = np.exp(0.46 * np.log(flops) + z)
    data = points(5 - 0.05 * np.log(flops) + 0.08 * z**2, N=n, C=flops, group=np.arange(21) % 4)
    found = fit_isoflop(data, "parabola", QUICK)
    assert found.ci == {"a": None, "b": None}
    assert "4 groups of points" in found.notes[0]


@pytest.mark.parametrize(("count", "said"), [(3, False), (6, True)])
def test_laws_of_adaptation_have_intervals_over_enough_seeds(count: int, said: bool) -> None:
    data = seeds(count)
    runs = pd.DataFrame(
        {"edit": "verbatim", "baseline": "base", "method": "lora", "rank": 8, "seed": data.group,
         "tokens": data.axes["N"], "loss": data.loss, "forgetting": 1 / data.loss}
    )  # fmt: skip
    found = laws(runs, QUICK, lambda _: None)
    line = next(law for law in found if law.formula == "L = A D^-a")
    assert has_interval(line.fit) is said
    assert ("brackets" in _laws_table(found, {"base": "base"}).caption) is said


@pytest.mark.slow
@pytest.mark.parametrize("approach", APPROACHES)
@pytest.mark.parametrize("size", [5, 8])  # of huber, 8 has plain quantiles
def test_intervals_of_few_points_cover_the_truth(size: int, approach: str) -> None:
    covered = [_holds(fit(FORM, line(size, k), QUICK, approach), 0.1) for k in range(150)]
    assert np.mean(covered) >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("form", [PowerLawNoOffset("N"), PowerLaw("N")], ids=lambda one: one.name)
def test_intervals_over_few_seeds_cover_the_truth(form: Form) -> None:
    floor = 2.0 if form.name == "power_law" else 0.0
    found = [fit(form, seeds(5, k, floor), QUICK, "least_squares") for k in range(150)]
    # The range of five draws' fits holds the truth in 94 % of cases at most.
    assert np.mean([_holds(one, 0.3) for one in found]) >= 0.87


def _holds(one: Fit, truth: float) -> bool:
    ends = one.ci["alpha"]
    return ends is not None and ends[0] <= truth <= ends[1]


@pytest.mark.parametrize(
    ("table", "bootstrap", "status"),
    [
        (
            "7e7 2e10 3.199, 1.2e10 1e11 2.324, 7e7 6e10 3.15, 1.6e8 2e10 3.02, 1.6e8 5e9 3.155,"
            "4.1e8 5e9 3.108, 6.9e9 6e10 2.392, 4.1e8 5e9 3.238, 1.6e8 6e10 2.842",
            1000,
            FitStatus.CONVERGED,
        ),
        (
            "630957 1e6 4.01879, 2.51189e7 1e6 4.04747, 3.98107e6 3.98107e7 2.73339,"
            "1.58489e8 1e6 4.0316, 3.98107e6 2.51189e8 2.34057, 630957 2.51189e8 2.34184,"
            "2.51189e7 3.98107e7 2.68408, 1e9 1.58489e9 2.09195, 630957 1e10 1.91469,"
            "2.51189e7 1e10 1.89269",
            0,
            FitStatus.MAX_ITERATIONS,
        ),
    ],
    ids=["in resamples", "in the fit"],
)
def test_a_term_that_comes_to_nothing_is_no_singular_matrix(
    table: str, bootstrap: int, status: FitStatus
) -> None:
    n, d, loss = np.array([row.split() for row in table.split(",")], dtype=float).T
    options = FitOptions(bootstrap=bootstrap, holdout=0)
    found = fit(Chinchilla(), points(loss, N=n, D=d), options, "variable_projection")
    assert found.status is status and found.message
    if status is FitStatus.CONVERGED:
        assert np.isfinite(list(found.values().values())).all()
        assert np.isfinite([ends for ends in found.ci.values() if ends is not None]).all()
        assert found.bootstrap["settled"] > bootstrap / 2
    else:
        assert set(found.params.values()) == {None}


def test_the_objective_of_least_squares_is_in_the_losses_own_unit() -> None:
    n = np.geomspace(1e5, 1e7, 6)
    loss = np.array([6.2, 6.0, 5.9, 2.2, 2.1, 2.0])  # the median is that of logarithms
    found = fit(PowerLawNoOffset("N"), points(loss, N=n), QUICK, "least_squares")
    assert found.params["A"] is not None and found.params["alpha"] is not None
    left = loss - found.params["A"] * n ** -found.params["alpha"]
    assert found.objective == pytest.approx(0.5 * float(left @ left), rel=1e-6)


def test_branches_are_no_more_evidence_for_a_form_than_their_stems() -> None:
    alone = line(8)
    fourfold = points(
        np.repeat(alone.loss, 4), N=np.repeat(alone.axes["N"], 4), group=np.repeat(np.arange(8), 4)
    )
    figures = [fit(FORM, data, QUICK).quality["aicc"] for data in (alone, fourfold)]
    assert figures[1] == pytest.approx(figures[0], rel=1e-3)


def test_many_points_are_fitted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4)))
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(n.size))
    data = points((1.69 + 406.4 * n**-0.34 + 410.7 * d**-0.28) * noise, N=n, D=d)
    options = FitOptions(starts=64, bootstrap=50, holdout=0)
    whole = fit(Chinchilla(), data, options, "variable_projection")
    monkeypatch.setattr(projection, "_NUMBERS", 7 * len(data))
    parts = fit(Chinchilla(), data, options, "variable_projection")
    assert parts.to_json() == whole.to_json()
