"""Points of one trajectory share its noise: they are no more evidence than one of them."""

import numpy as np

from analysis.fits import Chinchilla, FitOptions, PowerLaw, fit, points
from analysis.fits.holdout import hold_out
from analysis.fits.quality import trend

QUICK = FitOptions(starts=60, bootstrap=0, holdout=0)


def test_three_levels_say_nothing_of_the_trend_of_a_law_of_three_parameters() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat([1e5, 1e6, 1e7, 1e8], 6)
    loss = (2 + 90 * x**-0.4) * np.exp(0.01 * rng.standard_normal(len(x)))
    few = x < 1e8
    three = fit(PowerLaw("x"), points(loss[few], x=x[few]), QUICK)
    assert three.quality["trend"]["x"]["p_value"] is None
    four = fit(PowerLaw("x"), points(loss, x=x), QUICK)
    assert four.quality["trend"]["x"]["p_value"] is not None
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e5, 1e8, 5), [1e7, 1e8, 1e9]))
    loss = 1.7 + 400 * n**-0.34 + 410 * d**-0.28
    loss *= np.exp(0.01 * rng.standard_normal(len(n)))
    found = fit(Chinchilla(), points(loss, N=n, D=d), QUICK).quality["trend"]
    assert found["D"]["p_value"] is None and found["N"]["p_value"] is not None


def test_a_trend_is_judged_by_trajectories() -> None:
    """Noise that a run's eight branches share looks like a trend where they count as eight."""
    x = np.repeat(np.geomspace(1e5, 1e8, 8), 8)
    flagged = {"points": 0, "trajectories": 0}
    for seed in range(100):
        noise = np.random.default_rng(seed).standard_normal(8)
        residual = np.repeat(0.01 * (noise - noise.mean()), 8)
        residual += 1e-4 * np.random.default_rng(seed).standard_normal(len(x))
        for name, groups in (("points", None), ("trajectories", 8)):
            p_value = trend(x, residual, groups=groups)["p_value"]
            flagged[name] += p_value is not None and p_value < 0.05
    assert flagged["points"] > 50
    assert flagged["trajectories"] <= 12


def test_a_term_that_trajectories_do_not_show_is_needless() -> None:
    """Twelve runs without a law, of eight points each, are not ninety-six runs."""
    x = np.repeat(np.geomspace(1e5, 1e8, 12), 8)
    rng = np.random.default_rng(7)
    loss = 3 * np.exp(np.repeat(0.02 * rng.standard_normal(12), 8) - 0.003 * np.log(x / 1e5))
    group = np.repeat(np.arange(12), 8)
    assert fit(PowerLaw("x"), points(loss, x=x, group=group), QUICK).status == "not_identified"


def test_a_run_that_is_held_out_leaves_no_branch_to_be_fitted() -> None:
    n, part = (a.ravel() for a in np.meshgrid(np.geomspace(1e5, 1e8, 10), [0.25, 0.5, 1.0]))
    data = points(2 + 90 * n**-0.4 + 9 * part**-0.3, x=n, group=n)
    found = hold_out(PowerLaw("x"), data, FitOptions(starts=60, bootstrap=0), "huber")
    assert (found["n"], found["n_fitted"]) == (6, 24)
    d = part * 1e9
    data = points(2 + 90 * n**-0.4 + 900 * d**-0.3, N=n, D=d, group=n)
    found = hold_out(Chinchilla(), data, FitOptions(starts=60, bootstrap=0), "huber")
    held = np.argsort(-n * d)[:6]
    assert found["n"] == 6
    assert found["n_fitted"] == 3 * (10 - len(set(n[held])))
