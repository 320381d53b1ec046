"""What a search is judged by: units that compare, figures that are there, and its answer."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from scaling.errors import UserError
from sweeps.conduct import Request, conduct, first_runs
from sweeps.job import Job
from sweeps.ledger import Known, read_known
from sweeps.progress import Board
from sweeps.reading import Sweep
from sweeps.result import Result
from sweeps.training import _Attempt
from sweeps.wanted import Wanted
from tests.sweeps.fakes import finished_run
from tests.sweeps.searches import exhaust, search, source_of

SweepOf = Callable[..., Sweep]
LR: dict[str, Any] = {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}}
TOKENIZERS: dict[str, Any] = {"data.tokenizer.kind": {"choices": ["byte", "char"]}}
PRUNED = {"pruner": "median", "objectives": [{"metric": "final/val_bpb"}]}


@pytest.fixture(autouse=True)
def _without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds to draw."""
    monkeypatch.setattr("sweeps.pictures.write_search", lambda *_: None)


def outcome(sweep: Sweep, figures: Callable[[Wanted], dict[str, Any]]) -> Result:
    """What the command says of a search whose runs ended with these figures."""
    source = source_of(sweep, folder="runs/sweeps/s")
    while batch := source.refill():
        for run in batch:
            source.settled(run, read_known(finished_run(run, **figures(run))))
    return conduct(sweep, Request(), Board())


def test_tokenizers_are_not_compared_by_what_is_per_token(sweep_of: SweepOf) -> None:
    with pytest.raises(UserError, match=r"final/val_loss is per token.*such as final/val_bpb"):
        first_runs(sweep_of(search=search(space=TOKENIZERS)), Request())
    per_byte = search(space=TOKENIZERS, objectives=[{"metric": "final/val_bpb"}])
    assert first_runs(sweep_of(search=per_byte), Request())


@pytest.mark.parametrize(
    ("diverged", "branch", "told"),
    [(None, False, [(50, 1.5)]), (5, False, []), (None, True, [])],
)
def test_the_pruner_hears_the_objectives_unit_but_of_no_branch_nor_what_has_diverged(
    sweep_of: SweepOf, diverged: int | None, branch: bool, told: list[tuple[int, float]]
) -> None:
    source = source_of(sweep_of(budget={"tokens": 4000}, search=search(space=LR, **PRUNED)))
    heard: list[tuple[int, float]] = []
    channel: Any = SimpleNamespace(
        progress=lambda job, trainer: None,
        hopeless=lambda job, percent, figure: heard.append((percent, figure)),
    )
    trainer: Any = SimpleNamespace(
        clock=SimpleNamespace(session=1.0),
        step=5,
        total=10,
        branch_off=None if branch else print,
        progress=SimpleNamespace(
            evaluated_at=5, last=[SimpleNamespace(loss=3.0, bpb=1.5)], diverged=[diverged]
        ),
    )
    _Attempt(Job(0, (), 1, source.judged), channel)._progress(trainer)
    assert heard == told


def test_a_search_answers_by_its_objective(sweep_of: SweepOf) -> None:
    fast = [{"metric": "final/tokens_per_second", "direction": "maximize"}]
    sweep = sweep_of(search=search(space=LR, objectives=fast))

    def figures(run: Wanted) -> dict[str, Any]:
        return {"final_val_loss": 1.0, "final_tokens_per_second": run.config.optimizer.peak_lr}

    result = outcome(sweep, figures)
    speeds = [row["final_tokens_per_second"] for row in result.summary["runs"]]
    assert speeds == sorted(speeds, reverse=True) and len(set(speeds)) == 6
    (best,) = result.summary["search"]["best"]
    assert best["trial"] == result.summary["runs"][0]["trial"]
    (line,) = [line for line in result.lines if line.startswith("best: ")]
    trial, lr = best["trial"], best["point"]["lr"]
    assert line == f"best: trial {trial}, lr {lr}: final/tokens_per_second {speeds[0]:.6g}"
    header = next(i for i, line in enumerate(result.lines) if line.startswith("point"))
    assert "final/tokens_per_second" in result.lines[header]
    assert result.lines[header + 1].startswith(f"lr {lr} ")


