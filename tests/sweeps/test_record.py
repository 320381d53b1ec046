"""The sweep's own run: what it is of, where it is, and what becomes of it when things change."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities import Run

from scaling.errors import UserError
from scaling.tracking.address import tracking_uri
from scaling.tracking.folder import RunFolder
from scaling.tracking.store import client, stages
from sweeps.calibration import Calibration
from sweeps.closing import close_sweep
from sweeps.conduct import Request, conduct, look, plan_only
from sweeps.driver import Driver
from sweeps.job import Costs
from sweeps.ledger import Ledger
from sweeps.machine import Way
from sweeps.progress import Board
from sweeps.reading import Sweep, read_sweep
from sweeps.record import DriverLock, SweepRecord
from sweeps.source import Grid
from sweeps.wanted import Wanted, members_of, wanted_runs
from tests.sweeps.fakes import finished_run
from tests.sweeps.searches import search, source_of

SweepOf = Callable[..., Sweep]
Drive = Callable[..., Driver[Wanted]]
FOLDER = Path("runs/sweeps/s")
RATES = {"optimizer.lr": [0.01, 0.02]}


def in_store(experiment: str = "tinyscale") -> tuple[list[Run], list[Run]]:
    """The sweeps' own runs in an experiment, and the others."""
    store = client(tracking_uri())
    found = store.get_experiment_by_name(experiment)
    assert found is not None
    runs = store.search_runs([found.experiment_id])
    parents = [run for run in runs if run.data.tags.get("tinyscale.kind") == "sweep"]
    return parents, [run for run in runs if run not in parents]


def whole(sweep: Sweep) -> list[RunFolder]:
    """A sweep whose runs are all done, as its own driver leaves them."""
    tags = {"tinyscale.sweep": sweep.spec.name}
    folders = [finished_run(run, tags=tags) for run in wanted_runs(sweep)]
    conduct(sweep, Request(), Board())
    return folders


def lose_all() -> None:
    """The store forgets every run, as a new one in the place of a deleted one has none."""
    with sqlite3.connect("mlflow.db") as tables:
        found = tables.execute(
            "SELECT t.name FROM sqlite_master t, pragma_table_info(t.name) c"
            " WHERE t.type = 'table' AND c.name = 'run_uuid'"
        )
        for (name,) in found.fetchall():
            tables.execute(f"DELETE FROM {name}")


def test_a_sweep_is_told_its_own_outcome_after_a_part_of_another_of_its_name(
    sweep_of: SweepOf,
) -> None:
    small = sweep_of(grid=RATES)
    whole(small)
    large = sweep_of(grid={"optimizer.lr": [0.01, 0.02, 0.03]})
    assert len(conduct(large, Request(only=["lr=0.01"]), Board()).summary["runs"]) == 3
    assert len(conduct(small, Request(), Board()).summary["runs"]) == 2
    assert len(json.loads((FOLDER / "sweep_summary.json").read_text())["runs"]) == 2


def test_helping_leaves_a_living_drivers_record_alone(sweep_of: SweepOf) -> None:
    sweep = sweep_of(grid=RATES)
    runs = wanted_runs(sweep)
    finished_run(runs[0])
    lock = DriverLock(FOLDER)
    assert lock.acquire()
    try:
        record = SweepRecord(sweep, runs[0].config, print)
        record.want(members_of(runs, grows=False))
        record.open()
        told = conduct(sweep, Request(only=["lr=0.01"], join=True), Board())
        assert told.exit_code == 0 and "nothing to help with" in told.lines[-1]
        assert RunFolder(FOLDER).read_record().status == "RUNNING"
        assert not (FOLDER / "leaderboard.csv").exists()
        other = sweep_of(grid={"optimizer.lr": [0.01, 0.05]})
        with pytest.raises(UserError, match="does not want 1 of these 2 runs"):
            conduct(other, Request(join=True, measure=False), Board())
        record.close("KILLED")
    finally:
        lock.release()


def test_another_experiment_has_a_parent_of_its_own(sweep_of: SweepOf) -> None:
    sweep = sweep_of(grid=RATES)
    whole(sweep)
    whole(read_sweep("s.yaml", ["--tracking.experiment", "other"]))
    (own,), children = in_store("other")
    assert own.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {own.info.run_id}
    conduct(sweep, Request(), Board())
    parents, children = in_store()
    last = max(parents, key=lambda run: run.info.start_time)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {last.info.run_id}


@pytest.mark.parametrize("lost", ["deleted", "lost"])
def test_a_parent_that_the_store_has_lost_comes_back(sweep_of: SweepOf, lost: str) -> None:
    sweep = sweep_of(grid=RATES)
    whole(sweep)
    if lost == "deleted":
        ((parent,), _) = in_store()
        client(tracking_uri()).delete_run(parent.info.run_id)
    else:
        lose_all()
    assert "all 2 runs are done" in conduct(sweep, Request(), Board()).lines[-1]
    (parent,), children = in_store()
    assert parent.info.status == "FINISHED"
    assert [run.data.tags["mlflow.parentRunId"] for run in children] == [parent.info.run_id] * 2
    made = (FOLDER / "sweep_summary.json").stat().st_mtime_ns
    conduct(sweep, Request(), Board())
    assert (FOLDER / "sweep_summary.json").stat().st_mtime_ns == made  # all is there now


def test_runs_that_the_store_lacks_are_sent_and_deleted_ones_are_told(sweep_of: SweepOf) -> None:
    sweep = sweep_of(grid=RATES)
    first, second = whole(sweep)
    gone = json.loads((first.path / "sent.json").read_text())["run_id"]
    store = client(tracking_uri())
    store.delete_run(gone)
    (second.path / "sent.json").unlink()  # as where the store did not answer at its end
    told = "\n".join(conduct(sweep, Request(), Board()).lines)
    assert "1 run is deleted in the store" in told and f"--run-id {gone}" in told
    assert (second.path / "sent.json").exists()
    store.restore_run(gone)
    assert "deleted" not in "\n".join(conduct(sweep, Request(), Board()).lines)


