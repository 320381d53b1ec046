"""An executor that trains nothing, and run folders as training leaves them."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from scaling.tracking.address import tracking_uri
from scaling.tracking.folder import RunFolder, RunRecord
from sweeps.driver import Driver
from sweeps.job import Answer, Died, Ended, Event, Job, Measurement, Member, Outcome
from sweeps.wanted import Run


def finished_run(
    run: Run | Member,
    status: Any = "FINISHED",
    tags: Mapping[str, str] | None = None,
    **summary: Any,
) -> RunFolder:
    """A run folder as training leaves it, with nothing trained."""
    config = run.config
    record = RunRecord(
        id=RunFolder.new_id(),
        name=config.name,
        seed=config.seed,
        identity=run.key[0],
        experiment=config.tracking.experiment,
        uri=tracking_uri(),
        started=int(time.time() * 1000),
        params={"parameters.total": "1"},
        tags={
            "tinyscale.identity": run.key[0],
            "tinyscale.seed": str(config.seed),
            **(tags or {}),
        },
        dataset={},
        cohort=[],
        status=status,
    )
    folder = RunFolder.create(Path("runs"), record)
    (folder.path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    if status == "FINISHED":
        summary = {"final_val_loss": 1.0, "diverged": False} | summary
        (folder.path / "summary.json").write_text(json.dumps(summary))
        folder.append(1, {"final/val_loss": summary["final_val_loss"]})
    if status == "FAILED":
        (folder.path / "traceback.txt").write_text("RuntimeError: boom\n")
    return folder


class FakeExecutor:
    """Ends every job at once, as `fate` says: a run's end, "died", or "short" of memory."""

    def __init__(self, fate: Callable[[Member], str] = lambda run: "finished") -> None:
        self.workers, self.fate = 2, fate
        self.jobs: list[Job] = []
        self._waiting: list[Job] = []
        self.stopped = False

    def warm(self, count: int) -> None: ...

    def has_room(self, threads: int) -> bool:
        return len(self._waiting) < self.workers

    def submit(self, job: Job | Measurement) -> None:
        assert isinstance(job, Job)
        self.jobs.append(job)
        self._waiting.append(job)

    def events(self, timeout: float) -> list[Event]:
        if not self._waiting:
            return []
        job = self._waiting.pop(0)
        fates = [self.fate(member) for member in job.members]
        if "died" in fates:
            return [Died(job.number, "the worker was ended by SIGKILL")]
        if "short" in fates:
            why = "the system ended the worker for want of memory"
            return [Died(job.number, why, memory=True)]
        outcomes = []
        for member, fate in zip(job.members, fates, strict=True):
            if self.stopped:
                outcomes.append(Outcome(member.key, "stopped", None))
                continue
            status = {"finished": "FINISHED", "failed": "FAILED", "full": "KILLED"}[fate]
            folder = finished_run(member, status)
            error = "RuntimeError: boom" if fate == "failed" else None
            end: Any = fate
            outcomes.append(Outcome(member.key, end, folder.path, error))
        return [Ended(job.number, tuple(outcomes), time.time(), 0.0, 0.0, 1)]

    def answer(self, answer: Answer) -> None: ...

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None: ...


def jobs_of(driver: Driver[Any]) -> list[Job]:
    """What a driver has submitted to a fake executor."""
    assert isinstance(driver.executor, FakeExecutor)
    return driver.executor.jobs


def trained(driver: Driver[Any]) -> int:
    """How many runs it has submitted."""
    return sum(len(job.members) for job in jobs_of(driver))
