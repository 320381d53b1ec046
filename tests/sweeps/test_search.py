"""Searches: Optuna's study over batches, resumes, repeats, divergence, seeds and pruning."""

import json
import math
import os
import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState

from scaling.errors import UserError
from scaling.tracking.address import tracking_uri
from scaling.tracking.folder import process_start
from scaling.tracking.store import client, sync
from sweeps.conduct import Request, conduct, first_runs
from sweeps.driver import Driver
from sweeps.job import Member
from sweeps.ledger import Known, Ledger
from sweeps.pictures import _save, write_search
from sweeps.progress import PROGRESS, Board
from sweeps.reading import Sweep
from sweeps.record import DriverLock, SweepRecord
from sweeps.result import ending
from sweeps.search import SearchSource
from sweeps.space import Space
from sweeps.status import read_status, status_lines
from sweeps.study import begin_study
from sweeps.trials import RETRY
from sweeps.wanted import Wanted
from tests.sweeps.fakes import finished_run, jobs_of, trained
from tests.sweeps.searches import SPACE, ended, exhaust, retrying, search, source_of

SweepOf = Callable[..., Sweep]
Drive = Callable[..., Driver[Wanted]]


def test_batches_until_all_trials_are_told(sweep_of: SweepOf) -> None:
    source = source_of(sweep_of(search=search()))
    first = source.refill()
    assert [run.trial for run in first] == [0, 1]
    for run in first:
        source.settled(run, ended(run))
    assert len(exhaust(source)) == 4
    assert source.study.best_trial.user_attrs["run_ids"] == ["id"]
    assert {trial.state.name for trial in source.study.trials} == {"COMPLETE"}


def test_a_trial_is_the_mean_over_its_seeds(sweep_of: SweepOf) -> None:
    source = source_of(sweep_of(seeds=[1, 2], search=search()), batch=1)
    one, two = source.refill()
    assert (one.trial, two.trial) == (0, 0)
    source.settled(one, ended(one, final_val_loss=1.0))
    assert source.study.trials[0].state.name == "RUNNING"
    source.settled(two, ended(two, final_val_loss=3.0))
    assert source.study.trials[0].value == 2.0


def test_another_driver_goes_on_with_what_was_asked(sweep_of: SweepOf) -> None:
    sweep = sweep_of(search=search())
    source = source_of(sweep)
    left = source.refill()
    source.settled(left[0], ended(left[0]))
    for trial in source.study.get_trials():  # as if its driver had died
        if trial.state.name == "RUNNING":
            source._attribute(trial.number, "driver", [os.uname().nodename, 2**22 + 1, 0.0])
    again = source_of(sweep)
    adopted = again.refill()
    assert [run.key for run in adopted] == [left[1].key]
    again.settled(adopted[0], ended(adopted[0]))
    rest = exhaust(again)
    assert {run.trial for run in [*left, *rest]} == {0, 1, 2, 3, 4, 5}
    # A sampler with the first one's seed would have asked for the first points again.
    assert not {run.key for run in left} & {run.key for run in rest}


def test_a_changed_space_is_refused(sweep_of: SweepOf) -> None:
    source_of(sweep_of(search=search())).refill()
    other = SPACE | {"optimizer.lr": {"low": 1e-3, "high": 1e-1, "log": True}}
    with pytest.raises(UserError, match="was begun with another space"):
        source_of(sweep_of(search=search(space=other)))


def test_choices_stay_the_same_to_optuna(sweep_of: SweepOf) -> None:
    space = Space({"kinds": {"choices": [{"model.n_layers": 2, "model.d_model": 32}]}})
    distribution = space.distributions()["kinds"]
    assert distribution.choices == ('{"model.d_model":32,"model.n_layers":2}',)  # type: ignore[attr-defined]
    point = space.point({"kinds": distribution.choices[0]})  # type: ignore[attr-defined]
    assert point.settings == {"model.d_model": 32, "model.n_layers": 2}


def test_whole_numbers_follow_from_the_field() -> None:
    space = Space(
        {
            "model.n_layers": {"low": 1, "high": 4},
            "optimizer.weight_decay": {"low": 0, "high": 1},
        }
    )
    kinds = [type(d).__name__ for d in space.distributions().values()]
    assert kinds == ["IntDistribution", "FloatDistribution"]