def test_a_store_that_does_not_answer_is_taken_at_its_last_word(
    sweep_of: SweepOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise ConnectionError("refused")

    sweep = sweep_of(grid=RATES)
    whole(sweep)
    monkeypatch.setattr("sweeps.record.stages", refuses)
    *_, warned, done = conduct(sweep, Request(), Board()).lines
    assert "does not answer: refused" in warned and "all 2 runs are done" in done


def test_stages_are_the_same_by_mlflow_as_by_the_file(sweep_of: SweepOf) -> None:
    whole(sweep_of(grid=RATES))
    _, children = in_store()
    ids = [run.info.run_id for run in children]
    client(tracking_uri()).delete_run(ids[0])
    told = {ids[0]: "deleted", ids[1]: "active"}
    for uri in (tracking_uri(), f"{tracking_uri()}?timeout=20"):
        assert stages(uri, "tinyscale", [*ids, "0" * 32]) == told


def test_the_parents_page_follows_the_sweep(sweep_of: SweepOf) -> None:
    whole(sweep_of(seeds=[1], grid=RATES))
    whole(sweep_of(seeds=[1, 2], grid=RATES))
    (parent,), _ = in_store()
    assert parent.data.tags["tinyscale.seeds"] == "1,2"


def test_a_searchs_runs_whose_folders_are_gone_are_known_by_the_store(
    sweep_of: SweepOf, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.closing.write_search", lambda *_: None)  # takes seconds to draw
    sweep = sweep_of(search=search(trials=3))
    drive(sweep, source=source_of(sweep, folder=str(FOLDER)))
    conduct(sweep, Request(), Board())
    shutil.rmtree(max(Path("runs").glob("s-*")))
    result = conduct(sweep, Request(), Board())
    assert result.exit_code == 0
    assert {run["status"] for run in result.summary["runs"]} == {"done"}


def test_a_store_that_takes_no_artifact_is_told_as_the_cause(
    sweep_of: SweepOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise PermissionError("the artifacts' place is not writable")

    sweep = sweep_of(grid=RATES)
    runs = wanted_runs(sweep)
    record = SweepRecord(sweep, runs[0].config, print)
    record.want(members_of(runs, grows=False))
    monkeypatch.setattr("mlflow.MlflowClient.log_artifact", refuses)
    with pytest.raises(UserError, match="is not writable") as raised:
        record.open()
    record.fail(raised.value)
    assert RunFolder(FOLDER).read_record().status == "FAILED"


def test_no_estimate_is_told_where_nothing_was_planned(sweep_of: SweepOf, drive: Drive) -> None:
    sweep = sweep_of(grid={"optimizer.lr": [0.01]})
    runs = wanted_runs(sweep)
    elsewhere = finished_run(runs[0], "RUNNING")  # by this process, which lives
    planned = plan_only(sweep, Request(measure=False), Board())
    assert planned.plan.wall == 0.0
    shutil.rmtree(elsewhere.path)  # the other driver was stopped: its run comes to this one
    driver = drive(sweep)
    record = SweepRecord(sweep, runs[0].config, print)
    record.open()
    result = close_sweep(record, Grid(runs), runs, driver, planned, True)
    assert result.exit_code == 0 and not any("estimated" in line for line in result.lines)


@pytest.mark.parametrize("branches", [[], [0.5]])
def test_estimates_learn_nothing_of_ends_from_runs_with_branches(
    sweep_of: SweepOf, drive: Drive, monkeypatch: pytest.MonkeyPatch, branches: list[float]
) -> None:
    learned = list[float]()
    monkeypatch.setattr(Calibration, "note_endings", lambda self, seconds: learned.extend(seconds))
    wsd = {"schedule.kind": "wsd", "schedule.warmup": 2, "schedule.decay": 5}
    fields = wsd | {"schedule.branches": branches, "model.d_model": 40}
    sweep = sweep_of(budget={"steps": 20}, fields=fields, grid={"optimizer.lr": [0.01]})
    (run,) = wanted_runs(sweep)
    planned = plan_only(sweep, Request(measure=False), Board())
    costs = Costs(setup=0.0, step=1.0, eval_token=0.0, save=0.0, measuring=0.1)
    for threads in (1, 2):
        planned.advisor.calibration.note(run.config, Way(1, threads), [costs], 0.0)
    record = SweepRecord(sweep, run.config, print)
    record.open()
    close_sweep(record, Grid([run]), [run], drive(sweep), planned, True)
    assert bool(learned) == (not branches)


def test_the_stores_finished_runs_are_there_with_their_figures_and_no_others(
    sweep_of: SweepOf,
) -> None:
    run, other = wanted_runs(sweep_of(seeds=[1, 2]))
    store = client(tracking_uri())
    experiment = store.create_experiment("tinyscale")
    for one, status in ((run, "FINISHED"), (other, "FAILED")):
        tags = {
            "tinyscale.identity": one.key[0],
            "tinyscale.seed": str(one.key[1]),
            "tinyscale.diverged": "true",
        }
        made = store.create_run(experiment, tags=tags).info.run_id
        store.log_metric(made, "final/val_loss", 2.5)
        store.set_terminated(made, status)
    known = look(Ledger(Path("runs"), tracking_uri(), "tinyscale"), [run, other])
    assert set(known) == {run.key}
    assert known[run.key].summary == {"final_val_loss": 2.5, "diverged": True}
