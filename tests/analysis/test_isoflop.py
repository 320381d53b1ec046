"""IsoFLOP optima: right exponents, and no number from a curve that has no optimum."""

import numpy as np
import pytest

from analysis.fits import FitOptions, FitStatus, fit_isoflop, points
from analysis.fits.isoflop import group_budgets
from analysis.fits.points import Points

QUICK = FitOptions(bootstrap=0)


def valley(a: float = 0.46, budgets: int = 5, sizes: int = 9, shift: float = 0.0) -> Points:
    """Parabolas in ln N about N* = C^a, their sizes shifted from the optimum."""
    flops = np.repeat(np.geomspace(1e17, 1e20, budgets), sizes)
    z = np.tile(np.linspace(-2, 2, sizes), budgets) + shift
    n = np.exp(a * np.log(flops) + z)
    return points(5 - 0.05 * np.log(flops) + 0.08 * z**2, N=n, C=flops)


@pytest.mark.parametrize("approach", ["parabola", "akima"])
def test_exponents_are_recovered(approach: str) -> None:
    found = fit_isoflop(valley(shift=0.2), approach, QUICK)
    assert found.status is FitStatus.CONVERGED
    assert found.values() == pytest.approx({"a": 0.46, "b": 0.54}, rel=1e-6)
    assert all(budget["status"] == "converged" for budget in found.budgets)
    top = max(found.budgets, key=lambda one: one["C"])
    ratio = found.derived["tokens_per_parameter"]
    assert (ratio.value, ratio.at["C"]) == pytest.approx((top["D_opt"] / top["N_opt"], top["C"]))


def test_tokens_come_from_their_column_beside_exact_flops() -> None:
    flat = valley()
    n, c = flat.axes["N"], flat.axes["C"]
    tokens = c / (8 * n**0.95)
    found = fit_isoflop(points(flat.loss, N=n, C=c, D=tokens), "parabola", QUICK)
    assert found.values()["a"] == pytest.approx(0.46, rel=1e-6)
    assert found.values()["b"] == pytest.approx(1 - 0.95 * 0.46, rel=1e-6)
    from_tokens = fit_isoflop(points(flat.loss, N=n, D=c / (6 * n)), "parabola", QUICK)
    assert from_tokens.values() == pytest.approx({"a": 0.46, "b": 0.54}, rel=1e-6)


@pytest.mark.parametrize("approach", ["parabola", "akima"])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (valley(shift=3.0), FitStatus.EDGE_OPTIMUM),
        (valley(shift=-3.0), FitStatus.EDGE_OPTIMUM),
        (valley(budgets=2), FitStatus.TOO_FEW_POINTS),
        (valley(sizes=3), FitStatus.TOO_FEW_POINTS),
    ],
    ids=["all below", "all above", "two budgets", "three sizes"],
)
def test_no_optimum_no_number(data: Points, status: FitStatus, approach: str) -> None:
    found = fit_isoflop(data, approach, QUICK)
    assert found.status is status
    assert found.params == {"a": None, "b": None}
    assert found.message


@pytest.mark.parametrize("approach", ["parabola", "akima"])
def test_a_downward_curve_is_refused(approach: str) -> None:
    up = valley()
    down = points(10 - up.loss, N=up.axes["N"], C=up.axes["C"])
    found = fit_isoflop(down, approach, QUICK)
    assert found.status is FitStatus.NOT_CONVEX
    assert "bend downward" in found.message
    assert found.params == {"a": None, "b": None}


def test_one_budget_alone_says_its_own_reason() -> None:
    edge = fit_isoflop(valley(budgets=1, shift=3.0), "parabola", QUICK)
    assert edge.status is FitStatus.EDGE_OPTIMUM
    assert "1 of 1 compute budget" in edge.message


def test_one_bad_budget_is_left_out_and_named() -> None:
    data = valley(budgets=6)
    last = data.axes["C"] == data.axes["C"].max()
    loss = np.where(last, 10 - data.loss, data.loss)
    found = fit_isoflop(points(loss, N=data.axes["N"], C=data.axes["C"]), "parabola", QUICK)
    assert found.values()["a"] == pytest.approx(0.46, rel=1e-6)
    assert found.budgets[-1]["status"] == "not_convex"
    assert any("1e+20" in note for note in found.notes)


def test_nearly_equal_flops_share_a_budget() -> None:
    flops = np.array([1e18, 1.1e18, 0.95e18, 4e18, 4.3e18])
    assert group_budgets(flops).tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("approach", ["parabola", "akima"])
def test_intervals_hold_the_exponent(approach: str) -> None:
    exact = valley(sizes=11)
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(len(exact)))
    data = points(exact.loss * noise, N=exact.axes["N"], C=exact.axes["C"])
    found = fit_isoflop(data, approach, FitOptions(bootstrap=200))
    ends = found.ci["a"]
    assert ends is not None
    assert ends[0] < 0.46 < ends[1]
    assert found.bootstrap["within_budgets"]


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="parabola or akima"):
        fit_isoflop(valley(), "cubic")
    with pytest.raises(ValueError, match="needs N"):
        fit_isoflop(points([2.0], N=[1e6]), "akima")
