"""What goes wrong around a sweep: dead drivers and workers, full disks, torn files, lost hosts."""

import contextlib
import errno
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import yaml

import sweeps.local
from analysis.runs import Selection, read_runs
from scaling.config import RunConfig
from scaling.data.cache import answering_for
from scaling.errors import UserError
from scaling.signals import Stop
from scaling.tracking.address import tracking_uri
from scaling.tracking.store import client
from sweeps.channel import Channel
from sweeps.conduct import Request, conduct
from sweeps.job import Answer, Died, Ended, Job, Member
from sweeps.ledger import Ledger
from sweeps.local import LocalExecutor
from sweeps.machine import Machine
from sweeps.progress import Board
from sweeps.reading import Sweep
from sweeps.wanted import Wanted, wanted_runs
from tests.sweeps.fakes import finished_run

SweepOf = Callable[..., Sweep]
Tiny = Callable[..., RunConfig]
JOB = Job(0, (), 1)
MACHINE = Machine(cores=2, gpus=0, free_bytes=2**33)
RUST = "Error while serializing: I/O error: {} (os error {})"  # as safetensors words it


class NamelessError(Exception):
    """An error of a library in another language, without the system's number."""


# ---------------------------------------------------------------- drivers and workers


@pytest.mark.parametrize("died", ["before it heard", "before it answered"])
def test_a_worker_whose_driver_is_dead_goes_on(died: str) -> None:
    ours, theirs = multiprocessing.Pipe()
    channel = Channel(theirs)
    if died == "before it answered":
        channel.say("unread")  # makes the system answer with a reset, not with an end
    ours.close()
    assert channel.hopeless(JOB, 50, 1.0) is False


def test_an_answer_that_comes_late_is_not_taken_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = multiprocessing.Pipe()
    channel = Channel(theirs)
    monkeypatch.setattr("sweeps.channel.PATIENCE", 0.01)
    assert channel.hopeless(JOB, 25, 1.0) is False  # nobody answers in time
    ours.send(Answer(JOB.number, 25, prune=True))
    ours.send(Answer(JOB.number, 50, prune=False))
    assert channel.hopeless(JOB, 50, 1.0) is False
    ours.send(Answer(JOB.number, 75, prune=True))
    assert channel.hopeless(JOB, 75, 1.0) is True


def leaves(pipe: Connection, number: int, log: Path, started: float) -> None:
    """A worker that dies as soon as it has a job."""
    pipe.recv()


def is_killed(pipe: Connection, number: int, log: Path, started: float) -> None:
    """A worker that somebody kills as soon as it has a job."""
    pipe.recv()
    os.kill(os.getpid(), signal.SIGKILL)


def saves(pipe: Connection, number: int, log: Path, started: float) -> None:
    """A worker that saves when asked to stop, and then waits for its next job."""
    with Stop() as stop:
        pipe.recv()
        log.with_suffix(".began").touch()
        while not stop.requested:
            time.sleep(0.01)
        time.sleep(0.3)
        log.with_suffix(".saved").touch()
    Channel(pipe).send(Ended(0, (), 0.0, 0.0, 0.0, os.getpid()))
    with contextlib.suppress(EOFError, ConnectionResetError):
        pipe.recv()


def working(
    monkeypatch: pytest.MonkeyPatch, place: Path, worker: Callable[..., None], count: int
) -> LocalExecutor:
    """An executor with this many jobs, whose processes do as `worker` does."""
    monkeypatch.setattr(sweeps.local, "main", worker)
    executor = LocalExecutor(MACHINE, count, place)
    for number in range(count):
        executor.submit(Job(number, (), 1))
    return executor


