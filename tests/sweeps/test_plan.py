"""What a plan says beforehand: totals, conventions, warnings, and what cannot be made."""

import json
import shutil
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

from scaling.errors import UserError
from scaling.tracking.folder import RunFolder
from sweeps.conduct import Request, conduct, first_runs, plan_only
from sweeps.driver import Driver
from sweeps.job import Costs
from sweeps.machine import Way
from sweeps.plan import Plan
from sweeps.progress import Board
from sweeps.reading import Sweep
from sweeps.showing import plan_json, plan_lines
from sweeps.wanted import Wanted, wanted_runs
from tests.sweeps.fakes import finished_run, jobs_of
from tests.sweeps.searches import exhaust, search, source_of

SweepOf = Callable[..., Sweep]
WSD = {"schedule.kind": "wsd", "schedule.warmup": 2, "schedule.decay": 5}


def plan_of(sweep: Sweep) -> Plan:
    return plan_only(sweep, Request(measure=False), Board()).plan


def half_done(run: Wanted) -> RunFolder:
    """A run that was stopped after a save at step 15."""
    folder = finished_run(run, "KILLED")
    (folder.path / "checkpoints").mkdir()
    (folder.path / "checkpoints" / "index.json").write_text('{"last": 15}')
    return folder


def test_a_searchs_totals_are_of_all_its_runs(sweep_of: SweepOf) -> None:
    space = {"optimizer.lr": {"low": 1e-3, "high": 1e-1, "log": True}}
    of_twenty = search(trials=20, space=space)
    plan = plan_of(sweep_of(seeds=[1, 2], budget={"steps": 10}, search=of_twenty))
    assert plan.todo == plan_json(plan, None)["to_make"] == 40
    assert plan.tokens == 40 * 10 * 4 * 32
    assert "40 runs to ask for: 51,200 tokens" in "\n".join(plan_lines(plan, None))
    assert not any("one seed only" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ("nsgaii", True),
        ({"kind": "nsgaii", "options": {"population_size": 4}}, False),
        ({"kind": "tpe", "options": {"n_startup_trials": 12}}, True),
        ("tpe", False),
        ("random", False),
    ],
)
def test_a_search_that_ends_before_it_learns_is_told(
    sweep_of: SweepOf, sampler: Any, told: bool
) -> None:
    space = {"optimizer.lr": {"low": 1e-3, "high": 1e-1, "log": True}}
    plan = plan_of(sweep_of(search=search(trials=12, space=space, sampler=sampler)))
    said = "all 12 points are drawn by chance"
    assert any(said in warning for warning in plan.warnings) == told


def test_a_search_whose_ends_are_done_is_estimated_and_an_ended_one_is_not_timed(
    sweep_of: SweepOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"model.d_model": 24}  # a shape that no other test has timed
    sweep = sweep_of(fields=fields, search=search(trials=3, sampler="random"))
    for run in first_runs(sweep, Request()):
        finished_run(run)
    planned = plan_only(sweep, Request(measure=False), Board())
    config, advisor = planned.plan.rows[0].run.config, planned.advisor
    assert planned.plan.wall is None
    for threads in range(1, advisor.machine.cores + 1):
        costs = Costs(setup=0.0, step=1.0, eval_token=0.0, save=0.0, measuring=0.1)
        advisor.calibration.note(config, Way(1, threads), [costs], 0.0)
    plan = plan_of(sweep)
    assert plan.todo == 3
    assert plan.wall is not None and plan.wall > 0
    few = plan_only(sweep, Request(measure=False, limit=2), Board()).plan
    assert few.todo == 2 and few.tokens * 3 == plan.tokens * 2

    exhaust(source_of(sweep, folder="runs/sweeps/s"))
    monkeypatch.setattr("sweeps.planning.explore", lambda *_: pytest.fail("times a shape"))
    ended = plan_only(sweep, Request(), Board()).plan
    assert "0 runs to ask for" in plan_lines(ended, None)


def test_the_cost_is_the_time_at_the_price_of_an_hour(
    sweep_of: SweepOf, tinyscale_here: Callable[..., CompletedProcess[str]]
) -> None:
    fields = {"model.d_model": 40}  # a shape that no other test has timed
    planned = plan_only(
        sweep_of(fields=fields, grid={"optimizer.lr": [0.01, 0.02]}),
        Request(measure=False),
        Board(),
    )
    machine, config = planned.advisor.machine, planned.plan.rows[0].run.config
    for threads in range(1, machine.cores + 1):
        costs = Costs(setup=0.0, step=60.0, eval_token=0.0, save=0.0, measuring=0.1)
        planned.advisor.calibration.note(config, Way(1, threads), [costs], 0.0)
    words = ("plan", "s.yaml", "--no-timing", "--price", "2.5")
    found = json.loads(tinyscale_here(*words, "--json").stdout)
    assert found["wall_seconds"] >= 30 * 60  # of the steps of one
    assert found["cost"] == pytest.approx(2.5 * found["wall_seconds"] / 3600)
    assert f" of workers), cost {found['cost']:.2f}\n" in tinyscale_here(*words).stdout
    assert "cost" not in tinyscale_here(*words[:-2]).stdout