def test_values_stay_within_their_range_and_on_their_steps(sweep_of: SweepOf) -> None:
    space = Space(
        {
            "optimizer.beta2": {"low": 0.9, "high": 0.99999},
            "optimizer.lr": {"low": 1.23444e-4, "high": 9.87654e-2, "log": True},
            "optimizer.weight_decay": {"low": 0.03125, "high": 1.0, "step": 0.03125},
        }
    )
    first, *ends = space.corners()
    assert [max(p.settings[name] for p in ends) for name in first.settings] == [
        *(0.99999, 9.87654e-2, 1.0)
    ]
    assert min(p.settings["optimizer.lr"] for p in ends) == 1.23444e-4
    middle = {"optimizer.beta2": 0.95, "optimizer.lr": 0.0123456}
    settings = space.point({**middle, "optimizer.weight_decay": 0.65625}).settings
    assert list(settings.values()) == [0.95, 0.01235, 0.65625]


def test_a_repeated_point_is_one_run(sweep_of: SweepOf, drive: Drive) -> None:
    space = {"model.n_layers": {"low": 1, "high": 2}}
    sweep = sweep_of(search=search(space=space, trials=8))
    source = source_of(sweep, batch=3)
    driver = drive(sweep, source=source)
    assert trained(driver) == 2
    assert [trial.state.name for trial in source.study.trials] == ["COMPLETE"] * 8


def test_a_failed_trial_is_retried_as_a_new_one_of_the_same_point(
    sweep_of: SweepOf, drive: Drive
) -> None:
    sweep = sweep_of(search=search(trials=5))
    bad: list[str] = []

    def first_fails(run: Member) -> str:
        bad[:] = bad or [run.key[0]]
        return "failed" if run.key[0] in bad else "finished"

    source = source_of(sweep)
    drive(sweep, first_fails, source=source)
    assert sorted(source.states()) == ["complete"] * 4 + ["fail"]
    assert source_of(sweep).ended  # as long as nobody asks for more

    again = retrying(sweep)
    assert not again.ended
    driver = drive(sweep, source=again, retry_failed=True)
    (job,) = jobs_of(driver)
    assert [member.key[0] for member in job.members] == bad
    assert again.states() == ["complete"] * 5
    assert len(again.study.trials) == 6
    assert len({run.key for run in again.runs()}) == len(again.runs()) == 5
    assert again.ended and retrying(sweep).ended


def test_a_searchs_status_says_what_a_grids_does(sweep_of: SweepOf, drive: Drive) -> None:
    sweep = sweep_of(search=search(trials=3))
    assert status_lines(read_status(sweep, Request()))[-1] == "it has not been begun"
    folder = Path("runs/sweeps/s")
    folder.mkdir(parents=True)  # as a plan's measurements leave it
    assert status_lines(read_status(sweep, Request()))[-1] == "it has not been begun"
    record = SweepRecord(sweep, first_runs(sweep, Request())[0].config, print)
    record.open()
    record.close("KILLED")
    fates = iter(["finished", "failed", "finished"])
    drive(sweep, lambda run: next(fates), source=source_of(sweep, 1, folder=str(folder)))
    lock = DriverLock(folder)
    assert lock.acquire()
    (folder / PROGRESS).unlink()  # as a driver does that begins
    assert status_lines(read_status(sweep, Request()))[-1] == "a driver prepares it now"
    lock.release()
    trials, counts, failed, driver = status_lines(read_status(sweep, Request()))
    assert trials == "s: 2 complete, 1 fail of 3 trials"
    assert counts == "s: 3 runs, 2 done, 1 failed"
    assert failed.startswith("failed: s-") and failed.endswith("RuntimeError: boom")
    assert driver == "no driver works on it now"
    more = sweep_of(search=search(trials=4))
    left = source_of(more, 1, folder=str(folder))
    (run,) = left.refill()
    gone = [os.uname().nodename, os.getpid(), 0.0]  # a process of this number that had begun then
    left._attribute(run.trial or 0, "driver", gone)
    trials, *_ = status_lines(read_status(more, Request()))
    assert trials == "s: 2 complete, 1 fail, 1 left of 4 trials"


def test_a_diverged_run_is_the_worst_result(sweep_of: SweepOf) -> None:
    source = source_of(sweep_of(search=search()), batch=1)
    (run,) = source.refill()
    source.settled(run, Known(run.key, "done", None, None, {"diverged": True}))
    assert source.study.trials[0].value == math.inf
    exhaust(source)  # the sampler can live with it


