"""Out of memory: the micro-batch halves, then the cohort splits, then the run fails."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import sweeps.training
from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.tracking.folder import RunFolder
from scaling.training import RunResult
from sweeps.job import Job, Member
from sweeps.ledger import read_known
from sweeps.reading import Sweep
from sweeps.wanted import Wanted, wanted_runs
from tests.sweeps.fakes import finished_run


class Channel:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def begun(self, job: Job, folders: list[Path]) -> None: ...


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every attempt's (members, micro-batch), where only one run of two sequences has room."""
    tried: list[tuple[int, int]] = []
    monkeypatch.setattr(sweeps.training, "sync", lambda *_: None)
    monkeypatch.setattr(sweeps.training, "client", lambda *_: None)

    def attempt(folders: list[RunFolder], micro: int) -> list[RunResult]:
        tried.append((len(folders), micro))
        if len(folders) * micro > 2:
            raise MemoryError("no room")
        return [RunResult(folder, "FINISHED", {}, None) for folder in folders]

    def train(configs: Sequence[RunConfig], *, begun: Any, **_: Any) -> list[RunResult]:
        folders = [finished_run(Wanted(config, None), "RUNNING") for config in configs]  # type: ignore[arg-type]
        begun(folders)
        return attempt(folders, configs[0].batch.size)

    def resume(
        folders: list[RunFolder], *, micro_size: int | None, from_start: bool, **_: Any
    ) -> list[RunResult]:
        assert from_start  # none of them has a checkpoint
        return attempt(folders, micro_size or 4)

    monkeypatch.setattr(sweeps.training, "train", train)
    monkeypatch.setattr(sweeps.training, "resume", resume)
    return tried


def job_of(sweep: Sweep) -> Job:
    members = [Member(run.config, run.key, {}) for run in wanted_runs(sweep)]
    return Job(0, tuple(members), 1)


def test_first_smaller_passes_then_fewer_members(
    sweep_of: Callable[..., Sweep], attempts: list[tuple[int, int]]
) -> None:
    job = job_of(sweep_of(seeds=[1, 2, 3, 4]))
    ended = sweeps.training.run_job(job, Channel())  # type: ignore[arg-type]
    assert [outcome.end for outcome in ended.outcomes] == ["finished"] * 4
    assert attempts == [(4, 4), (4, 2), (4, 1), (2, 1), (2, 1)]


def test_what_never_fits_fails_with_its_traceback(
    sweep_of: Callable[..., Sweep],
    attempts: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(configs: Sequence[RunConfig], **_: Any) -> list[RunResult]:
        raise MemoryError("no room at all")

    monkeypatch.setattr(sweeps.training, "train", train)
    ended = sweeps.training.run_job(job_of(sweep_of()), Channel())  # type: ignore[arg-type]
    (outcome,) = ended.outcomes
    assert (outcome.end, outcome.error) == ("failed", "MemoryError: no room at all")
    assert outcome.folder is not None
    assert "MemoryError" in (outcome.folder / "traceback.txt").read_text()


def test_a_later_session_begins_where_the_ladder_stood(
    sweep_of: Callable[..., Sweep], attempts: list[tuple[int, int]]
) -> None:
    (run,) = wanted_runs(sweep_of())
    folder = finished_run(run, "KILLED", {"tinyscale.micro_size": "2"})
    folder.update(params={"micro_size": "4"})
    member = Member(run.config, run.key, {}, folder.path)
    sweeps.training.run_job(Job(0, (member,), 1), Channel())  # type: ignore[arg-type]
    assert attempts == [(1, 4), (1, 1)]


def test_a_half_done_run_that_cannot_go_on_has_failed(
    sweep_of: Callable[..., Sweep],
    attempts: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resume(*_: Any, **__: Any) -> list[RunResult]:
        raise UserError("its prompt set is gone")  # before its record is opened again

    (run,) = wanted_runs(sweep_of())
    folder = finished_run(run, "KILLED")
    monkeypatch.setattr(sweeps.training, "resume", resume)
    member = Member(run.config, run.key, {}, folder.path)
    sweeps.training.run_job(Job(0, (member,), 1), Channel())  # type: ignore[arg-type]
    known = read_known(folder)
    assert known.state == "failed"
    assert known.error is not None and "prompt set is gone" in known.error


def test_what_has_a_checkpoint_goes_on_from_it(
    sweep_of: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = wanted_runs(sweep_of())
    folder, asked = finished_run(run, "KILLED"), []

    def resume(folders: list[RunFolder], *, from_start: bool, **_: Any) -> list[RunResult]:
        asked.append(from_start)
        return [RunResult(folders[0], "FINISHED", {}, None)]

    monkeypatch.setattr(sweeps.training, "resume", resume)
    for step in (None, 7):
        member = Member(run.config, run.key, {}, folder.path, step)
        sweeps.training.run_job(Job(0, (member,), 1), Channel())  # type: ignore[arg-type]
    assert asked == [True, False]
