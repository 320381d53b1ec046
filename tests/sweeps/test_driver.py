"""The driver: what is wanted less what is there, and what it does when runs go wrong."""

import itertools
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaling.checkpoint import Checkpoints
from scaling.config import RunConfig
from scaling.tracking.folder import RunFolder, run_folders
from sweeps.claims import Claims
from sweeps.conduct import Request, conduct
from sweeps.driver import Driver
from sweeps.job import Member
from sweeps.ledger import can_go_on, read_known
from sweeps.progress import Board
from sweeps.reading import Sweep
from sweeps.wanted import Wanted, wanted_runs
from tests.sweeps.fakes import finished_run, jobs_of, trained

SweepOf = Callable[..., Sweep]
Drive = Callable[..., Driver[Wanted]]
GRID = {"optimizer.lr": [0.01, 0.02, 0.03]}


def fails_at(rate: float) -> Callable[[Member], str]:
    """The fate of runs that fail at one rate."""

    def fate(run: Member) -> str:
        assert isinstance(run.config, RunConfig)
        return "failed" if run.config.optimizer.lr == rate else "finished"

    return fate


def test_what_is_there_is_not_made_again(sweep_of: SweepOf, drive: Drive) -> None:
    sweep = sweep_of(seeds=[1, 2], grid=GRID)
    finished_run(wanted_runs(sweep)[3])
    assert trained(drive(sweep)) == 5
    assert trained(drive(sweep)) == 0
    assert len(run_folders(Path("runs"))) == 6


def test_another_sweep_finds_the_runs_they_share(sweep_of: SweepOf, drive: Drive) -> None:
    drive(sweep_of(name="first", grid=GRID))
    assert trained(drive(sweep_of(name="second", grid={"optimizer.lr": [0.02, 0.05]}))) == 1


def test_a_part_of_a_sweep_leaves_the_whole_record_as_it_was(sweep_of: SweepOf) -> None:
    sweep = sweep_of(seeds=[1, 2], grid=GRID)
    runs = wanted_runs(sweep)
    for run in runs[:4]:
        finished_run(run)
    result = conduct(sweep, Request(only=["lr=0.01"]), Board())
    assert result.exit_code == 0
    assert "all that is asked for is done" in result.lines[-1]
    rows = Path("runs/sweeps/s/leaderboard.csv").read_text().splitlines()[1:]
    assert len(rows) == 6


def test_limit_counts_runs(sweep_of: SweepOf, drive: Drive) -> None:
    sweep = sweep_of(seeds=[1, 2], grid=GRID)
    assert trained(drive(sweep, limit=4)) == 4
    assert trained(drive(sweep, limit=4)) == 2


def test_a_second_chance_is_within_the_limit(sweep_of: SweepOf, drive: Drive) -> None:
    fates = iter(["died", "finished", "finished"])
    driver = drive(sweep_of(grid=GRID, cohort=1), lambda run: next(fates), limit=2)
    assert (driver.counts().done, trained(driver)) == (2, 3)


def test_a_failed_run_stays_and_is_retried_when_asked(sweep_of: SweepOf, drive: Drive) -> None:
    sweep = sweep_of(grid=GRID)
    driver = drive(sweep, fails_at(0.02))
    assert (driver.counts().done, driver.counts().failed) == (2, 1)
    again = drive(sweep)
    assert trained(again) == 0
    assert again.counts().failed == 1
    assert trained(drive(sweep, retry_failed=True)) == 1
    statuses = sorted(folder.read_record().status for folder in run_folders(Path("runs")))
    assert statuses == ["FAILED", "FINISHED", "FINISHED", "FINISHED"]


def test_failures_in_a_row_stop_the_sweep(sweep_of: SweepOf, drive: Drive) -> None:
    rates = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    sweep = sweep_of(grid={"optimizer.lr": rates}, max_consecutive_failures=2, cohort=1)
    driver = drive(sweep, lambda run: "failed")
    assert driver.stopped is not None
    assert "2 points in a row have failed, the last by RuntimeError: boom" in driver.stopped
    assert trained(driver) < 6
    seeds = list(range(6))
    one = sweep_of(name="one", seeds=seeds, max_consecutive_failures=2, cohort=1)
    driver = drive(one, lambda run: "failed")
    assert driver.stopped is not None and "2 runs in a row" in driver.stopped


