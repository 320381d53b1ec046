"""`tinyscale compare`: groups, paired tests against scipy's, fronts, equal cost."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from analysis.cli import compare
from analysis.compare import Comparison, Request, compare_runs
from analysis.equal import NO_COUNT, at_sizes, equal
from analysis.memory import inference_bytes
from analysis.paired import Test as Outcome  # pytest would take it for a class of tests
from analysis.paired import against, seeds_needed, spread
from analysis.pareto import COSTS, front
from analysis.report.compare import document, in_short
from analysis.runs import Selection
from scaling.errors import UserError
from tests.analysis.recorded import Recorder


def run(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(compare, [*words, "--json"], catch_exceptions=False)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def losses(values: list[float], seeds: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"seed": seeds or list(range(len(values))), "loss": values})


def test_a_sentence_says_which_loss_is_lower() -> None:
    a, b = losses([2.1, 2.3, 2.2]), losses([2.0, 2.25, 2.1])
    (up,), (down,) = (against([("a", a), ("b", b)], ["seed"], name) for name in "ba")
    assert up.sentence.startswith("a: loss higher than b's by 0.0833")
    assert down.sentence.startswith("b: loss lower than a's by 0.0833")


def test_seeds_of_an_unpaired_test_are_of_each_group() -> None:
    a, b = losses([2.1, 2.3, 2.2]), losses([2.12, 2.4, 2.2], [7, 8, 9])
    (one,) = against([("b", b), ("a", a)], ["seed"], "b")
    noise = ((a["loss"].var() + b["loss"].var()) / 2) ** 0.5
    assert one.noise == pytest.approx(noise)
    assert one.seeds_needed == seeds_needed(one.difference, noise, paired=False)


def test_the_spread_of_a_mean_is_students() -> None:
    values = [2.0, 2.1, 2.3]
    known = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert spread(values) == pytest.approx(known)
    assert spread([2.0]) is None


@pytest.mark.parametrize(("effect", "seeds"), [(0.0305, 8440), (0.0281, 9943), (0.028, None)])
def test_seeds_are_reckoned_up_to_ten_thousand(effect: float, seeds: int | None) -> None:
    assert seeds_needed(effect, 1.0, paired=True) == seeds


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


def test_identical_losses_are_no_difference() -> None:
    same, more = losses([2.1, 2.2]), losses([2.3, 2.5])
    for other in (same, same.assign(seed=[8, 9], loss=2.1)):
        base = same if other is same or other["seed"][0] == 0 else same.assign(loss=2.1)
        one, two = against([("a", base), ("b", other), ("c", more)], ["seed"], "a")
        assert one.p_value == one.adjusted == 1
        assert "mean loss the same as a's" in one.sentence
        assert one.sentence.endswith("Not told from chance.")
        assert two.adjusted == pytest.approx(2 * (two.p_value or 0))


def test_few_shared_seeds_do_not_stand_in_the_way_of_all_the_others() -> None:
    a = losses([4.0, 4.1, 4.2, 4.1, 4.05], [5, 6, 7, 8, 9])
    for seeds in ([1, 2, 3, 4, 5], [1, 2, 3, 5, 6]):  # one shared, two shared
        b = losses([3.0, 3.1, 3.2, 3.1, 3.05], seeds)
        (test,) = against([("b", b), ("a", a)], ["seed"], "b")
        known = stats.ttest_ind(a["loss"], b["loss"], equal_var=False)
        assert test.kind == "unpaired" and test.p_value == pytest.approx(known.pvalue)
    (test,) = against([("b", b), ("a", a[:3])], ["seed"], "b")  # both of three would be pairs
    assert test.kind == "paired" and test.pairs == 2
    assert "2 pairs; 4 runs have no counterpart" in test.sentence
    (test,) = against([("b", b), ("a", a[2:])], ["seed"], "b")
    assert "3 and 5 runs, unpaired" in test.sentence


def test_runs_without_a_seed_are_not_of_one_seed() -> None:
    table = pd.DataFrame({"seed": None, "width": [64, 128] * 2, "loss": [3.0, 2.5, 3.1, 2.7]})
    (test,) = against([("b", table[:2]), ("a", table[2:])], ["seed"], "b")
    assert test.kind == "unpaired" and test.pairs == 2
    (test,) = against([("b", table[:2]), ("a", table[2:])], ["seed", "width"], "b")
    known = stats.ttest_rel([3.1, 2.7], [3.0, 2.5])
    assert test.p_value == pytest.approx(known.pvalue)
    assert "2 pairs of means over seeds" in test.sentence


def test_runs_of_different_settings_are_not_tested() -> None:
    def runs(widths: tuple[int, ...], seeds: tuple[int, ...]) -> pd.DataFrame:
        rows = [(width, seed, 200 / width + 0.01 * seed) for width in widths for seed in seeds]
        return pd.DataFrame(rows, columns=["width", "seed", "loss"])

    match = ["seed", "width"]
    small = runs((64, 128), (1, 2))
    (test,) = against([("a", small), ("b", runs((256, 512), (1, 2)))], match, "a")
    assert (test.kind, test.pairs, test.p_value) == ("none", 0, None)
    assert test.sentence == "b against a: no test, since no two runs of them agree in width."
    # What both have is tested, and no more: the size is no noise.
    (test,) = against([("a", small), ("b", runs((128, 512), (3, 4)))], match, "a")
    assert test.kind == "unpaired" and test.difference == pytest.approx(0.02)
    assert "2 and 2 runs, unpaired; 4 runs have no counterpart" in test.sentence
    (test,) = against([("a", small), ("b", runs((64, 128), (3, 4)))], match, "a")
    assert test.kind == "paired" and test.difference == pytest.approx(0.02)


def branched(
    draw: np.random.Generator, name: str, seeds: tuple[int, ...], branches: int
) -> pd.DataFrame:
    """Stems with a noise of .01, which their branches share beside .002 of their own."""
    rows = [
        (seed, 10.0**k, f"{name}{seed}", 4 - 0.5 * k + shared + draw.normal(0, 0.002))
        for seed in seeds
        for shared in [draw.normal(0, 0.01)]
        for k in range(branches)
    ]
    return pd.DataFrame(rows, columns=["seed", "D", "trajectory", "loss"])


@pytest.mark.parametrize(
    ("seeds", "others", "branches", "kind", "said"),
    [
        ((1, 2), (1, 2), 4, "paired", "2 pairs, branches averaged with their stem"),
        ((1, 2, 3), (1, 2, 3), 2, "paired", "3 pairs, branches averaged with their stem"),
        ((1, 2, 3), (4, 5, 6), 4, "unpaired", "3 and 3 stems with their branches, unpaired"),
    ],
)
def test_branches_of_one_training_are_one_measurement(
    seeds: tuple[int, ...], others: tuple[int, ...], branches: int, kind: str, said: str
) -> None:
    draw, found = np.random.default_rng(0), []
    for _ in range(60):
        a, b = branched(draw, "a", seeds, branches), branched(draw, "b", others, branches)
        found += against([("a", a), ("b", b)], ["seed", "D"], "a")
    assert {one.kind for one in found} == {kind} and said in found[0].sentence
    false = np.mean([(one.p_value or 0) < 0.05 for one in found])
    assert false <= 0.12  # of 5 %; of branches as so many pairs it were 25 to 75 %
    # The test of the stems' means, and what seeds are reckoned from.
    one, other = (part.groupby("seed")["loss"].mean() for part in (b, a))
    if kind == "paired":
        assert found[-1].p_value == pytest.approx(stats.ttest_rel(one, other).pvalue)
        assert found[-1].noise == pytest.approx((one - other).std())
    else:
        known = stats.ttest_ind(one, other, equal_var=False)
        assert found[-1].p_value == pytest.approx(known.pvalue)
        assert found[-1].noise == pytest.approx(math.sqrt((one.var() + other.var()) / 2))
    a, b = branched(draw, "a", (1,), 4), branched(draw, "b", (1,), 4)
    (alone,) = against([("a", a), ("b", b)], ["seed", "D"], "a")
    assert alone.p_value is None and "two seeds of each" in alone.basis


def test_a_branch_that_is_missing_makes_no_difference_between_unpaired_stems() -> None:
    draw = np.random.default_rng(0)
    a, b = branched(draw, "a", (1, 2, 3), 4), branched(draw, "b", (4, 5, 6), 4)
    a["loss"], b["loss"] = 4 - 0.5 * np.log10(a["D"]), 4.1 - 0.5 * np.log10(b["D"])
    (test,) = against([("a", a), ("b", b[:-1])], ["seed", "D"], "a")
    assert test.kind == "unpaired" and test.difference == pytest.approx(0.1)


def test_seeds_are_reckoned_for_the_level_that_is_left() -> None:
    base = losses([2.0, 2.1, 2.2, 2.05])
    clear, near = losses([3.0, 3.11, 3.2, 3.06]), losses([2.01, 2.09, 2.23, 2.05])
    found = against([("base", base), ("near", near), ("clear", clear)], ["seed"], "base")
    by = {test.group: test for test in found}
    assert (by["clear"].adjusted or 1) < 0.05 < (by["near"].adjusted or 0)
    one = by["near"]
    assert one.noise is not None
    # One of two comparisons is settled, so that the other has the whole of the five percent.
    assert one.seeds_needed == seeds_needed(one.difference, one.noise, paired=True)
    assert one.seeds_needed != seeds_needed(one.difference, one.noise, paired=True, level=0.025)


def test_of_several_configurations_of_a_size_the_best_is_compared() -> None:
    runs = pd.DataFrame({"N": [1e5, 1e5, 2e5], "D": 1e6, "group": list("abc"), "loss": [3, 2, 1]})
    ((_, kept),) = at_sizes([("x", runs)])
    assert list(kept["group"]) == ["b", "c"]


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


def test_among_many_comparisons_a_difference_needs_more_seeds() -> None:
    def held(others: int) -> Outcome:
        draw = np.random.default_rng(2)
        base = losses([2.0, 2.1], [1, 2])
        noise = [
            (f"g{k}", base.assign(loss=base["loss"] + draw.normal(0, 0.1, 2)))
            for k in range(others)
        ]
        told = base.assign(loss=[2.1, 2.202])  # by itself two pairs show it
        return against([("base", base), ("told", told), *noise], ["seed"], "base")[0]

    alone, among = held(0), held(20)
    assert alone.sentence.endswith("More than chance.") and alone.seeds_needed == 2
    assert (among.p_value or 1) < 0.05 < (among.adjusted or 0)
    assert among.sentence.endswith(f"needs {among.seeds_needed} pairs.")
    assert (among.seeds_needed or 0) > among.pairs == 2


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("level", [0.05, 0.0125, 0.001])
def test_a_larger_difference_needs_no_more_seeds(paired: bool, level: float) -> None:
    found = [seeds_needed(10 ** (k / 20), 1.0, paired, level) for k in range(-20, 45)]
    assert None not in found
    assert found == sorted(found, key=lambda seeds: -(seeds or 0))
    assert found[-1] in (2, 3)


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


def test_other_token_counts_are_not_compared_at_equal_parameters() -> None:
    def runs(tokens: list[float], loss: float) -> pd.DataFrame:
        rows = [(n, d, f"{n} {d}", loss) for d in tokens for n in (1e5, 1e6)]
        return pd.DataFrame(rows, columns=["N", "D", "group", "loss"])

    few, many = runs([2e6], 3.0), runs([5e6], 2.0)
    (none,) = equal(at_sizes([("few", few), ("many", many)]), "few", "N")
    assert (none.at, none.difference, none.how) == (None, None, NO_COUNT)
    both = pd.concat([many, runs([2.001e6], 2.5)])
    shared = at_sizes([("few", few.assign(D=2.001e6)), ("both", both)])
    (one,) = equal(shared, "few", "N")
    assert one.difference == pytest.approx(-0.5) and one.how == "between sizes"


@pytest.mark.parametrize(
    ("fields", "position", "cached"),
    [
        ({"kind": "mha"}, "rope", 2 * 4 * 4 * 64),
        ({"kind": "gqa", "n_kv_heads": 2}, "rope", 2 * 2 * 4 * 64),
        ({"kind": "mqa"}, "rope", 2 * 1 * 4 * 64),
        ({"kind": "sliding_window", "window": 8}, "rope", 2 * 4 * 4 * 8),
        ({"kind": "mla", "kv_rank": 3, "rope_dim": 2}, "rope", 5 * 64),
        ({"kind": "mla", "kv_rank": 3, "rope_dim": None}, "learned", 3 * 64),
    ],
)
def test_inference_memory_is_weights_and_one_cache(
    fields: dict[str, Any], position: str, cached: int
) -> None:
    run = {"precision": "bf16", "N": 1000, "depth": 3, "width": 16, "context_length": 64}
    run |= {"model.n_heads": 4, "model.head_dim": 4, "model.position.kind": position}
    run |= {f"model.attention.{name}": value for name, value in fields.items()}
    assert inference_bytes(run) == 2 * (1000 + 3 * cached)


@pytest.mark.slow
def test_groups_of_an_experiment(variants: Recorder, workplace: Path) -> None:
    words = ("--store", variants.uri, "--experiment", "variants")
    found = run(*words, "--group-by", "model.attention.kind", "--out", "out")
    assert found["reference"] == "mha"
    assert found["matched_by"] == ["seed", "width"]
    (test,) = found["tests"]
    assert test["pairs"] == 9
    assert test["difference"] > 0 and test["p_value"] < 1e-6  # mqa was recorded 2 % worse
    equals = {one["cost"]: one for one in found["equal_cost"]}
    assert equals["N"]["difference"] == pytest.approx(0.02 * 3, rel=0.3)
    assert {one["group"] for one in found["groups"]} == {"mha", "mqa"}

    table = pd.read_csv(workplace / "out" / "summary_table.csv")
    assert list(table["seeds"]) == [3, 3]
    assert list(table["runs"]) == [9, 9]  # other rates were tried at one seed only
    assert (workplace / "out" / "summary_table.md").read_text().count("\n| ") >= 3
    runs = pd.read_csv(workplace / "out" / "runs.csv")
    assert (runs["before"] > runs["loss"]).all()
    names = {path.stem for path in (workplace / "out/figures").glob("*.svg")}
    assert names >= {"curves-val-loss", "curves-grad-norm", "curves-weight-norm", "pareto"}
    assert names >= {"curves-throughput", "curves-train-loss", "equal-cost", "losses"}
    said = (workplace / "out" / "report.md").read_text()
    assert "at its best optimizer.lr of those tried, which leaves 6 runs out of means" in said
    assert "The lowest mean loss is" in said and ", of mha." in said
    logged = variants.store.get_run(found["mlflow_run_id"])
    assert logged.data.tags["tinyscale.kind"] == "comparison"


def test_named_runs_are_groups_in_the_order_named(variants: Recorder, workplace: Path) -> None:
    selection = Selection(store=variants.uri, runs=("mqa64", "w128", "mqa32"))
    found = compare_runs(Request(selection, workplace), lambda _: None)
    assert found.reference == "mqa64"
    names = [name.split("-")[0] for name, _ in found.groups]
    assert names == ["mqa64", "w128", "w128", "w128", "mqa32"]  # w128 had three learning rates


def test_groups_are_compared_at_their_own_best_rates(workplace: Path) -> None:
    recorder = Recorder(workplace)
    rates = {"adamw": (1e-3, 3e-3, 6e-3, 1.2e-2), "sgd": (3e-3, 1e-2, 3e-2, 0.1)}
    for kind, some in rates.items():
        for k, lr in enumerate(some):
            loss = 3.0 + 0.2 * (k - 2) ** 2 + 0.1 * (kind == "sgd")
            tokens = 200_000 if kind == "sgd" else 300_000
            recorder.record(tokens=tokens, lr=lr, loss=loss, flags=("--optimizer.kind", kind))
    selection = Selection(store=recorder.uri, experiment=recorder.experiment)
    request = Request(selection, workplace, ("optimizer.kind",), reference="adamw")
    found = compare_runs(request, lambda _: None)
    assert found.matched == ["seed"] and found.tuned == ["optimizer.lr"]
    assert found.alike and list(found.summary["loss"]) == pytest.approx([3.0, 3.1])
    (test,) = found.tests
    assert test.kind == "none" and test.difference == pytest.approx(0.1)
    # At equal FLOPs the dearer group is read from the curve of its best rate, not of all.
    (equals,) = (one for one in found.equals if one.cost == "C")
    (best,) = found.runs.loc[found.runs["loss"] == 3.0, "run_id"]
    curve = found.curves[best][["flops", "val/loss"]].dropna()[1:]
    there = np.interp(np.log(equals.at or 0), np.log(curve["flops"]), curve["val/loss"])
    assert equals.difference == pytest.approx(3.1 - there)


@pytest.mark.slow
def test_what_else_groups_differ_in_is_said_of_their_test(workplace: Path) -> None:
    recorder = Recorder(workplace)
    flags = ("--model.attention.kind", "mqa", "--model.norm", "layernorm", "--batch.size", "8")
    for seed in (1_234_561, 1_234_562):
        recorder.record(seed=seed, points=2)
        recorder.record(seed=seed, points=2, gain=-0.05, flags=flags)
    selection = Selection(recorder.uri, recorder.experiment)

    def sentences(*fields: str) -> list[str]:
        found = compare_runs(Request(selection, workplace, fields), lambda _: None)
        short = str(document(found, Request(selection, workplace, fields)).sections[0])
        assert all(test.sentence in short for test in found.tests)
        return [test.sentence for test in found.tests]

    (one,) = sentences("model.attention.kind")
    assert one.endswith("than chance; they also differ in batch size and model.norm.")
    (one,) = sentences("model.attention.kind", "model.norm", "batch.size")
    assert "differ in" not in one
    # Long seeds, as groups, are as many as they are.
    (one,) = sentences("seed")
    assert one.startswith("1234562: ")


@pytest.mark.parametrize(
    ("flags", "unit"),
    [
        (("--data.corpus.kind", "tinystories"), "bpb"),  # and a tokenizer of its own
        (("--model.norm", "layernorm", "--evaluation.tokens", "2000"), "nats"),
    ],
)
def test_losses_of_different_texts_are_said_to_be_that(
    workplace: Path, flags: tuple[str, ...], unit: str
) -> None:
    recorder = Recorder(workplace)
    for seed in (1, 2):
        recorder.record(seed=seed, points=2)
        recorder.record(seed=seed, points=2, flags=flags)
    selection = Selection(recorder.uri, recorder.experiment)
    found = compare_runs(Request(selection, workplace), lambda _: None)
    assert found.unit.key == unit and "evaluation.tokens" not in found.fields
    (test,) = found.tests
    assert test.sentence.endswith("; their losses are of different validation texts.")


def test_a_precision_that_auto_chose_otherwise_is_said(workplace: Path) -> None:
    recorder = Recorder(workplace)
    for seed in (1, 2):
        recorder.record(seed=seed, points=2)
        facts = {"precision": "bf16"} if seed == 2 else {}
        recorder.record(seed=seed, points=2, facts=facts, flags=("--model.norm", "layernorm"))
    selection = Selection(recorder.uri, recorder.experiment)
    (test,) = compare_runs(Request(selection, workplace), lambda _: None).tests
    assert test.sentence.endswith("; they also differ in precision.")
    by_precision = Request(selection, workplace, ("precision",), reference="fp32")
    (test,) = compare_runs(by_precision, lambda _: None).tests
    assert "differ in precision" not in test.sentence


@pytest.mark.slow
def test_means_over_different_sizes_are_not_ranked(variants: Recorder, workplace: Path) -> None:
    condition = "params.`model.d_model` != '128'"
    selection = Selection(store=variants.uri, experiment="variants", filter=condition)
    fields = ("model.attention.kind",)
    found = compare_runs(Request(selection, workplace, fields), lambda _: None)
    assert found.alike
    names = ("mqa32", "mqa64", "w64", "w128")  # as many sizes, but others
    selection = Selection(store=variants.uri, runs=names)
    found = compare_runs(Request(selection, workplace, fields), lambda _: None)
    assert set(found.summary["configurations"]) == {2} and not found.alike
    report = document(found, Request(selection, workplace, fields))
    assert "The lowest mean loss" not in str(report.sections[0])


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


def test_names_with_commas_and_named_runs_of_which_none_has_finished(workplace: Path) -> None:
    recorder = Recorder(workplace)
    recorder.record(name="size=1,lr=2", width=16, points=2)
    recorder.record(name="other", width=32, points=2)
    recorder.record(name="third", width=64, points=2)
    recorder.record(name="lost", diverged=True, points=2)

    def found(*names: str) -> Comparison:
        selection = Selection(store=recorder.uri, runs=names)
        return compare_runs(Request(selection, workplace), lambda _: None)

    assert [name for name, _ in found("size=1,lr=2", "other").groups] == ["size=1,lr=2", "other"]
    assert [name for name, _ in found("third,other").groups] == ["third", "other"]
    with pytest.raises(UserError, match="No finished run is among those of lost: 1 diverged"):
        found("lost", "size=1,lr=2", "other")


def test_speeds_of_runs_alone_and_of_cohorts_are_not_compared(workplace: Path) -> None:
    recorder = Recorder(workplace)
    for width, cohort in ((16, "a"), (32, "a,b,c")):
        recorder.record(width=width, points=2, tags={"tinyscale.cohort": cohort})
    request = Request(Selection(store=recorder.uri), workplace)
    found = compare_runs(request, lambda _: None)
    assert found.summary["tokens_per_second"].isna().all()
    said = "Speeds and times are of programs of 1 and 3 runs and do not compare."
    assert said in in_short(found)
    assert not found.configurations["front_tokens_per_second"].any()