def test_branches_are_trained_too(sweep_of: SweepOf) -> None:
    fields = WSD | {"schedule.branches": [0.5]}
    plan = plan_of(sweep_of(budget={"steps": 20}, fields=fields, grid={"optimizer.lr": [0.01]}))
    assert plan.tokens == (20 + 5) * 4 * 32


def test_what_is_half_done_counts_by_what_is_left(sweep_of: SweepOf) -> None:
    sweep = sweep_of(budget={"steps": 20}, grid={"optimizer.lr": [0.01, 0.02]})
    whole = plan_of(sweep)
    half_done(wanted_runs(sweep)[0])
    plan = plan_of(sweep)
    assert (plan.tokens, plan.todo) == (25 * 4 * 32, 2)
    assert plan.flops == pytest.approx(whole.flops * 25 / 40)


def test_a_branch_that_is_nothing_but_decay_is_told_before_anything_is_trained(
    sweep_of: SweepOf,
) -> None:
    fields = WSD | {"schedule.branches": [0.1]}
    sweep = sweep_of(budget={"steps": 20}, fields=fields, grid={"optimizer.lr": [0.01]})
    with pytest.raises(UserError, match=r"branch at 0.1 of the budget has 2 steps, too few"):
        plan_of(sweep)


def test_runs_without_branches_that_are_asked_for_now_are_told(sweep_of: SweepOf) -> None:
    budget, grid = {"steps": 20}, {"optimizer.lr": [0.01]}
    plain = sweep_of(budget=budget, fields=WSD, grid=grid)
    half = half_done(wanted_runs(plain)[0])
    sweep = sweep_of(budget=budget, fields=WSD | {"schedule.branches": [0.5]}, grid=grid)
    said = "1 runs are done or begun without branches that are asked for now"
    assert not any(said in warning for warning in plan_of(plain).warnings)
    assert any(said in warning for warning in plan_of(sweep).warnings)
    shutil.rmtree(half.path)
    finished_run(wanted_runs(sweep)[0])
    assert any(said in warning for warning in plan_of(sweep).warnings)
    assert any(said in line for line in conduct(sweep, Request(), Board()).lines)


def test_every_way_of_counting_that_says_something_is_shown(sweep_of: SweepOf) -> None:
    header = plan_lines(plan_of(sweep_of(grid={"optimizer.lr": [0.01]})), None)[0]
    assert "N non-emb" in header
    assert "N active" not in header
    experts: dict[str, Any] = {
        "model.feedforward.kind": "moe",
        "model.feedforward.n_experts": 4,
        "model.feedforward.top_k": 2,
        "model.tie_embeddings": False,
    }
    header = plan_lines(plan_of(sweep_of(fields=experts, grid={"optimizer.lr": [0.01]})), None)[0]
    assert "N active" in header
    assert "N with head" in header


def test_whole_steps_are_no_other_budget(sweep_of: SweepOf) -> None:
    grid = {"batch.size": [3, 4]}
    plan = plan_of(sweep_of(budget={"tokens": 64_000}, grid=grid))
    assert len({row.size.budget.tokens for row in plan.rows}) == 2
    assert not any("budgets differ" in warning for warning in plan.warnings)


def test_flops_that_whole_steps_cannot_meet_are_told(sweep_of: SweepOf) -> None:
    grid = {"model.d_model": [16, 64]}
    plan = plan_of(sweep_of(budget={"isoflop": [1e8]}, grid=grid))
    assert any("cannot have the FLOPs asked for" in warning for warning in plan.warnings)


def test_a_schedule_that_is_too_long_for_its_run_is_told(sweep_of: SweepOf) -> None:
    fields = {"schedule.warmup": 30}
    plan = plan_of(sweep_of(budget={"steps": 20}, fields=fields, grid={"optimizer.lr": [0.01]}))
    assert any("the rate only rises, to the end" in warning for warning in plan.warnings)


def test_a_limit_plans_the_runs_that_the_driver_starts_with(
    sweep_of: SweepOf, drive: Callable[..., Driver[Wanted]]
) -> None:
    sweep = sweep_of(seeds=[1], grid={"optimizer.lr": [0.01, 0.02], "model.d_model": [16, 32]})
    for limit in (1, 3):
        rows = plan_only(sweep, Request(measure=False, limit=limit), Board()).plan.rows
        planned = {row.run.key for row in rows if row.cohort is not None}
        jobs = jobs_of(drive(sweep, limit=limit))
        assert {member.key for job in jobs for member in job.members} == planned
        shutil.rmtree("runs")