@pytest.mark.parametrize("cohort", [1, 3])
def test_a_point_that_fails_with_every_seed_stops_no_sweep(
    sweep_of: SweepOf, drive: Drive, cohort: int
) -> None:
    driver = drive(sweep_of(seeds=[1, 2, 3], grid=GRID, cohort=cohort), fails_at(0.01))
    assert driver.stopped is None
    assert (driver.counts().done, driver.counts().failed) == (6, 3)


def test_a_dead_worker_costs_its_runs_one_retry(sweep_of: SweepOf, drive: Drive) -> None:
    deaths: list[Member] = []

    def fate(run: Member) -> str:
        deaths.append(run)
        return "died" if len(deaths) == 1 else "finished"

    driver = drive(sweep_of(grid=GRID, cohort=1), fate)
    assert (driver.counts().done, trained(driver)) == (3, 4)


def test_a_run_that_its_worker_finished_before_it_died_is_done(
    sweep_of: SweepOf, drive: Drive
) -> None:
    tries: list[Member] = []

    def fate(run: Member) -> str:
        tries.append(run)
        if len(tries) == 2:  # its last chance
            finished_run(run)
        return "died"

    driver = drive(sweep_of(grid={"optimizer.lr": [0.01]}), fate)
    assert (driver.counts().done, driver.counts().failed, len(tries)) == (1, 0, 2)


def test_runs_of_a_dead_worker_are_tried_again_each_alone(sweep_of: SweepOf, drive: Drive) -> None:
    def fate(run: Member) -> str:
        return "finished" if run.key in seen or seen.add(run.key) else "died"  # type: ignore[func-returns-value]

    seen: set[tuple[str, int]] = set()
    driver = drive(sweep_of(seeds=[1, 2, 3, 4], grid={"model.d_model": [16]}, cohort=4), fate)
    sizes = [len(job.members) for job in jobs_of(driver)]
    assert sizes[0] > 1
    assert sizes[-4:] == [1, 1, 1, 1]
    assert driver.counts().done == 4


def test_runs_of_a_worker_that_took_too_much_memory_go_down_the_ladder(
    sweep_of: SweepOf, drive: Drive
) -> None:
    sweep = sweep_of(seeds=[1, 2], cohort=2)
    driver = drive(sweep, lambda member: "short")
    assert [(len(job.members), job.micro_size) for job in jobs_of(driver)] == [
        *((2, size) for size in (None, 2, 1)),  # of batches of 4
        *((1, 1) for _ in range(2)),
    ]
    states = {known.state for known in driver.known.values()}
    errors = {known.error for known in driver.known.values()}
    assert (states, errors) == ({"failed"}, {"the system ended the worker for want of memory"})


def test_runs_of_one_shape_train_together(sweep_of: SweepOf, drive: Drive) -> None:
    sweep = sweep_of(seeds=[1, 2, 3, 4], grid={"model.d_model": [16, 32]}, cohort=2)
    driver = drive(sweep)
    jobs = jobs_of(driver)
    assert [len(job.members) for job in jobs] == [2, 2, 2, 2]
    assert all(len({m.config.cohort_key for m in job.members}) == 1 for job in jobs)


