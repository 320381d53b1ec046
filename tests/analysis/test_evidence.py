"""Evidence rules: each passes, fails, and does not know."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.evidence import (
    Finding,
    Verdict,
    equal_budgets,
    learning_rate,
    may_claim,
    of_fit,
    of_runs,
)
from analysis.fits import Chinchilla, Fit, FitOptions, fit, points


@pytest.fixture(scope="module")
def law() -> Fit:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, 7), np.geomspace(1e8, 1e11, 7)))
    loss = 1.69 + 406.4 * n**-0.34 + 410.7 * d**-0.28
    loss *= np.exp(0.01 * np.random.default_rng(0).standard_normal(n.size))
    return fit(Chinchilla(), points(loss, N=n, D=d), FitOptions(starts=200, bootstrap=100))


def study() -> pd.DataFrame:
    """Four sizes, three learning rates, two seeds: everything in order."""
    rows = [
        {
            "N": size,
            "N_non_embedding": size / 2,
            "D": 1e8,
            "C": 6.1e8 * size,
            "unique_tokens": 5e7,
            "loss": 10 * size**-0.1 + 0.1 * np.log(lr / 3e-3) ** 2 + 0.001 * seed,
            "loss_kind": "final",
            "group": f"{size}-{lr}",
            "seed": seed,
            "lr": lr,
            "warmup_steps": 50,
            "steps": 1000,
            "schedule_steps": 1000,
        }
        for size in (1e5, 3e5, 1e6, 3e6)
        for lr in (1e-3, 3e-3, 1e-2)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows)


BREAKS: dict[str, dict[str, Callable[[pd.DataFrame], Any]]] = {
    "sizes_span": {"N": lambda runs: 1e6 + runs["N"]},
    "equal_budgets": {"D": lambda runs: runs["N"] * 20},
    "final_loss": {"loss_kind": lambda runs: "best"},
    "seeds": {"group": lambda runs: np.arange(len(runs))},
    "seed_noise": {"loss": lambda runs: 2 + runs["seed"]},
    "learning_rate": {"loss": lambda runs: runs["lr"]},
    "warmup": {"warmup_steps": lambda runs: 300},
    "schedule": {"schedule_steps": lambda runs: 2000},
    "repeats": {"unique_tokens": lambda runs: 1e7},
}


def findings_of(runs: pd.DataFrame, law: Fit | None = None) -> list[Finding]:
    return [*of_runs(runs), *of_fit(law)]


def verdicts(runs: pd.DataFrame, law: Fit | None = None) -> dict[str, Verdict]:
    return {one.rule: one.verdict for one in findings_of(runs, law)}


def test_a_study_in_order_may_claim_a_law(law: Fit) -> None:
    findings = findings_of(study(), law)
    assert {one.verdict for one in findings} == {Verdict.PASS}, findings
    assert all(one.figure is not None and one.sentence for one in findings)
    assert may_claim(findings).startswith("A scaling law may be claimed")


@pytest.mark.parametrize("rule", BREAKS)
def test_each_rule_fails_when_broken_and_is_unknown_without_its_column(
    rule: str, law: Fit
) -> None:
    (column, change), *_ = BREAKS[rule].items()
    broken = study()
    broken[column] = change(broken)
    assert verdicts(broken, law)[rule] is Verdict.FAIL
    assert "no law claimed" in may_claim(findings_of(broken, law))
    assert verdicts(study().drop(columns=column), law)[rule] is Verdict.UNKNOWN
    partly = study()
    partly[column] = partly[column].astype(object)
    partly.loc[0, column] = None
    assert verdicts(partly, law)[rule] is Verdict.UNKNOWN


def test_an_empty_table_knows_nothing() -> None:
    findings = findings_of(pd.DataFrame())
    assert {one.verdict for one in findings} == {Verdict.UNKNOWN}
    assert may_claim(findings).startswith("No law")


def test_conventions_are_all_named_or_not(law: Fit) -> None:
    assert verdicts(study().drop(columns="C"), law)["conventions"] is Verdict.FAIL


def test_a_stated_design_is_held_against_the_table() -> None:
    n, c = np.meshgrid(np.geomspace(1e5, 1e6, 4), [1e15, 1e16, 1e17])
    flops = pd.DataFrame({"N": n.ravel(), "C": c.ravel(), "D": (c / n / 6).ravel()})
    assert equal_budgets(flops).verdict is Verdict.FAIL
    assert equal_budgets(flops, "isoflop").verdict is Verdict.PASS
    assert equal_budgets(flops[flops["C"] < 1e17], "isoflop").verdict is Verdict.FAIL
    assert equal_budgets(flops, "grid").verdict is Verdict.FAIL
    whole = flops.assign(D=flops["C"])
    assert equal_budgets(whole, "grid").verdict is Verdict.PASS
    with pytest.raises(ValueError, match="design is"):
        equal_budgets(flops, "spiral")


def test_token_counts_of_a_grid_may_differ_by_whole_steps() -> None:
    n, d = np.meshgrid([1e5, 2e5, 4e5], [1e6, 4e6])
    table = pd.DataFrame({"N": n.ravel(), "D": d.ravel()})
    table.loc[table["N"] == 2e5, "D"] *= 1.001
    assert equal_budgets(table, "grid").verdict is Verdict.PASS


def test_rates_are_judged_at_every_point_of_size_and_budget() -> None:
    rows = [
        {"N": 1e6, "batch_size": size, "lr": lr, "loss": 3 + abs(np.log(lr / best))}
        for size, best in ((4, 1e-3), (16, 3e-3), (64, 9e-3))
        for lr in (1.5e-3, 3e-3, 6e-3)
    ]
    found = learning_rate(pd.DataFrame(rows))
    assert found.verdict is Verdict.FAIL and found.figure == pytest.approx(1 / 3)
    apart = {"N": 1e6, "D": [1e6, 1e6, 8e6], "lr": [1e-3, 1e-2, 3e-3], "loss": [3.1, 3.0, 2.5]}
    assert learning_rate(pd.DataFrame(apart)).figure == 0  # three rates, but no three at a point


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([3.2, 3.0, np.inf], Verdict.PASS),  # one that diverged was tried
        ([3.2, 3.1, 3.0], Verdict.FAIL),
        ([np.inf, 3.0, 3.0], Verdict.FAIL),  # as good at the end
    ],
)
def test_a_rate_that_diverged_is_worse_than_any(losses: list[float], verdict: Verdict) -> None:
    table = pd.DataFrame({"N": 1e6, "lr": [1e-3, 3e-3, 1e-2], "loss": losses})
    assert learning_rate(table).verdict is verdict
    # Where one seed of three diverged the others do not speak for the rate.
    seeds = pd.concat([table] * 3, ignore_index=True)
    seeds.loc[1, "loss"] = np.inf
    assert learning_rate(seeds).verdict is Verdict.FAIL


def test_a_fit_that_did_not_converge_claims_nothing() -> None:
    refused = fit(Chinchilla(), points([2.0] * 4, N=[1.0, 2, 3, 4], D=[4.0, 1, 2, 3]))
    findings = findings_of(study(), refused)
    found = {one.rule: one for one in findings}
    assert found["converged"].verdict is Verdict.FAIL
    assert found["residual_trend"].verdict is Verdict.UNKNOWN
    assert found["held_out"].verdict is Verdict.UNKNOWN
    assert may_claim(findings) == "No law may be claimed: there is no converged fit."


def test_residual_trend_and_held_out_can_fail(law: Fit) -> None:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, 7), np.geomspace(1e8, 1e11, 7)))
    bent = 1.69 + 406.4 * n**-0.34 + 410.7 * d**-0.28 + 0.1 * (np.log(n / 3e7)) ** 2
    bent *= np.where(n * d > 1e19, 1.5, 1.0)
    wrong = fit(Chinchilla(), points(bent, N=n, D=d), FitOptions(starts=200, bootstrap=100))
    if wrong.converged:
        found = verdicts(study(), wrong)
        assert Verdict.FAIL in {found["residual_trend"], found["held_out"]}
    else:
        assert verdicts(study(), wrong)["converged"] is Verdict.FAIL