def test_a_point_that_makes_no_config_is_a_failed_trial(sweep_of: SweepOf) -> None:
    space = {"model.d_model": {"low": 16, "high": 20, "step": 1}}  # two heads want 4 to divide
    with pytest.raises(UserError, match="d_model=17"):  # where an end makes none, it is told
        source_of(sweep_of(search=search(space={"model.d_model": {"low": 16, "high": 17}})))
    source = source_of(sweep_of(name="other", search=search(space=space, trials=20)), batch=20)
    source.refill()
    states = {trial.params["model.d_model"]: trial.state.name for trial in source.study.trials}
    assert states[17] == "FAIL"
    assert states[16] == "RUNNING"


def test_a_search_goes_on_past_points_that_make_no_config(sweep_of: SweepOf, drive: Drive) -> None:
    space = {"model.d_model": {"low": 16, "high": 24}}  # of these 16, 20 and 24 make one
    source = source_of(sweep_of(search=search(space=space, trials=20)), batch=1)
    driver = drive(source.sweep, source=source)
    states = source.states()
    assert len(states) == 20
    assert states.count("complete") > 0 < states.count("fail")
    assert len(source.no_configs()) == states.count("fail")
    assert "d_model" in source.no_configs()[0]
    assert driver.counts().done == driver.counts().wanted == states.count("complete")
    assert ending(driver, "")[0] == 0


