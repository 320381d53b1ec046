"""Grids: axes, fields that change together, exclusions, budgets, names and keys."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.errors import UserError
from scaling.recipes import load_config
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
    windows = [{"kind": "sliding_window", "window": 8}, {"kind": "sliding_window", "window": 16}]
    grid = {"v": {"model.attention": windows, "model.d_model": [16, 16]}}
    found = [run.labels["v"] for run in wanted_runs(sweep_of(grid=grid))]
    assert found == ["sliding_window/8/16", "sliding_window/16/16"]


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


def test_a_field_that_a_point_does_not_set_is_not_null(sweep_of: SweepOf) -> None:
    clips = [
        {"label": "as it is", "optimizer.kind": "adamw"},
        {"label": "none", "optimizer.grad_clip": None},
    ]
    grid = {"clip": clips, "model.d_model": [16, 32]}
    where = {"exclude": [{"optimizer.grad_clip": None, "model.d_model": 32}]}
    runs = wanted_runs(sweep_of(grid=grid, where=where))
    assert [run.point.text() for run in runs] == [
        "clip=as it is,d_model=16", "clip=as it is,d_model=32", "clip=none,d_model=16",
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


@pytest.mark.parametrize("budget", [["--budget.tokens", "1e4"], ["--budget", "{tokens: 1e4}"]])
def test_a_sweeps_flags_are_its_own_or_the_bases(sweep_of: SweepOf, budget: list[str]) -> None:
    sweep_of(budget={"steps": 5}, grid={"optimizer.lr": [0.01]})
    read = read_sweep("s", [*budget, "--model.n_layers=2"], seeds=[7])
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


def test_only_takes_values_as_a_file_writes_them(sweep_of: SweepOf) -> None:
    places = [
        {"label": "one, alone", "optimizer.beta1": 0.8},
        {"label": "one", "optimizer.beta1": 0.9},
    ]
    runs = wanted_runs(sweep_of(grid={"optimizer.lr": [3e-3, 0.01], "beta": places}))
    (picked,) = select(runs, ["lr=3.0e-3", "beta=one, alone"])
    assert (picked.config.optimizer.lr, picked.labels["beta"]) == (0.003, "one, alone")
    assert len(select(runs, ["lr=1e-2,0.003", "beta=one"])) == 2
    with pytest.raises(UserError, match=r"lr is never 0.02; it is 0.003, 0.01"):
        select(runs, ["lr=0.02"])


def test_an_axis_keeps_its_place_beside_a_tables_own_columns(sweep_of: SweepOf) -> None:
    grid = {"data.corpus.seed": [0, 1], "evaluation.tokens": [100, 200]}
    runs = wanted_runs(sweep_of(base="baseline", seeds=[5], grid=grid))
    assert runs[0].labels == {"corpus.seed": "0", "evaluation.tokens": "100", "seed": "5"}
    assert len(select(runs, ["corpus.seed=1"])) == 2
    flops = wanted_runs(sweep_of(grid={"model.d_model": [16]}, budget={"isoflop": [1e9]}))
    assert flops[0].labels == {"d_model": "16", "budget.flops": "1e+09", "seed": "42"}


def test_variants_of_one_kind_are_told_apart(sweep_of: SweepOf) -> None:
    kinds = [{"kind": "sliding_window", "window": 8}, {"kind": "sliding_window", "window": 16}]
    runs = wanted_runs(sweep_of(grid={"model.attention": [*kinds, {"kind": "mha"}]}))
    names = [run.labels["attention"] for run in runs]
    assert names == ["sliding_window/8", "sliding_window/16", "mha"]
    labelled = [{"label": "short", **kinds[0]}, {"label": "long", **kinds[1]}]
    runs = wanted_runs(sweep_of(grid={"model.attention": labelled}))
    assert [run.labels["attention"] for run in runs] == ["short", "long"]
    assert runs[0].config.model.attention.window == 8  # type: ignore[union-attr]


def test_fields_hold_for_every_optimizer(sweep_of: SweepOf) -> None:
    fields = {"optimizer.lr": 1e-3, "optimizer.weight_decay": 0.0}
    grid = {"optimizer.kind": ["adamw", "lion", "muon"]}
    runs = wanted_runs(sweep_of(base="baseline", fields=fields, grid=grid))
    found = {(run.config.optimizer.lr, run.config.optimizer.weight_decay) for run in runs}
    assert found == {(1e-3, 0.0)}


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--seed", "7"], "--seed would change nothing: the sweep lists its seeds"),
        (["--model.d_model", "64"], "--model.d_model would change nothing"),
        (["--fields", "{budget.tokens: 5}"], "has a budget, and fields: budget.tokens another"),
        (["--fields", "{model.d_model: 5}"], "fields: model.d_model would change nothing"),
    ],
)
def test_what_the_sweep_sets_in_every_run_is_not_set_beside_it(
    sweep_of: SweepOf, flags: list[str], sentence: str
) -> None:
    sweep_of(seeds=[1], budget={"steps": 5}, grid={"model.d_model": [16, 32]})
    with pytest.raises(UserError, match=sentence):
        read_sweep("s", flags)


def test_nor_within_a_mapping_that_sets_more(sweep_of: SweepOf) -> None:
    sweep_of(base="baseline", grid={"model.attention.kind": ["mha", "mqa"]})
    with pytest.raises(UserError, match=r"the sweep sets model\.attention\.kind in every run"):
        read_sweep("s", ["--model.attention", "{kind: gqa, n_kv_heads: 2}"])
    lion = {"optimizer": {"kind": "lion", "lr": 0.02}}
    with pytest.raises(UserError, match=r"fields: optimizer would change nothing.*optimizer\.lr"):
        sweep_of(grid={"optimizer.lr": [0.01]}, fields=lion)


@pytest.mark.parametrize("always", [True, False])
def test_mappings_set_their_fields_in_every_run(sweep_of: SweepOf, always: bool) -> None:
    second = {"kind": "lion", "lr": 0.02} if always else {"kind": "lion"}
    sweep_of(grid={"optimizer": [{"kind": "adamw", "lr": 0.01}, second]})
    if not always:
        assert read_sweep("s", ["--optimizer.lr", "0.5"])
        return
    with pytest.raises(UserError, match=r"--optimizer.lr would change nothing"):
        read_sweep("s", ["--optimizer.lr", "0.5"])


def test_a_corpus_that_every_run_has_another_of_is_refused(sweep_of: SweepOf) -> None:
    corpora = [{"kind": "stories"}, {"kind": "tinystories"}]
    for grid in ({"data.corpus": corpora}, {"data.corpus.kind": ["stories", "tinystories"]}):
        sweep_of(base="baseline", grid=grid)
        with pytest.raises(UserError, match="--corpus would change nothing"):
            read_sweep("s", corpus="tinystories")


def test_an_experiment_is_the_files_unless_a_flag_names_another(sweep_of: SweepOf) -> None:
    sweep_of(experiment="mine", grid={"optimizer.lr": [0.01]})
    assert wanted_runs(read_sweep("s"))[0].config.tracking.experiment == "mine"
    read = read_sweep("s", ["--tracking.experiment", "other"])
    assert wanted_runs(read)[0].config.tracking.experiment == "other"


def test_another_budget_is_another_record(sweep_of: SweepOf) -> None:
    sweep_of(budget={"steps": 5}, grid={"optimizer.lr": [0.01]})
    names = {read_sweep("s", flags).spec.name for flags in ([], ["--budget.steps", "6"])}
    assert len(names) == 2
    assert read_sweep("s", ["--budget.steps", "6", "--name", "t"]).spec.name == "t"


@pytest.mark.parametrize("name", [".", "", "nowhere/else"])
def test_no_file_is_one_sentence(workplace: Path, name: str) -> None:
    with pytest.raises(UserError, match="there is no"):
        read_sweep(name)
    with pytest.raises(UserError, match="there is no"):
        load_config(name)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"grid": {"model.d_modle": [1]}}, "did you mean model.d_model"),
        ({"grid": {"model.d_model": []}}, "grid.model.d_model is an empty axis"),
        ({"grid": {"model.d_model": 3}}, "an axis is a list of values"),
        ({"grid": {"model.d_model": [16, 16]}}, "has 16 twice"),
        ({"grid": {"model.d_model": [17]}}, "d_model=17: model.d_model 17 does not make heads"),
        ({"grid": {"a": {"model.d_model": [1, 2], "model.n_layers": [1]}}}, "as many values"),
        ({"grid": {"a": {"model.d_model": [16, 16], "model.n_layers": [1, 1]}}}, "has 16/1 twice"),
        (
            {"grid": {"budget.tokens": [9000], "budget.steps": [9]}},
            "budget is set by two axes, budget.tokens and budget.steps",
        ),
        (
            {"grid": {"optimizer.lr": [0.1], "optimizer": [{"kind": "adamw", "lr": 0.01}]}},
            "optimizer.lr is set by two axes, optimizer.lr and optimizer",
        ),
        (
            {
                "lr_per_size": {"low": 0.01, "high": 0.1},
                "grid": {"optimizer": [{"kind": "adamw", "lr": 0.01}, {"kind": "lion"}]},
            },
            "optimizer.lr is set by two axes, optimizer and optimizer.lr",
        ),
        ({"grid": {"seed": [1, 2]}}, "list the seeds under seeds"),
        (
            {"budget": {"steps": 3}, "grid": {"budget.tokens": [100]}},
            "the sweep has a budget, and the grid's budget.tokens another",
        ),
        (
            {"budget": {"isoflop": [1e9]}, "grid": {"budget.tokens": [100]}},
            "the sweep has a budget, and the grid's budget.tokens another",
        ),
        ({"grid": {"tokens": [{"batch.size": 2}]}}, "an axis cannot be called tokens"),
        ({"budget": {"steps": 3, "tokens": 3}}, "a budget is exactly one of"),
        ({"budget": {"step": 3}}, "did you mean budget.steps"),
        ({"grids": {}}, "did you mean grid"),
        ({"grid": {"lr": [1]}}, "did you mean optimizer.lr"),
        ({"space": {}}, "did you mean search.space"),
        ({"lr_per_size": {"low": 2, "high": 1}}, r"^s.yaml: lr_per_size.low 2 is not below high"),
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


def test_flags_set_axes_by_their_dotted_names(write_sweep: Callable[..., Path]) -> None:
    write_sweep(grid={"optimizer.lr": [0.01, 0.02]})
    sweep = read_sweep("s", ["--grid.model.d_model", "[16,48]", "--grid.optimizer.lr", "[0.05]"])
    found = [(run.config.optimizer.lr, run.config.model.d_model) for run in wanted_runs(sweep)]
    assert found == [(0.05, 16), (0.05, 48)]
    space = {"optimizer.lr": {"low": 0.001, "high": 0.1}}
    write_sweep(search={"trials": 4, "sampler": "random", "space": space})
    searched = read_sweep("s", ["--search.space.optimizer.lr.low", "0.01"]).spec.search
    assert searched is not None
    assert searched.space == {"optimizer.lr": {"low": 0.01, "high": 0.1}}
    flags = ["--search.sampler", "gp", "--search.sampler.options.n_startup_trials", "5"]
    sampler = {"kind": "gp", "options": {"n_startup_trials": 5}}
    for short in (flags, flags[2:]):
        write_sweep(search={"trials": 4, "sampler": "gp", "space": space})
        searched = read_sweep("s", short).spec.search
        assert searched is not None
        assert searched.sampler.model_dump() == sampler


def test_only_by_a_name_that_two_axes_have_is_refused(sweep_of: SweepOf) -> None:
    axes = {"model.attention.kind": ["mha", "mqa"], "optimizer.kind": ["adamw", "lion"]}
    runs = wanted_runs(sweep_of(grid=axes))
    assert len(select(runs, ["attention.kind=mha"])) == 2
    with pytest.raises(UserError, match=r"kind may be .*attention\.kind or optimizer\.kind"):
        select(runs, ["kind=mha"])


def test_an_empty_list_is_said_to_be_empty(sweep_of: SweepOf) -> None:
    with pytest.raises(UserError, match="exclude is empty"):
        sweep_of(grid={"optimizer.lr": [0.01]}, where={"exclude": []})


def test_two_budgets_in_one_place_are_refused(sweep_of: SweepOf) -> None:
    two = {"budget.tokens": 1_000_000, "budget.steps": 10}
    with pytest.raises(UserError, match=r"budget\.tokens and budget\.steps are set together"):
        wanted_runs(sweep_of(fields=two, grid={"optimizer.lr": [0.01]}))
    with pytest.raises(UserError, match=r"budget\.tokens and budget\.steps are set together"):
        wanted_runs(sweep_of(grid={"size": [{"label": "a", **two}]}))


def test_the_base_beside_the_file_goes_before_a_recipe_of_its_name(workplace: Path) -> None:
    Path("there").mkdir()
    Path("there/modern.yaml").write_text("{extends: baseline, model: {d_model: 96}}")
    Path("there/s.yaml").write_text("{base: modern, grid: {optimizer.lr: [0.01]}}")
    (run,) = wanted_runs(read_sweep("there/s.yaml"))
    assert run.config.model.d_model == 96
