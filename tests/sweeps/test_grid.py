"""Grids: axes, fields that change together, exclusions, budgets, names and keys."""

from collections.abc import Callable

import pytest

from scaling.errors import UserError
from sweeps.reading import Sweep, read_sweep
from sweeps.wanted import select, wanted_runs

SweepOf = Callable[..., Sweep]


def test_axes_multiply_and_seeds_stand_beside_each_other(sweep_of: SweepOf) -> None:
    runs = wanted_runs(
        sweep_of(seeds=[1, 2], grid={"model.d_model": [16, 32], "optimizer.lr": [0.01, 0.02]})
    )
    assert [(r.config.model.d_model, r.config.optimizer.lr, r.config.seed) for r in runs] == [
        (16, 0.01, 1), (16, 0.01, 2), (16, 0.02, 1), (16, 0.02, 2),
        (32, 0.01, 1), (32, 0.01, 2), (32, 0.02, 1), (32, 0.02, 2),
    ]  # fmt: skip
    assert len({run.key for run in runs}) == 8
    assert runs[0].config.name == "s-d_model=16,lr=0.01"


def test_fields_of_one_axis_change_together(sweep_of: SweepOf) -> None:
    together = {"model.d_model": [16, 32], "model.n_layers": [1, 2]}
    runs = wanted_runs(sweep_of(grid={"size": together}))
    assert [(r.config.model.d_model, r.config.model.n_layers) for r in runs] == [(16, 1), (32, 2)]
    assert runs[1].labels["size"] == "32/2"


def test_an_axis_of_settings_may_set_other_fields_at_each_place(sweep_of: SweepOf) -> None:
    places = [
        {"label": "plain", "model.attention.kind": "mha"},
        {"model.attention.kind": "gqa", "model.attention.n_kv_heads": 1},
    ]
    runs = wanted_runs(sweep_of(grid={"attention": places}))
    assert [run.config.model.n_kv_heads for run in runs] == [2, 1]
    assert [run.labels["attention"] for run in runs] == ["plain", "gqa/1"]


def test_where_leaves_listed_combinations_out(sweep_of: SweepOf) -> None:
    grid = {"model.d_model": [16, 32, 64], "optimizer.lr": [0.01, 0.02]}
    where = {"exclude": [{"model.d_model": [32, 64], "optimizer.lr": 0.02}]}
    runs = wanted_runs(sweep_of(grid=grid, where=where))
    assert [run.point.text() for run in runs] == [
        "d_model=16,lr=0.01", "d_model=16,lr=0.02", "d_model=32,lr=0.01", "d_model=64,lr=0.01",
    ]  # fmt: skip


def test_isoflop_trains_every_model_at_every_budget(sweep_of: SweepOf) -> None:
    runs = wanted_runs(sweep_of(grid={"model.d_model": [16, 32]}, budget={"isoflop": [1e9, 3e9]}))
    assert [(r.config.model.d_model, r.config.budget.flops) for r in runs] == [
        (16, 1e9), (16, 3e9), (32, 1e9), (32, 3e9),
    ]  # fmt: skip


def test_each_size_gets_the_same_rates(sweep_of: SweepOf) -> None:
    rule = {"low": 1e-3, "high": 1e-1, "points": 3}
    runs = wanted_runs(sweep_of(grid={"model.d_model": [16, 32]}, lr_per_size=rule))
    assert [run.config.optimizer.lr for run in runs] == [1e-3, 1e-2, 1e-1] * 2


def test_runs_that_equal_each_other_are_one(sweep_of: SweepOf) -> None:
    assert len(wanted_runs(sweep_of(grid={"batch.micro_size": [1, 2]}))) == 1


def test_a_sweeps_flags_are_its_own_or_the_bases(sweep_of: SweepOf) -> None:
    sweep_of(budget={"steps": 5}, grid={"optimizer.lr": [0.01]})
    read = read_sweep("s", ["--budget.tokens", "1e4", "--model.n_layers=2"], seeds=[7])
    run = wanted_runs(read)[0]
    assert (run.config.budget.tokens, run.config.budget.steps) == (10_000, None)
    assert (run.config.model.n_layers, run.config.seed) == (2, 7)
    assert read.spec.name.startswith("s-")  # another base is another sweep


def test_only_picks_points_by_axis(sweep_of: SweepOf) -> None:
    runs = wanted_runs(sweep_of(seeds=[1, 2], grid={"model.d_model": [16, 32, 64]}))
    picked = select(runs, ["model.d_model=16,64", "seed=2"])
    assert [(run.config.model.d_model, run.config.seed) for run in picked] == [(16, 2), (64, 2)]
    with pytest.raises(UserError, match="axis of d_model, seed"):
        select(runs, ["width=3"])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"grid": {"model.d_modle": [1]}}, "did you mean model.d_model"),
        ({"grid": {"model.d_model": []}}, "grid.model.d_model is an empty axis"),
        ({"grid": {"model.d_model": 3}}, "an axis is a list of values"),
        ({"grid": {"model.d_model": [16, 16]}}, "has 16 twice"),
        ({"grid": {"model.d_model": [17]}}, "d_model=17: model.n_heads 2 does not divide"),
        ({"grid": {"a": {"model.d_model": [1, 2], "model.n_layers": [1]}}}, "as many values"),
        ({"grid": {"seed": [1, 2]}}, "list the seeds under seeds"),
        (
            {"budget": {"steps": 3}, "grid": {"budget.tokens": [100]}},
            "the sweep has a budget, and the grid's budget.tokens another",
        ),
        ({"budget": {"steps": 3, "tokens": 3}}, "a budget is exactly one of"),
        ({"budget": {"step": 3}}, "did you mean budget.steps"),
        ({"grids": {}}, "did you mean grid"),
        ({"seeds": [1, 1]}, "has one twice"),
        ({"where": {"exclude": [{"model.d_model": 1}]}}, "there is no grid"),
        (
            {"grid": {"model.d_model": [16]}, "where": {"exclude": [{"model.d_model": 8}]}},
            "matches no point",
        ),
        (
            {"grid": {"model.attention.n_kv_heads": [1]}},
            "belongs to kind|not to the model.attention.kind chosen",
        ),
        ({"search": {"trials": 1, "space": {}}, "grid": {}}, "search.space"),
        (
            {
                "search": {"trials": 1, "space": {"seed": {"low": 0, "high": 1}}},
                "grid": {"model.d_model": [16]},
            },
            "exclude each other",
        ),
    ],
)
def test_a_mistake_is_one_sentence(
    sweep_of: SweepOf, fields: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        wanted_runs(sweep_of(**fields))
    assert "\n" not in str(error.value)