def test_the_owner_waits_for_trials_of_a_driver_that_helps_and_takes_over_a_dead_ones(
    sweep_of: SweepOf, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweep_of(search=search(trials=4))
    helper = source_of(sweep, batch=1)
    (helped,) = helper.refill()
    alive = [True]
    monkeypatch.setattr("sweeps.trials._is_alive", lambda process: alive[0])
    monkeypatch.setattr("sweeps.driver.POLL", 0.01)
    owner, looks = source_of(sweep), list[int]()

    def look(self: Driver[Wanted]) -> None:
        looks.append(1)
        alive[0] = len(looks) < 30  # the helper dies in the midst of its run

    monkeypatch.setattr(Driver, "_look_elsewhere", look)
    driver = drive(sweep, source=owner)
    assert len(looks) >= 30
    assert owner.states() == ["complete"] * 4
    assert helped.key in {m.key for job in jobs_of(driver) for m in job.members}
    assert driver.counts().done == 4


def test_two_drivers_ask_for_no_more_trials_than_there_are_to_be(
    sweep_of: SweepOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, plain = sweep_of(search=search(trials=3)), SearchSource._asks_on

    def slowly(self: SearchSource) -> bool:
        answer = plain(self)
        time.sleep(0.05)
        return answer

    monkeypatch.setattr(SearchSource, "_asks_on", slowly)
    drivers = [source_of(sweep, 3) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(SearchSource.refill, drivers))
    assert len(source_of(sweep).states()) == 3
    assert source_of(sweep_of(search=search(trials=2))).total == 3  # all that were asked for


def test_two_drivers_take_over_no_trial_twice(
    sweep_of: SweepOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, plain = sweep_of(search=search(trials=4)), SearchSource._begin
    dead = source_of(sweep, 4)
    for run in dead.refill():
        assert run.trial is not None
        dead._attribute(run.trial, "driver", [os.uname().nodename, os.getpid(), "long ago"])

    def slowly(self: SearchSource, *told: Any) -> list[Wanted]:
        time.sleep(0.05)
        return plain(self, *told)

    another = os.getppid()  # a living one, which this process is not to itself
    signed = [os.uname().nodename, another, process_start(another)]
    monkeypatch.setattr("sweeps.search.this_process", lambda: signed)
    monkeypatch.setattr(SearchSource, "_begin", slowly)
    drivers = [source_of(sweep, 4) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        found = [run.trial for runs in pool.map(SearchSource.refill, drivers) for run in runs]
    assert sorted(map(str, found)) == ["0", "1", "2", "3"]


def test_trials_of_a_host_that_is_gone_are_taken_over_when_asked(
    sweep_of: SweepOf, drive: Drive
) -> None:
    sweep = sweep_of(search=search(trials=3))
    there = source_of(sweep, batch=1)
    (left,) = there.refill()
    there._attribute(0, "driver", ["elsewhere", 7, "long ago"])
    source = source_of(sweep)
    driver = drive(sweep, source=source)
    assert source.elsewhere() == ["elsewhere"]
    code, lines, _ = ending(driver, "")
    assert (code, lines) == (1, ["1 runs are missing. Go on with the same command."])
    again = retrying(sweep)
    assert drive(sweep, source=again, retry_failed=True).counts().done == 3
    assert again.runs()[0].key == left.key and again.ended


def test_an_ended_search_tells_of_its_failures_again(sweep_of: SweepOf, drive: Drive) -> None:
    sweep = sweep_of(search=search(trials=3))
    folder = Path("runs/sweeps/s")
    fates = iter(["finished", "failed", "finished"])
    drive(sweep, lambda run: next(fates), source=source_of(sweep, 1, folder=str(folder)))
    result = conduct(sweep, Request(), Board())
    assert result.exit_code == 1
    assert "1 runs failed" in result.lines[-1]
    assert {path.name for path in (folder / "search").iterdir()} >= {"history.png"}


@pytest.mark.parametrize(("trials", "enough"), [(9, False), (100, True)])
def test_importances_are_of_what_makes_an_objective_good(
    sweep_of: SweepOf,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
    trials: int,
    enough: bool,
) -> None:
    import optuna
    from optuna.distributions import BaseDistribution, FloatDistribution
    from optuna.trial import create_trial

    speed = {"metric": "final/tokens_per_second", "direction": "maximize"}
    spec = sweep_of(search=search(objectives=[{"metric": "flops"}, speed])).spec.search
    assert spec is not None
    study = optuna.create_study(directions=["minimize", "maximize"])
    ranges: dict[str, BaseDistribution] = {name: FloatDistribution(0, 1) for name in "ab"}
    draw = random.Random(0)
    for _ in range(trials):  # `a` says which are the slowest, and `b` which are the fastest
        a, b = draw.random(), draw.random()
        values = [1.0, 10 * b if a > 0.15 else a]
        study.add_trial(create_trial(params={"a": a, "b": b}, distributions=ranges, values=values))

    def save(plot: str, *args: Any, **told: Any) -> None:
        if plot == "plot_param_importances":  # all of them take seconds
            _save(plot, *args, **told)

    monkeypatch.setattr("sweeps.pictures._save", save)
    several: Any = SimpleNamespace(study=study, search=spec)
    write_search(several, workplace / "search")
    found = {path.name for path in Path("search").glob("importances*")}
    name = "importances-final_tokens_per_second"
    assert found == ({f"{name}.json", f"{name}.png"} if enough else set())  # flops are all alike
    assert not [warning for warning in recwarn if "PedAnova" in str(warning.message)]
    if enough:
        assert json.loads(Path(f"search/{name}.json").read_text())["b"] > 0.9


def test_other_seeds_are_another_search(sweep_of: SweepOf) -> None:
    source_of(sweep_of(seeds=[1], search=search())).refill()
    with pytest.raises(UserError, match="was begun with another seeds"):
        source_of(sweep_of(seeds=[1, 2], search=search()))


def test_the_first_seed_decides_for_a_trial(sweep_of: SweepOf) -> None:
    median = {"kind": "median", "options": {"n_startup_trials": 1}}
    sweep = sweep_of(seeds=[1, 2], budget={"tokens": 4000}, search=search(pruner=median))
    source = source_of(sweep, batch=1)
    for run in source.refill():
        assert not source.hopeless(run, 50, 1.0)
        source.settled(run, ended(run))
    first, second = source.refill()
    assert not source.hopeless(second, 50, 0.5)  # a good loss, which is not the first's
    assert source.hopeless(first, 50, 9.0)
    source.settled(first, Known(first.key, "pruned", None, None, {}))
    assert source.hopeless(second, 75, 0.5)


def test_the_last_whole_step_is_the_end_of_a_range(sweep_of: SweepOf) -> None:
    space = {"model.d_model": {"low": 32, "high": 199, "step": 32}}  # 199 is never proposed
    runs = first_runs(sweep_of(search=search(space=space)), Request())
    assert [run.config.model.d_model for run in runs] == [32, 192]


def test_a_hopeless_run_is_pruned(sweep_of: SweepOf) -> None:
    median = {"kind": "median", "options": {"n_startup_trials": 1}}
    sweep = sweep_of(budget={"tokens": 4000}, search=search(pruner=median))
    source = source_of(sweep, batch=1)
    (good,) = source.refill()
    assert not source.hopeless(good, 50, 1.0)
    source.settled(good, ended(good))
    (bad,) = source.refill()
    assert source.hopeless(bad, 50, 9.0)
    source.settled(bad, Known(bad.key, "pruned", None, None, {}))
    assert source.study.trials[1].state.name == "PRUNED"


def test_options_that_work_pass_the_rehearsal(sweep_of: SweepOf) -> None:
    for fields in (
        tpe(n_startup_trials=3, multivariate=True, constant_liar=False),
        {"sampler": {"kind": "nsgaii", "options": {"population_size": 8}}},
        pruner("hyperband", min_resource=20, reduction_factor=2),
        pruner("patient", wrapped={"kind": "median", "options": {"n_startup_trials": 2}}),
    ):
        assert first_runs(sweep_of(search=search(**fields)), Request())


@pytest.mark.parametrize("kind", ["tpe", "gp", "qmc", "nsgaii", "nsgaiii", "random"])
def test_every_sampler_proposes(sweep_of: SweepOf, kind: str) -> None:
    options = {"n_startup_trials": 2} if kind in ("tpe", "gp") else {}
    sampler = {"kind": kind, "options": options}
    source = source_of(sweep_of(search=search(sampler=sampler, trials=4)))
    assert len(exhaust(source)) == 4


PAIR = {"pair": {"choices": [{"optimizer.lr": 0.1}, {"optimizer.lr": 0.2, "label": "two"}]}}


def tpe(**options: Any) -> dict[str, Any]:
    return {"sampler": {"kind": "tpe", "options": options}}


def pruner(kind: str, **options: Any) -> dict[str, Any]:
    space = {"optimizer.lr": {"low": 1e-3, "high": 1e-1}}
    return {"pruner": {"kind": kind, "options": options}, "space": space}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"sampler": "cmaes"}, "needs the package cmaes"),
        ({"sampler": "grid"}, "sampler.kind"),
        ({"sampler": {"kind": "tpe", "options": {"n_startup": 3}}}, "did you mean n_startup_t"),
        (tpe(n_startup_trials="ten"), "tpe cannot work with n_startup_trials ten: '<' not"),
        (tpe(n_ei_candidates="many"), "tpe cannot work with n_ei_candidates many"),
        (tpe(gamma=0.1), "tpe has no option gamma"),
        (
            {"sampler": {"kind": "gp", "options": {"independent_sampler": "tpe"}}},
            "gp has no option independent_sampler",
        ),
        (pruner("hyperband", reduction_factor="a"), "hyperband cannot work with reduction_factor"),
        (pruner("median", interval_steps=2.5, n_min_trials="a"), "search.pruner median"),
        (pruner("patient", wrapped_pruner="median"), "did you mean wrapped"),
        ({"objectives": [{"metric": "val_loss"}]}, "did you mean"),
        ({"pruner": "median", "space": {"model.n_layers": {"low": 1, "high": 2}}}, "equal shares"),
        (
            {
                "pruner": "median",
                "space": {"a": {"choices": [{"model.n_layers": 1}, {"model.n_layers": 2}]}},
            },
            "equal shares",
        ),
        (pruner("patient", wrapped="meidan"), "did you mean median"),
        (pruner("median", n_warmup_steps=500), "n_warmup_steps is 500, but .* are percents"),
        (
            pruner("patient", wrapped={"kind": "hyperband", "options": {"max_resource": 3000}}),
            "max_resource is 3000, but .* are percents",
        ),
        (
            {"space": {**PAIR, "optimizer.lr": {"low": 1e-3, "high": 1e-1}}},
            "optimizer.lr is set by two dimensions of the space, pair and optimizer.lr",
        ),
        (
            {
                "space": {
                    "optimizer": {"choices": [{"kind": "adamw", "lr": 0.1}]},
                    "optimizer.lr": {"low": 1e-3, "high": 1e-1},
                }
            },
            "optimizer.lr is set by two dimensions of the space, optimizer and optimizer.lr",
        ),
        (
            {"space": {"budget.steps": {"choices": [2]}, "budget.tokens": {"choices": [900]}}},
            "budget is set by two dimensions of the space, budget.steps and budget.tokens",
        ),
        ({"space": {"a": {"choices": [{"seed": 1, "label": "x"}]}}}, "list the seeds under seeds"),
        ({"space": {"seed": {"low": 1, "high": 2}}}, "list the seeds under seeds"),
        ({"space": {"a": {"choices": [{"label": "x"}]}}}, "choices has one that sets no field"),
        ({"space": {"model.n_layers": {"low": 1, "high": 4, "step": 0.5}}}, "whole numbers"),
        ({"space": {"model.n_layers": {"low": 1.5, "high": 4}}}, "low is 1.5"),
        ({"space": {"model.attention.kind": {"choices": ["mha", "mha"]}}}, "has mha twice"),
        ({"space": {"optimizer.lr": {"low": 1, "hgih": 2}}}, "did you mean high"),
        ({"space": {"optimizer.lr": {"low": 1, "high": 0}}}, "is not below high"),
        ({"space": {"optimizer.momentum": {"low": 0, "high": 0.9}}}, "momentum"),
        ({"space": {"model.d_modle": {"choices": [1]}}}, "did you mean model.d_model"),
    ],
)
def test_a_mistake_is_one_sentence(
    sweep_of: SweepOf, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        first_runs(sweep_of(search=search(**fields)), Request())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("study", "made"), [("s", 0), ("another", 1)])