def test_a_driver_can_hold_more_runs_than_files_may_be_open_unasked(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        claims = Claims(tmp_path)
        keys = [("a", seed) for seed in range(400)]
        assert all(claims.take(key) for key in keys)
        assert not Claims(tmp_path).take(keys[0])
        for key in keys:
            claims.free(key)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_run_that_another_driver_has_is_waited_for(
    sweep_of: SweepOf, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweep_of(grid=GRID, cohort=1)
    runs = wanted_runs(sweep)
    other = Claims(Path("runs"))
    assert other.take(runs[0].key)
    looks = []

    def look(self: Driver[Wanted]) -> None:
        looks.append(1)
        if len(looks) == 5:  # the other driver ends its run
            finished_run(runs[0])
            other.free(runs[0].key)
        original(self)

    original = Driver._look_elsewhere
    monkeypatch.setattr(Driver, "_look_elsewhere", look)
    monkeypatch.setattr("sweeps.driver.ELSEWHERE", 0.01)
    monkeypatch.setattr("sweeps.driver.POLL", 0.01)
    driver = drive(sweep)
    assert (driver.counts().done, trained(driver)) == (3, 2)


def test_what_another_driver_left_half_done_is_gone_on_with(
    sweep_of: SweepOf, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweep_of(grid=GRID, cohort=1, workers=1)
    last = wanted_runs(sweep)[2]
    left: list[Path] = []
    original = Driver._launch

    def launch(self: Driver[Wanted]) -> None:  # between this driver's look and its turn
        if not left:
            left.append(finished_run(last, "KILLED").path)
        original(self)

    monkeypatch.setattr(Driver, "_launch", launch)
    driver = drive(sweep)
    members = [m for job in jobs_of(driver) for m in job.members]
    assert [m.folder for m in members if m.key == last.key] == left
    assert len(members) == 3


def test_half_done_runs_come_first(sweep_of: SweepOf, drive: Drive) -> None:
    sweep = sweep_of(grid=GRID, cohort=1)
    half = finished_run(wanted_runs(sweep)[2], "KILLED")
    driver = drive(sweep)
    first = jobs_of(driver)[0].members[0]
    assert first.folder == half.path


def test_a_full_disk_stops_the_sweep_and_fails_no_run(sweep_of: SweepOf, drive: Drive) -> None:
    sweep, fates = sweep_of(grid=GRID, cohort=1), iter(["full"])
    driver = drive(sweep, lambda run: next(fates, "finished"))
    assert driver.stopped is not None and driver.stopped.startswith("the disk is full")
    assert driver.counts().failed == 0
    assert drive(sweep).counts().done == 3


def test_failures_with_successes_between_them_stop_no_sweep(
    sweep_of: SweepOf, drive: Drive
) -> None:
    rates = {"optimizer.lr": [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]}
    fates = itertools.cycle(["failed", "finished"])
    sweep = sweep_of(grid=rates, cohort=1, max_consecutive_failures=2)
    driver = drive(sweep, lambda run: next(fates))
    assert driver.stopped is None and driver.counts().failed == 3


def test_a_half_done_run_goes_on_from_its_checkpoint(sweep_of: SweepOf, drive: Drive) -> None:
    sweep = sweep_of(grid=GRID, cohort=1)
    half = finished_run(wanted_runs(sweep)[2], "KILLED")
    Checkpoints(half.path / "checkpoints").save(7, {}, {"state": {}, "param_groups": []}, {})
    first = jobs_of(drive(sweep))[0].members[0]
    assert (first.folder, first.step) == (half.path, 7)


def test_a_driver_gives_back_what_it_has_made(sweep_of: SweepOf, drive: Drive) -> None:
    sweep = sweep_of(grid=GRID)
    driver, other = drive(sweep), Claims(Path("runs"))
    assert all(other.take(run.key) for run in wanted_runs(sweep))
    assert driver.counts().done == 3


def test_a_run_whose_folder_somebody_deletes_has_failed_and_the_rest_goes_on(
    sweep_of: SweepOf, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deleted(member: Member, *given: Any) -> RunFolder:
        folder = finished_run(member, *given)
        if fails_at(0.02)(member) == "failed":
            shutil.rmtree(folder.path)
        return folder

    monkeypatch.setattr("tests.sweeps.fakes.finished_run", deleted)
    driver = drive(sweep_of(grid=GRID))
    states = [driver.known[run.key].state for run in driver.source.runs()]
    assert states == ["done", "failed", "done"]


def test_a_grid_goes_on_with_a_pruned_run_from_its_checkpoint(sweep_of: SweepOf) -> None:
    (run,) = wanted_runs(sweep_of())
    folder = finished_run(run, "KILLED", tags={"tinyscale.pruned": "true"})
    Checkpoints(folder.path / "checkpoints").save(7, {}, {"state": {}, "param_groups": []}, {})
    known = read_known(folder)
    assert (known.state, known.step) == ("pruned", 7) and can_go_on(known)
