"""`tinyscale compare`: groups, paired tests against scipy's, fronts, equal cost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from analysis.cli import compare
from analysis.compare import Request, compare_runs
from analysis.equal import equal
from analysis.memory import inference_bytes
from analysis.paired import against, seeds_needed
from analysis.pareto import COSTS, front
from analysis.runs import Selection
from scaling.errors import UserError
from tests.analysis.recorded import Recorder


def run(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(compare, [*words, "--json"], catch_exceptions=False)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def losses(values: list[float], seeds: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"seed": seeds or list(range(len(values))), "loss": values})


def test_pairs_are_tested_as_scipy_does() -> None:
    a, b = losses([2.1, 2.3, 2.2, 2.4]), losses([2.0, 2.25, 2.1, 2.31])
    (test,) = against([("b", b), ("a", a)], ["seed"], "b")
    known = stats.ttest_rel(a["loss"], b["loss"])
    assert test.kind == "paired" and test.pairs == 4
    assert test.p_value == pytest.approx(known.pvalue)
    assert test.ci == pytest.approx(tuple(known.confidence_interval()))
    assert test.sentence.endswith("More than chance.")


def test_other_seeds_are_tested_unpaired_and_one_seed_not_at_all() -> None:
    a, b = losses([2.1, 2.3, 2.2]), losses([2.0, 2.4], [7, 8])
    (test,) = against([("b", b), ("a", a)], ["seed"], "b")
    assert test.kind == "unpaired"
    known = stats.ttest_ind(a["loss"], b["loss"], equal_var=False)
    assert test.p_value == pytest.approx(known.pvalue)
    (none,) = against([("b", b), ("c", losses([2.0]))], ["seed"], "b")
    assert none.p_value is None and "two seeds" in none.sentence


def test_holm_holds_the_worst_of_many_back() -> None:
    draw = np.random.default_rng(0)
    base = losses(list(2 + 0.1 * draw.standard_normal(6)))
    groups = [("base", base)]
    for k in range(3):
        more = base.assign(loss=base["loss"] + 0.02 * k + 0.02 * draw.standard_normal(6))
        groups.append((f"g{k}", more))
    tests = against(groups, ["seed"], "base")
    raw = np.array([test.p_value for test in tests])
    held = np.array([test.adjusted for test in tests])
    order = np.argsort(raw)
    known = np.minimum(np.maximum.accumulate(raw[order] * [3, 2, 1]), 1)
    assert held[order] == pytest.approx(known)


def test_the_seeds_needed_give_the_power_asked_for() -> None:
    needed = seeds_needed(0.05, 0.1, paired=True)
    assert needed == 34  # Cohen 1988: d = 0.5, 80 %, 5 % two-sided, paired
    assert seeds_needed(0.05, 0.1, paired=False) == 64  # and of two groups
    draw = np.random.default_rng(1).normal(0.05, 0.1, (4000, 34))
    found = (stats.ttest_1samp(draw, 0, axis=1).pvalue < 0.05).mean()
    assert found == pytest.approx(0.8, abs=0.03)
    assert seeds_needed(0.0, 0.1, paired=True) is None


def test_a_front_is_what_nothing_beats() -> None:
    table = pd.DataFrame({"N": [1.0, 2, 3, 3, np.nan], "loss": [3.0, 3.5, 2.0, 2.1, 1.0]})
    assert list(front(table, COSTS[0])) == [True, False, True, False, False]
    speed = table.assign(tokens_per_second=[4.0, 3, 2, 1, 5])
    assert list(front(speed, COSTS[3])) == [False, False, False, False, True]


def test_equal_cost_is_read_between_sizes_and_along_curves() -> None:
    def runs(n: list[float], loss: list[float], c: list[float]) -> pd.DataFrame:
        return pd.DataFrame({"N": n, "loss": loss, "C": c})

    a, b = runs([1, 100], [4, 2], [1, 1]), runs([10, 1000], [3.5, 1.5], [2, 2])
    (one,) = equal([("a", a), ("b", b)], "a", "N")
    assert one.at == pytest.approx(10**1.5)
    assert one.difference == pytest.approx((3.5 - 0.5) - 2.5)
    c = runs([5], [2.0], [10.0])
    d = runs([9], [1.5], [100.0])
    curve = {"c": pd.DataFrame(), "d": pd.DataFrame({"flops": [1.0, 100.0], "loss": [3.0, 1.5]})}
    (two,) = equal([("c", c), ("d", d)], "c", "C", curve)
    assert two.at == 10 and two.difference == pytest.approx(2.25 - 2.0)
    (three,) = equal([("c", c), ("d", d)], "c", "N")
    assert three.difference is None and "apart" in three.how


@pytest.mark.parametrize(
    ("fields", "cached"),
    [
        ({"kind": "mha"}, 2 * 4 * 2 * 64),
        ({"kind": "gqa", "n_kv_heads": 2}, 2 * 2 * 2 * 64),
        ({"kind": "mqa"}, 2 * 1 * 2 * 64),
        ({"kind": "sliding_window", "window": 8}, 2 * 4 * 2 * 8),
        ({"kind": "mla", "kv_rank": 3, "rope_dim": 1}, 4 * 64),
    ],
)
def test_inference_memory_is_weights_and_one_cache(fields: dict[str, Any], cached: int) -> None:
    run = {"precision": "bf16", "N": 1000, "depth": 3, "width": 8, "context_length": 64}
    run |= {"model.n_heads": 4, "model.head_dim": 2}
    run |= {f"model.attention.{name}": value for name, value in fields.items()}
    assert inference_bytes(run) == 2 * (1000 + 3 * cached)


def test_groups_of_an_experiment(variants: Recorder, workplace: Path) -> None:
    words = ("--store", variants.uri, "--experiment", "variants")
    found = run(*words, "--group-by", "model.attention.kind", "--out", "out")
    assert found["reference"] == "mha"
    assert found["matched_by"] == ["seed", "width", "optimizer.lr"]
    (test,) = found["tests"]
    assert test["pairs"] == 9
    assert test["difference"] > 0 and test["p_value"] < 1e-6  # mqa was recorded 2 % worse
    equals = {one["cost"]: one for one in found["equal_cost"]}
    assert equals["N"]["difference"] == pytest.approx(0.02 * 3, rel=0.3)
    assert {one["group"] for one in found["groups"]} == {"mha", "mqa"}

    table = pd.read_csv(workplace / "out" / "summary_table.csv")
    assert list(table["seeds"]) == [3, 3]
    assert (workplace / "out" / "summary_table.md").read_text().count("\n| ") >= 3
    runs = pd.read_csv(workplace / "out" / "runs.csv")
    assert (runs["before"] > runs["loss"]).all()
    names = {path.stem for path in (workplace / "out/figures").glob("*.svg")}
    assert names >= {"curves-val-loss", "curves-grad-norm", "curves-weight-norm", "pareto"}
    assert names >= {"curves-throughput", "curves-train-loss", "equal-cost", "losses"}
    logged = variants.store.get_run(found["mlflow_run_id"])
    assert logged.data.tags["tinyscale.kind"] == "comparison"


def test_named_runs_are_groups_in_the_order_named(variants: Recorder, workplace: Path) -> None:
    selection = Selection(store=variants.uri, runs=("mqa64", "w128", "mqa32"))
    found = compare_runs(Request(selection, workplace), lambda _: None)
    assert found.reference == "mqa64"
    names = [name.split("-")[0] for name, _ in found.groups]
    assert names == ["mqa64", "w128", "w128", "w128", "mqa32"]  # w128 had three learning rates


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--group-by", "model.atention.kind"], "no run has a field .* model.attention.kind"),
        (["--group-by", "model.norm"], "only one group"),
        (["--reference", "mhx", "--group-by", "model.attention.kind"], "did you mean mha"),
    ],
)
def test_mistakes_are_one_sentence(variants: Recorder, words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        run("--store", variants.uri, "--experiment", "variants", *words)
    assert "\n" not in str(raised.value)