def test_what_another_search_gave_up_is_judged_anew(
    sweep_of: SweepOf, drive: Drive, study: str, made: int
) -> None:
    sweep = sweep_of(budget={"tokens": 4000}, search=search(pruner="median", trials=1))
    (run,) = source_of(sweep, batch=1, folder="other").refill()
    tags = {"tinyscale.pruned": "true", "optuna.study": study}
    finished_run(run, "KILLED", tags=tags)
    driver = drive(sweep, source=source_of(sweep, batch=1))
    assert trained(driver) == made


def test_a_driver_that_helps_proposes_points_of_its_own(sweep_of: SweepOf) -> None:
    sweep = sweep_of(search=search())
    first = first_runs(sweep, Request())[0]
    studies = [begin_study(sweep, first, None, Path(), helps=helps) for helps in (False, True)]
    space = Space(SPACE).distributions()
    rates = [study.ask(space).params["optimizer.lr"] for study in studies for _ in range(2)]
    assert len(set(rates)) == 4


def test_a_trial_whose_driver_died_asking_takes_no_points_place(sweep_of: SweepOf) -> None:
    source = source_of(sweep_of(search=search(trials=4)))
    source.study.tell(source.study.ask(), state=TrialState.FAIL)  # it had no parameters yet
    assert len(exhaust(source)) == 4
    assert source.ended and source.lacking() is None


