"""Evidence rules: each passes, fails, and does not know."""

from collections.abc import Callable
from dataclasses import replace
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
from analysis.fits.result import FitStatus


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
    beside = [law, scored(law, "kaplan", 30.0)] if law is not None and law.quality else []
    return [*of_runs(runs), *of_fit(law, beside)]


def scored(law: Fit, form: str, above: float) -> Fit:
    """Another form on the same points, so much worse by AICc."""
    return replace(law, form=form, quality={"aicc": law.quality["aicc"] + above})


def verdicts(runs: pd.DataFrame, law: Fit | None = None) -> dict[str, Verdict]:
    return {one.rule: one.verdict for one in findings_of(runs, law)}


def test_a_study_in_order_may_claim_a_law(law: Fit) -> None:
    findings = findings_of(study(), law)
    assert {one.verdict for one in findings} == {Verdict.PASS}, findings
    assert all(one.figure is not None and one.sentence for one in findings)
    assert may_claim(findings).startswith("A scaling law may be claimed")


def test_a_claim_names_what_its_law_is_of(law: Fit) -> None:
    found = findings_of(study(), law)
    assert may_claim(found, "D").startswith(
        "A scaling law may be claimed over the range of tokens"
    )
    assert "over the sizes studied" in may_claim(found, "N_non_embedding")


def test_many_configurations_of_one_loss_do_not_range_above_the_seeds() -> None:
    draw, found = np.random.default_rng(0), []
    for _ in range(60):  # by the range alone 26 times
        runs = pd.DataFrame({"group": np.repeat(np.arange(32), 2), "seed": [0, 1] * 32})
        found.append(verdicts(runs.assign(loss=2 + draw.normal(0, 0.01, 64)))["seed_noise"])
    assert sum(one is Verdict.PASS for one in found) <= 8


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


@pytest.mark.parametrize(
    ("above", "verdict", "said"),
    [
        (3.0, Verdict.PASS, "of the other forms kaplan comes closest, its AICc 3 above"),
        (1.5, Verdict.FAIL, "AICc 1.5 above"),
        (-9.0, Verdict.FAIL, "AICc 9 below"),
    ],
)
def test_a_law_that_another_form_comes_close_to_is_not_claimed(
    law: Fit, above: float, verdict: Verdict, said: str
) -> None:
    far, near = scored(law, "log_power", above + 5), scored(law, "kaplan", above)
    found = of_fit(law, [law, far, near])[-1]
    assert found.verdict is verdict and found.sentence.endswith(said)
    assert found.figure == pytest.approx(above)


def test_without_another_form_it_is_not_known_what_else_would_do(law: Fit) -> None:
    lost = replace(scored(law, "kaplan", -9.0), status=FitStatus.NOT_IDENTIFIED)
    again = scored(law, law.form, -9.0)  # by another approach
    few = replace(law, form="log_power", quality={"aicc": None})
    for beside in ((), (law, again), (law, lost), (law, few)):
        assert of_fit(law, beside)[-1].verdict is Verdict.UNKNOWN


def test_residual_trend_and_held_out_can_fail() -> None:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, 7), np.geomspace(1e8, 1e11, 7)))
    bent = 1.69 + 406.4 * n**-0.34 + 410.7 * d**-0.28 + 0.1 * (np.log(n / 3e7)) ** 2
    bent *= np.where(n * d > 1e19, 1.5, 1.0)
    wrong = fit(Chinchilla(), points(bent, N=n, D=d), FitOptions(starts=200, bootstrap=100))
    assert wrong.converged
    found = verdicts(study(), wrong)
    assert found["residual_trend"] is found["held_out"] is Verdict.FAIL


@pytest.mark.parametrize(
    ("rule", "column", "value"),
    [
        ("final_loss", "loss_kind", "best"),
        ("warmup", "warmup_steps", 300),
        ("schedule", "schedule_steps", 500),
        ("repeats", "unique_tokens", 1e7),
    ],
)
def test_one_run_is_enough_to_break_a_rule(rule: str, column: str, value: Any) -> None:
    broken = study()
    broken.loc[3, column] = value
    assert verdicts(broken)[rule] is Verdict.FAIL


def test_one_configuration_of_one_seed_is_enough_to_break_the_rule_of_seeds() -> None:
    assert verdicts(study().drop(index=3))["seeds"] is Verdict.FAIL


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("converged", {"starts": {"share_reached_best": 0.01}}),
        ("residual_trend", {"trend": {"N": {"p_value": 0.02}, "D": {"p_value": 0.5}}}),
        ("held_out", {"held_out": {"mean_error": 0.1, "inside": 0.6, "n": 10}}),
    ],
)
def test_each_rule_of_a_fit_fails_by_itself(rule: str, change: dict[str, Any], law: Fit) -> None:
    if "trend" in change:
        change = {"quality": law.quality | change}
    found = {one.rule: one.verdict for one in of_fit(replace(law, **change))}
    assert [name for name, verdict in found.items() if verdict is Verdict.FAIL] == [rule]