def test_several_objectives_have_a_front(sweep_of: SweepOf) -> None:
    two = [{"metric": "final/val_loss"}, {"metric": "parameters/total"}]
    space = {"model.n_layers": {"choices": [1, 2, 3]}}
    sweep = sweep_of(search=search(space=space, objectives=two, trials=12))
    losses = {1: 3.0, 2: 3.5, 3: 2.0}  # two layers are behind one in both

    def figures(run: Wanted) -> dict[str, Any]:
        layers = run.config.model.n_layers
        return {"final_val_loss": losses[layers], "parameters_total": layers}

    result = outcome(sweep, figures)
    best = result.summary["search"]["best"]
    assert sorted(one["point"]["n_layers"] for one in best) == ["1", "3"]
    assert "best are 2 trials, none behind another in all:" in result.lines


def test_a_pruner_needs_evaluations_on_the_way(sweep_of: SweepOf) -> None:
    fields = {"evaluation.every": None}
    sweep = sweep_of(fields=fields, search=search(space=LR, pruner="median"))
    with pytest.raises(UserError, match=r"evaluation\.every cannot be null"):
        first_runs(sweep, Request())


def test_a_pruner_needs_one_budget(sweep_of: SweepOf) -> None:
    space = {"budget.tokens": {"low": 500_000, "high": 4_000_000}}
    sweep = sweep_of(base="baseline", search=search(space=space, pruner="median"))
    with pytest.raises(UserError, match="at equal shares of equal budgets"):
        first_runs(sweep, Request())


def test_what_the_runs_will_not_have_is_no_objective(sweep_of: SweepOf) -> None:
    tested = [{"metric": "final/test_loss"}]
    share = {"data.test_share": 0.0}
    with pytest.raises(UserError, match="no final/test_loss without a test split"):
        first_runs(sweep_of(fields=share, search=search(objectives=tested)), Request())


def test_a_figure_that_was_too_large_to_be_recorded_is_the_worst(sweep_of: SweepOf) -> None:
    perplexity = [{"metric": "final/val_perplexity"}]  # of a loss of 800 it is infinite
    source = source_of(sweep_of(search=search(objectives=perplexity)))
    run = source.refill()[0]
    source.settled(run, Known(run.key, "done", None, "x", {"final_val_loss": 800.0}))
    assert source.study.trials[0].values == [math.inf]


def test_a_search_of_no_configs_fails_and_says_why(sweep_of: SweepOf) -> None:
    space = {"model.d_model": {"low": 16, "high": 20}}  # of these 17, 18 and 19 make none
    sweep = sweep_of(search=search(space=space, trials=1, seed=1))
    source = source_of(sweep, folder="runs/sweeps/s")
    assert not exhaust(source) and len(source.no_configs()) == 1
    for _ in range(2):
        result = conduct(sweep, Request(), Board())
        assert result.exit_code == 1
        assert "1 of the search's 1 points made no config, the first: " in result.lines[-1]


def test_points_of_no_config_are_told_of_the_second_time_too(sweep_of: SweepOf) -> None:
    space = {"model.d_model": {"low": 16, "high": 20}}
    result = outcome(sweep_of(search=search(space=space, trials=12)), lambda run: {})
    assert result.exit_code == 0
    (told,) = [line for line in result.lines if "points made no config" in line]
    assert told.split(" of the")[0] == str(12 - result.summary["search"]["states"]["complete"])


def test_a_range_of_what_is_no_number_is_refused(sweep_of: SweepOf) -> None:
    space = {"model.tie_embeddings": {"low": 0, "high": 1}}
    with pytest.raises(UserError, match="holds no numbers: give choices"):
        first_runs(sweep_of(search=search(space=space)), Request())