def test_a_failed_trial_whose_retry_died_being_asked_is_there_still(sweep_of: SweepOf) -> None:
    sweep = sweep_of(search=search(trials=1))
    source = source_of(sweep, 1)
    (run,) = source.refill()
    source.settled(run, Known(run.key, "failed", None, None, {}, error="boom"))
    source.study.enqueue_trial({}, user_attrs={RETRY: 0})
    source.study.tell(source.study.ask(), state=TrialState.FAIL)  # it had no parameters yet
    assert [trial.number for trial in source.standing()] == [0]
    assert retrying(sweep).refill()[0].key == run.key


def test_a_password_of_a_storage_is_shown_to_nobody(sweep_of: SweepOf) -> None:
    with pytest.raises(UserError) as told:
        source_of(sweep_of(search=search()), storage="mssql+pymssql://me:secret@there/optuna")
    assert "me:***@there" in str(told.value) and "secret" not in str(told.value)


def test_a_search_is_of_one_experiment_and_says_what_is_gone(sweep_of: SweepOf) -> None:
    exhaust(source_of(sweep_of(search=search()), folder="runs/sweeps/s"))
    result = conduct(sweep_of(search=search()), Request(), Board())
    assert result.exit_code == 1
    assert "6 runs that the search has been told of are neither in runs nor in the" in str(
        result.lines
    )
    with pytest.raises(UserError, match="was begun with another experiment"):
        conduct(sweep_of(search=search(), experiment="other"), Request(), Board())


def test_points_that_the_store_has_are_not_trained_again(
    sweep_of: SweepOf, drive: Drive, workplace: Path
) -> None:
    sweep = sweep_of(search=search(trials=1))
    (run,) = source_of(sweep, batch=1, folder="other").refill()
    sync(finished_run(run), client(tracking_uri()))
    shutil.rmtree("runs")
    ledger = Ledger(Path("runs"), tracking_uri(), "tinyscale")
    ledger.ask_store()  # before the point is known
    (known,) = ledger.scan([run.key]).values()
    assert known.state == "done" and known.summary["final_val_loss"] == 1.0
