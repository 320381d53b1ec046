"""Laws recovered from points made of them, and every refusal said."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.fits import (
    Chinchilla,
    DataConstrained,
    FitOptions,
    FitStatus,
    Form,
    Kaplan,
    LogPower,
    OpenLM,
    PowerLaw,
    PowerLawNoOffset,
    compare,
    fit,
    points,
)
from analysis.fits.estimator import Huber, judge
from analysis.fits.model import Array
from analysis.fits.quality import quality
from analysis.fits.solver import Solution, minimise

QUICK = FitOptions(starts=300, bootstrap=0, holdout=0)
LAWS = {
    "chinchilla": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
    "symmetric": {"E": 1.5, "A": 300.0, "B": 300.0, "alpha": 0.31, "beta": 0.31},
    "asymmetric": {"E": 1.8, "A": 8.0, "B": 2e6, "alpha": 0.1, "beta": 0.8},
}


def grid(sizes: int = 8, counts: int = 8) -> tuple[Array, Array]:
    n, d = np.meshgrid(np.geomspace(1e6, 1e9, sizes), np.geomspace(1e8, 1e11, counts))
    return n.ravel(), d.ravel()


def losses(law: dict[str, float], n: Array, d: Array) -> Array:
    columns = {name: np.asarray(value) for name, value in law.items()}
    return Chinchilla().predict(columns, {"N": n, "D": d})


def noise(count: int, scatter: float, seed: int = 0) -> Array:
    return np.exp(scatter * np.random.default_rng(seed).standard_normal(count))


@pytest.mark.parametrize("approach", ["huber", "variable_projection", "least_squares"])
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_chinchilla_is_recovered_exactly(law: dict[str, float], approach: str) -> None:
    n, d = grid()
    found = fit(Chinchilla(), points(losses(law, n, d), N=n, D=d), QUICK, approach)
    assert found.status is FitStatus.CONVERGED
    assert found.values() == pytest.approx(law, rel=1e-6)
    whole = law["alpha"] + law["beta"]
    assert found.derived["a"].value == pytest.approx(law["beta"] / whole, rel=1e-6)
    assert found.derived["b"].value == pytest.approx(law["alpha"] / whole, rel=1e-6)


@pytest.mark.parametrize(
    ("form", "law"),
    [
        (PowerLaw("N"), {"E": 2.0, "A": 30.0, "alpha": 0.3}),
        (PowerLawNoOffset("N"), {"A": 30.0, "alpha": 0.12}),
        (LogPower("N"), {"A": 60.0, "alpha": 1.1}),
        (OpenLM(), {"E": 1.8, "A": 100.0, "B": 200.0, "alpha": 0.27}),
        (Kaplan(), {"N_c": 8.8e13, "D_c": 5.4e13, "alpha_N": 0.076, "alpha_D": 0.095}),
    ],
    ids=lambda value: value.name if isinstance(value, Form) else "",
)
def test_other_laws_are_recovered_exactly(form: Form, law: dict[str, float]) -> None:
    n, d = grid(6, 6)
    loss = form.predict({k: np.asarray(v) for k, v in law.items()}, {"N": n, "D": d})
    found = fit(form, points(np.broadcast_to(loss, n.shape), N=n, D=d), QUICK, "huber")
    assert found.status is FitStatus.CONVERGED
    assert found.values() == pytest.approx(law, rel=1e-6)


def test_repeated_tokens_are_recovered_exactly() -> None:
    law = {"E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.35, "beta": 0.35}
    law |= {"R_N": 5.31, "R_D": 15.39}
    n, d = grid(6, 6)
    unique = d / np.resize([1.0, 4.0, 30.0, 10.0, 1.0], n.size)
    axes = {"N": n, "D": d, "U": unique}
    loss = DataConstrained().predict({k: np.asarray(v) for k, v in law.items()}, axes)
    found = fit(DataConstrained(), points(loss, **axes), QUICK)
    assert found.values() == pytest.approx(law, rel=1e-6)
    axes["U"] = np.where(unique < d, unique, 40 * d)  # of larger data sets, U is what was seen
    larger = fit(DataConstrained(), points(loss, **axes), QUICK)
    assert larger.values() == pytest.approx(found.values(), rel=1e-9)
    assert larger.residuals == pytest.approx(np.zeros(n.size), abs=1e-9)
    fresh = fit(DataConstrained(), points(loss, N=n, D=d, U=d), QUICK)
    assert fresh.status is FitStatus.NOT_IDENTIFIED
    assert "repeats cost" in fresh.message


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.floats(-12, 12), st.floats(-12, 12), st.floats(-6, 6), st.integers(0, 10**6))
@pytest.mark.slow
def test_units_change_heights_and_nothing_else(
    n_unit: float, d_unit: float, loss_unit: float, seed: int
) -> None:
    n, d = grid(5, 5)
    loss = losses(LAWS["chinchilla"], n, d) * noise(25, 0.01, seed)
    plain = fit(Chinchilla(), points(loss, N=n, D=d), QUICK)
    scaled = fit(
        Chinchilla(),
        points(loss * 10**loss_unit, N=n * 10**n_unit, D=d * 10**d_unit),
        QUICK,
    )
    assert plain.converged and scaled.converged
    one, other = plain.values(), scaled.values()
    assert scaled.objective == pytest.approx(plain.objective, rel=1e-6)
    assert other["alpha"] == pytest.approx(one["alpha"], rel=1e-3)
    assert other["beta"] == pytest.approx(one["beta"], rel=1e-3)
    assert other["E"] == pytest.approx(one["E"] * 10**loss_unit, rel=1e-3)


def test_outliers_do_not_sway_huber() -> None:
    n, d = grid()
    loss = losses(LAWS["chinchilla"], n, d) * noise(n.size, 0.003)
    clean = fit(Chinchilla(), points(loss, N=n, D=d), QUICK).values()
    loss[np.random.default_rng(0).choice(n.size, 8, replace=False)] *= 2.5
    spoilt = fit(Chinchilla(), points(loss, N=n, D=d), QUICK).values()
    assert spoilt["alpha"] == pytest.approx(clean["alpha"], abs=0.02)
    assert spoilt["beta"] == pytest.approx(clean["beta"], abs=0.02)


def _law(**changes: float) -> dict[str, float]:
    return LAWS["chinchilla"] | changes


N8, D8 = grid()
DEGENERATE = {
    "four points": (slice(0, 64, 17), losses(_law(), N8, D8), FitStatus.TOO_FEW_POINTS),
    "one size": (slice(0, 64, 8), losses(_law(), N8, D8), FitStatus.NOT_IDENTIFIED),
    "N and D together": (slice(0, 64, 9), losses(_law(), N8, D8), FitStatus.NOT_IDENTIFIED),
    "no floor": (slice(None), losses(_law(E=0.0), N8, D8), FitStatus.BOUND_HIT),
    "rising with N": (slice(None), 2 + 0.1 * np.log(N8) + 400 * D8**-0.3, FitStatus.BOUND_HIT),
}


@pytest.mark.parametrize("approach", ["huber", "variable_projection"])
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_points_give_a_status_and_no_numbers(case: str, approach: str) -> None:
    keep, loss, status = DEGENERATE[case]
    found = fit(Chinchilla(), points(loss[keep], N=N8[keep], D=D8[keep]), QUICK, approach)
    assert found.status is status
    assert found.message
    assert set(found.params.values()) == {None}
    assert set(found.ci.values()) == {None}
    with pytest.raises(ValueError, match="no parameters"):
        found.values()


@pytest.mark.parametrize("approach", ["huber", "variable_projection"])
@pytest.mark.parametrize("loss", [3 + 0 * N8, 3 * noise(64, 0.01), 2 + 411 * D8**-0.28])
def test_an_axis_that_does_nothing_gets_no_exponent(loss: Array, approach: str) -> None:
    loss = loss * noise(64, 0.005, seed=4) if np.ptp(loss) > 0.5 else loss
    found = fit(Chinchilla(), points(loss, N=N8, D=D8), QUICK, approach)
    assert found.status in {FitStatus.BOUND_HIT, FitStatus.NOT_IDENTIFIED}
    assert set(found.params.values()) == {None}


def test_seeds_of_five_places_are_not_six_points() -> None:
    keep = np.repeat([0, 9, 20, 50], 5)
    loss = losses(_law(), N8, D8)[keep] * noise(20, 0.01)
    found = fit(Chinchilla(), points(loss, N=N8[keep], D=D8[keep]), QUICK)
    assert found.status is FitStatus.TOO_FEW_POINTS


def test_a_start_that_comes_back_unmoved_is_said() -> None:
    data = points(losses(_law(), N8, D8), N=N8, D=D8)
    huber = Huber(Chinchilla(), data, 1e-3)
    model, names = huber.bound.model, huber.bound.names
    ends = minimise(model, huber.bound.starts(48), 1e-3)
    best = int(np.argmin(ends.objective))
    theta, objective = ends.theta[[best]], float(ends.objective[best])
    assert judge(model, ends, theta, objective, names, {})[0] is FitStatus.CONVERGED
    stuck = Solution(
        ends.theta, ends.objective, ends.converged, np.zeros(48, dtype=bool), ends.iterations
    )
    assert judge(model, stuck, theta, objective, names, {})[0] is FitStatus.UNMOVED
    going = Solution(
        ends.theta, ends.objective, np.zeros(48, dtype=bool), ends.moved, ends.iterations
    )
    assert judge(model, going, theta, objective, names, {})[0] is FitStatus.MAX_ITERATIONS


def test_intervals_are_seeded_and_hold_the_truth() -> None:
    n, d = grid()
    data = points(losses(_law(), n, d) * noise(n.size, 0.01, seed=2), N=n, D=d)
    options = FitOptions(starts=300, bootstrap=300, holdout=0, seed=5)
    one, again = (fit(Chinchilla(), data, options) for _ in range(2))
    assert one.to_json() == again.to_json()
    for name, truth in _law().items():
        ends = one.ci[name]
        assert ends is not None
        assert ends[0] < truth < ends[1]
        assert ends[0] <= (one.params[name] or 0) <= ends[1]
    a, b = one.derived["a"].ci, one.derived["b"].ci
    assert a is not None
    assert b is not None
    assert a[0] == pytest.approx(1 - b[1])
    assert one.correlations["alpha"]["ln A"] > 0.9
    assert one.bootstrap["settled"] == 300
    assert one.settings["seed"] == 5


def test_points_of_one_trajectory_are_resampled_together() -> None:
    n, d = grid(8, 6)
    run = np.unique(n, return_inverse=True)[1]
    shared = np.exp(0.02 * np.random.default_rng(1).standard_normal(8))[run]
    loss = losses(_law(), n, d) * shared * noise(n.size, 0.002)
    options = FitOptions(starts=200, bootstrap=200, holdout=0)
    alone = fit(Chinchilla(), points(loss, N=n, D=d), options)
    grouped = fit(Chinchilla(), points(loss, N=n, D=d, group=run), options)
    assert grouped.params == alone.params
    assert grouped.bootstrap["groups"] == 8
    narrow, wide = alone.ci["alpha"], grouped.ci["alpha"]
    assert narrow is not None
    assert wide is not None
    assert wide[1] - wide[0] > narrow[1] - narrow[0]
    assert any("8 groups" in note for note in grouped.notes)


def test_two_trajectories_give_no_intervals() -> None:
    d = np.geomspace(1e5, 1e7, 8)
    both, run = np.concatenate([d, d]), np.repeat([0, 1], 8)
    loss = (1.2 + 60.0 * both**-0.3) * noise(16, 0.002)
    options = FitOptions(starts=50, bootstrap=50, holdout=0)
    one = fit(PowerLaw("D"), points(loss, D=both, group=run), options)
    assert set(one.ci.values()) == {None}
    assert any("resamples of 2 groups of points" in note for note in one.notes)


def test_the_largest_fifth_is_held_out_and_its_error_signed() -> None:
    n, d = grid()
    loss = losses(_law(), n, d)
    large = n * d >= np.sort(n * d)[-13] * (1 - 1e-9)
    options = FitOptions(starts=300, bootstrap=0)
    exact = fit(Chinchilla(), points(loss, N=n, D=d), options).held_out
    assert exact["n"] == large.sum()
    assert exact["mean_error"] == pytest.approx(0, abs=1e-9)
    worse = fit(Chinchilla(), points(loss * np.where(large, 1.05, 1), N=n, D=d), options)
    assert worse.held_out["mean_error"] == pytest.approx(1 / 1.05 - 1, rel=1e-6)
    assert worse.held_out["worst_error"] == pytest.approx(1 / 1.05 - 1, rel=1e-6)


def test_held_out_runs_beside_the_law_are_outside_their_intervals() -> None:
    n, d = grid()
    loss = losses(_law(), n, d) * noise(n.size, 0.002)
    large = n * d >= np.sort(n * d)[-13] * (1 - 1e-9)
    options = FitOptions(starts=100, bootstrap=50)
    right = fit(Chinchilla(), points(loss, N=n, D=d), options).held_out
    off = fit(Chinchilla(), points(loss * np.where(large, 1.3, 1), N=n, D=d), options).held_out
    assert right["inside"] > 0.7 and off["inside"] == 0


def test_exact_flops_move_the_frontier() -> None:
    n, d = grid()
    flops = 40.0 * n**0.9 * d  # embeddings and attention make small models dearer
    law = _law()
    found = fit(Chinchilla(), points(losses(law, n, d), N=n, D=d, C=flops), QUICK)
    a = law["beta"] / (law["alpha"] + 0.9 * law["beta"])
    assert found.derived["a_exact"].value == pytest.approx(a, rel=1e-6)
    assert found.derived["b_exact"].value == pytest.approx(1 - 0.9 * a, rel=1e-6)
    best, at = found.derived["N_opt"].value, found.derived["N_opt"].at["C"]
    sizes = best * np.array([0.9, 1.0, 1.1])
    along = losses(law, sizes, at / (40 * sizes**0.9))
    assert along[1] == min(along)


def test_residual_trends_tell_a_wrong_law_from_a_right_one() -> None:
    n, d = grid()
    loss = losses(LAWS["asymmetric"], n, d) * noise(n.size, 0.002)
    data = points(loss, N=n, D=d)
    options = FitOptions(starts=300, bootstrap=0)
    right, wrong = fit(Chinchilla(), data, options), fit(Kaplan(), data, options)
    assert right.quality["trend"]["D"]["p_value"] > 0.01
    assert wrong.quality["trend"]["D"]["p_value"] < 1e-3
    ranked = compare([wrong, right])
    assert [one.form for one in ranked] == ["chinchilla", "kaplan"]
    assert ranked[0].delta_aic == 0
    assert (ranked[1].delta_aic or 0) > 10
    with pytest.raises(ValueError, match="different points"):
        compare([right, fit(Kaplan(), data.take(n > 2e6), options)])


def test_the_result_is_plain_json() -> None:
    n, d = grid()
    data = points(losses(_law(), n, d) * noise(n.size, 0.01), N=n, D=d)
    text = json.dumps(
        fit(Chinchilla(), data, FitOptions(starts=100, bootstrap=50)).to_json(), allow_nan=False
    )
    assert json.loads(text)["status"] == "converged"
    assert len(json.loads(text)["residuals"]) == n.size


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="not positive"):
        points([1.0, -1.0], N=[1.0, 2.0])
    with pytest.raises(ValueError, match="shape"):
        points([1.0, 1.0], N=[1.0])
    data = points([2.0, 1.9, 1.8, 1.7], N=[1e6, 2e6, 4e6, 8e6])
    with pytest.raises(ValueError, match="needs D"):
        fit(Chinchilla(), data)
    with pytest.raises(ValueError, match="cannot be fitted"):
        fit(PowerLaw("N"), data, QUICK, "variable_projection")


@pytest.mark.slow
@pytest.mark.parametrize("approach", ["huber", "variable_projection"])
def test_intervals_cover_the_truth_and_are_no_wider_than_that_takes(approach: str) -> None:
    n, d = grid()
    truth = losses(_law(), n, d)
    options = FitOptions(starts=100, bootstrap=200, holdout=0)
    inside: dict[str, list[bool]] = {name: [] for name in (*_law(), "a")}
    alphas, widths = list[float](), list[float]()
    exact = _law() | {"a": 0.28 / 0.62}
    for repetition in range(100):
        data = points(truth * noise(n.size, 0.01, seed=repetition), N=n, D=d)
        found = fit(Chinchilla(), data, options, approach)
        for name, seen in inside.items():
            ends = found.derived["a"].ci if name == "a" else found.ci[name]
            seen.append(ends is not None and ends[0] <= exact[name] <= ends[1])
        if (ends := found.ci["alpha"]) is not None:
            alphas.append(found.values()["alpha"])
            widths.append(ends[1] - ends[0])
    shares = {name: float(np.mean(seen)) for name, seen in inside.items()}
    # Of 100 intervals of 93 % at least 89 hold the truth in 95 % of cases, of 85 % in 16 %.
    assert all(share >= 0.89 for share in shares.values()), shares
    # Over the width that holds 95 % of the estimates: 1.23 of huber, 1.10; 85 % would be .73.
    assert 0.8 <= np.mean(widths) / (3.92 * np.std(alphas, ddof=1)) <= 1.6


def test_figures_of_merit_are_by_their_formulas() -> None:
    x = np.array([1.0, 2, 4, 8, 16, 32])
    loss = np.array([4.0, 3.1, 2.6, 2.2, 2.1, 2.0])
    predicted = loss * np.exp(np.array([0.01, -0.02, 0.005, 0.0, 0.01, -0.005]))
    found = quality(points(loss, N=x), predicted, parameters=2, axes=1)
    residual, spread = np.log(loss / predicted), np.log(loss) - np.log(loss).mean()
    square, n, free = float(residual @ residual), 6, 3
    aic = n * np.log(square / n) + 2 * free
    assert found["r_squared"] == pytest.approx(1 - square / float(spread @ spread))
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((loss - predicted) ** 2)))
    assert found["rms_log_residual"] == pytest.approx(np.sqrt(square / n))
    assert found["aic"] == pytest.approx(aic)
    assert found["aicc"] == pytest.approx(aic + 2 * free * (free + 1) / (n - free - 1))