def begun(place: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(place.glob("*.began"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_answer_to_a_worker_that_is_gone_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = working(monkeypatch, tmp_path, leaves, 1)
    (worker,) = executor._pool
    worker.process.join()
    executor.answer(Answer(0, 50, prune=True))
    assert executor.events(1.0) == [Died(0, "the worker ended with code 0")]
    executor.close()


@pytest.mark.parametrize(
    ("ended", "memory"), [((3, 4), True), ((3, 3), False), ((None, None), False)]
)
def test_a_worker_killed_for_memory_is_told_from_one_killed_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: tuple[Any, Any], memory: bool
) -> None:
    counts = iter(ended)  # of the system, before the job and after the worker's death
    monkeypatch.setattr("sweeps.local.processes_ended", lambda: next(counts))
    executor = working(monkeypatch, tmp_path, is_killed, 1)
    (died,) = executor.events(60.0)
    assert isinstance(died, Died)
    assert (died.memory, "memory" in died.why, "SIGKILL" in died.why) == (
        memory,
        memory,
        not memory,
    )
    executor.close()


def test_a_card_whose_worker_died_is_given_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps.local, "main", leaves)
    executor = LocalExecutor(replace(MACHINE, gpus=1), 1, tmp_path)
    executor.warm(1)
    executor._pool[0].process.kill()  # idle, and nobody hears of its end
    executor._pool[0].process.join()
    executor.submit(Job(0, (), 1))
    assert executor._pool[-1].number == 0
    executor.close()


def test_closing_waits_for_busy_workers_to_save_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = working(monkeypatch, tmp_path, saves, 2)
    begun(tmp_path, 2)
    began = time.monotonic()
    executor.close()
    assert time.monotonic() - began < sweeps.local.GRACE / 4
    assert len(list(tmp_path.glob("*.saved"))) == 2


def test_closing_asks_no_worker_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second signal would end one that is saving: the driver halts, then fails itself."""
    executor = working(monkeypatch, tmp_path, saves, 1)
    begun(tmp_path, 1)
    executor.stop()
    time.sleep(0.1)
    executor.close()
    assert len(list(tmp_path.glob("*.saved"))) == 1


# ---------------------------------------------------------------- full disks


def test_a_full_disk_is_known_whoever_says_so() -> None:
    from sweeps.training import kind_of

    for number in (errno.ENOSPC, errno.EDQUOT):
        assert kind_of(OSError(number, "")) == "full"
        assert kind_of(NamelessError(RUST.format(os.strerror(number), number))) == "full"
        outer = RuntimeError("could not save")
        outer.__cause__ = OSError(number, os.strerror(number))
        assert kind_of(outer) == "full"
    with pytest.raises(UserError) as refused, answering_for(Path("cache")):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    assert kind_of(refused.value) == "full"
    assert kind_of(OSError(errno.EACCES, os.strerror(errno.EACCES))) == "other"
    assert kind_of(UserError("there is no room for six heads in a width of 8")) == "other"


@pytest.mark.parametrize(
    "last",
    [
        "SafetensorError: " + RUST.format(os.strerror(errno.ENOSPC), errno.ENOSPC),
        "scaling.errors.UserError: there is no room for the prepared data in /cache; make some",
    ],
    ids=["run", "data"],
)
def test_what_a_full_disk_ended_is_half_done(last: str, sweep_of: SweepOf) -> None:
    (run,) = wanted_runs(sweep_of())
    folder = finished_run(run, "FAILED")
    assert scan(run) == "failed"
    (folder.path / "traceback.txt").write_text(f"Traceback:\n{last}\n")
    assert scan(run) == "half"


def test_a_line_torn_by_a_full_disk_is_mended_when_the_record_is_opened_again(
    sweep_of: SweepOf, workplace: Path
) -> None:
    from sweeps.record import SweepRecord

    sweep = sweep_of()
    config = wanted_runs(sweep)[0].config
    first = SweepRecord(sweep, config, lambda _: None)
    first.open()
    first.log(0, {"a": 1.0})
    first.close("FAILED")
    with first.folder.log.open("a") as stream:
        stream.write('{"step": 1, "ti')
    again = SweepRecord(sweep, config, lambda _: None)
    again.open()
    again.log(2, {"a": 3.0})
    again.close("FINISHED")
    assert [row.step for row in again.folder.rows()] == [0, 2]


# ---------------------------------------------------------------- the store


def test_a_run_that_failed_is_recorded_without_a_store_too(
    sweep_of: SweepOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps import training
    from sweeps.ledger import read_known

    def unreachable(*_: Any) -> None:
        raise ConnectionError("nobody answers")

    (run,) = wanted_runs(sweep_of())
    member = Member(run.config, run.key, {})
    with monkeypatch.context() as patch:
        patch.setattr(training, "sync", unreachable)
        folder = training.failed_run(member, "RuntimeError: boom\n")
    known = read_known(folder)
    assert (known.state, known.error, known.sent) == ("failed", "RuntimeError: boom", False)
    training.failed_run(member, "RuntimeError: boom\n", folder)
    assert read_known(folder).sent


# ---------------------------------------------------------------- torn files and lost hosts


def scan(*runs: Wanted) -> Any:
    """The states of these runs in the runs folder; of one run, its own."""
    from scaling.tracking.address import tracking_uri
    from sweeps.ledger import Ledger

    found = Ledger(Path("runs"), tracking_uri(), "tinyscale").scan(run.key for run in runs)
    states = [found[run.key].state if run.key in found else None for run in runs]
    return states[0] if len(states) == 1 else states


@pytest.mark.parametrize("name", ["run.json", "summary.json", "checkpoints/index.json"])
@pytest.mark.parametrize("left", ["", "\0" * 8], ids=["empty", "zeros"])
def test_a_run_with_a_torn_file_never_began_and_hides_no_other(
    name: str, left: str, sweep_of: SweepOf
) -> None:
    torn, whole = wanted_runs(sweep_of(seeds=[1, 2]))
    folder = finished_run(torn, "KILLED")
    finished_run(whole)
    assert scan(torn, whole) == ["half", "done"]
    (folder.path / name).parent.mkdir(exist_ok=True)
    (folder.path / name).write_text(left)
    assert scan(torn, whole) == [None, "done"]


def test_a_sweep_with_a_torn_record_gets_a_new_one(sweep_of: SweepOf, workplace: Path) -> None:
    from sweeps.record import SweepRecord

    sweep = sweep_of()
    config = wanted_runs(sweep)[0].config
    runs = []
    for left in ("", "\0" * 8, None):
        record = SweepRecord(sweep, config, lambda _: None)
        assert not record.finished([])
        record.open()
        record.close("FAILED")
        runs.append(record.run_id)
        if left is not None:
            (record.path / "run.json").write_text(left)
    assert len(set(runs)) == 3


@pytest.mark.parametrize("left", ["", "\0" * 8], ids=["empty", "zeros"])
def test_a_run_with_an_empty_config_is_made_anew(left: str, sweep_of: SweepOf) -> None:
    from sweeps.ledger import can_go_on, read_known

    (run,) = wanted_runs(sweep_of())
    folder = finished_run(run, "KILLED")
    assert can_go_on(read_known(folder))
    (folder.path / "config.yaml").write_text(left)
    assert not can_go_on(read_known(folder))
    assert not folder.path.exists()


@pytest.mark.parametrize("left", ["", '{"shape'], ids=["empty", "half"])
def test_torn_times_are_measured_again(left: str, tmp_path: Path, tiny: Tiny) -> None:
    from sweeps.calibration import STARTING, Calibration

    (tmp_path / "calibration.json").write_text(left)
    known = Calibration(tmp_path, "here")
    assert known.starting == STARTING
    known.note_starting(2.5)
    assert Calibration(tmp_path, "here").starting == 2.5


def test_a_cache_that_is_anothers_ends_no_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps import calibration

    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(calibration, "write_whole", refused)
    known = calibration.Calibration(tmp_path, "here")
    known.note_starting(2.5)
    assert known.starting == 2.5


def test_a_ledger_sees_what_has_changed_since_its_last_look(sweep_of: SweepOf) -> None:
    one, two = wanted_runs(sweep_of(grid={"optimizer.lr": [0.01, 0.02]}))
    ledger = Ledger(Path("runs"), tracking_uri(), "tinyscale")
    keys = [one.key, two.key]
    assert ledger.scan(keys) == {}
    folder = finished_run(one, "KILLED")
    assert {key: known.state for key, known in ledger.scan(keys).items()} == {one.key: "half"}
    folder.update(status="FAILED")
    finished_run(two)
    states = [ledger.scan(keys)[key].state for key in keys]
    assert states == ["failed", "done"]
    shutil.rmtree(folder.path)
    assert list(ledger.scan(keys)) == [two.key]


def test_a_run_of_another_host_trains_while_its_folder_changes(sweep_of: SweepOf) -> None:
    from scaling.tracking.folder import SILENT

    (run,) = wanted_runs(sweep_of())
    folder = finished_run(run, "RUNNING")
    folder.append(1, {"a": 1.0})
    folder.update(host="a container of yesterday")
    assert scan(run) == "training"
    long_ago = time.time() - SILENT - 1
    os.utime(folder.path / "run.json", (long_ago, long_ago))
    assert scan(run) == "training"
    os.utime(folder.log, (long_ago, long_ago))
    assert scan(run) == "half"
    folder.update(tags={})
    assert scan(run) == "training"


# ---------------------------------------------------------------- launchers


def test_a_sweep_launched_in_another_experiment_has_its_parent_among_its_runs(
    sweep_of: SweepOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mlflow run` makes its run in `Default`, unless it is told of another."""
    sweep = sweep_of(grid={"optimizer.lr": [0.01, 0.02]})
    for run in wanted_runs(sweep):
        finished_run(run)
    store = client(tracking_uri())
    launched = store.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", launched)
    conduct(sweep, Request(), Board())
    tags = store.get_run(launched).data.tags
    parent = store.get_run(tags["tinyscale.sweep_run"])
    assert "tinyscale.kind" not in tags
    assert store.get_experiment(parent.info.experiment_id).name == "tinyscale"
    assert len(read_runs(Selection(sweep=sweep.spec.name)).runs) == 2


def test_a_launchers_run_is_the_adaptations_and_not_their_baselines(
    tiny: Tiny, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scaling.data.prepare import prepare
    from sweeps.adapting import conduct as adapting
    from sweeps.adapting.reading import read_adapt_sweep
    from sweeps.result import Result
    from tests.scaling.trained_run import make_run

    Path("tasks.jsonl").write_text(json.dumps({"passage": "a b", "continuation": "c d"}))
    spec: dict[str, Any] = {
        "kind": "adaptation",
        "baselines": {"base": "tiny", "grid": {"model.d_model": [16]}},
        "tasks": {"file": "tasks.jsonl"},
        "edits": ["verbatim"],
        "inner_steps": [1],
        "rank": [1],
    }
    Path("a.yaml").write_text(yaml.safe_dump(spec))
    sweep = read_adapt_sweep("a.yaml")
    assert sweep.baselines is not None
    for run in wanted_runs(sweep.baselines):
        make_run(Path("runs"), run.config, prepare(run.config.data).tokenizer)
    store = client(tracking_uri())
    launched = store.create_run(store.create_experiment("tinyscale")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", launched)

    def drive(*given: Any) -> Result:
        record = given[5]
        record.open()
        record.close("FINISHED")
        return Result({}, [], 0)

    monkeypatch.setattr(adapting, "_drive", drive)
    adapting.conduct_adaptations(sweep, adapting.Request(), Board())
    tags = store.get_run(launched).data.tags
    assert (tags["tinyscale.kind"], tags["tinyscale.sweep"]) == ("sweep", "a")


@pytest.mark.parametrize("left", ["FAILED", "KILLED"])
def test_a_run_that_was_made_whole_in_another_folder_is_done(sweep_of: SweepOf, left: str) -> None:
    (run,) = wanted_runs(sweep_of())
    for status in (left, "FINISHED", left):
        finished_run(run, status)
    assert scan(run) == "done"
