"""One job in a worker: train or go on, with less memory where it does not fit, and never raise."""

import contextlib
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.config import RunConfig
from scaling.disk import is_full
from scaling.memory import is_out_of_memory
from scaling.runtime import release_memory
from scaling.signals import stop_here
from scaling.tracking.folder import RunFolder, write_whole
from scaling.tracking.sent import mend
from scaling.tracking.store import client, sync
from scaling.tracking.tracker import Tracker, new_run
from scaling.training import RunResult, resume, train
from sweeps.channel import Channel
from sweeps.job import End, Ended, Job, Member, Outcome
from sweeps.ladder import Rung, lower, parts
from sweeps.ledger import last_step, read_known

if TYPE_CHECKING:
    from scaling.trainer import Trainer


def run_job(job: Job, channel: Channel) -> Ended:
    """Train a job's runs; how each ended."""
    began, started = time.time(), time.perf_counter()
    attempt = _Attempt(job, channel)
    outcomes = attempt.run(job.members, job.micro_size)
    seconds = time.perf_counter() - started
    return Ended(job.number, tuple(outcomes), began, seconds, attempt.training, os.getpid())


class _Attempt:
    """The ladder: as asked; out of memory with half the micro-batch; then half the cohort."""

    def __init__(self, job: Job, channel: Channel) -> None:
        self.job, self.channel = job, channel
        self.training = 0.0  # seconds in the trainer's loop
        self.pruned = False
        self._judged_at: int | None = None
        self._spent: float | None = None  # by the trainer of now, as last heard

    def run(self, members: Sequence[Member], micro_size: int | None) -> list[Outcome]:
        """Train these members as one program; on the ladder's lower steps, some of them."""
        folders = [member.folder for member in members]
        try:
            results = self._train(members, micro_size, folders)
        except Exception as error:
            problem, text = kind_of(error), traceback.format_exc()
            last = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        else:
            self._count()
            return [self._outcome(m, r) for m, r in zip(members, results, strict=True)]
        # Outside of `except`, so that nothing holds the dead program's memory.
        self._count()
        release_memory()
        members = [
            replace(m, folder=f, step=_step(f)) for m, f in zip(members, folders, strict=True)
        ]
        if problem == "memory" and (rung := lower(members, micro_size)) is not None:
            self.channel.say(f"{self.job.name}: out of memory; {rung.text}")
            return self._in_turn(members, rung)
        if problem == "other" and len(members) > 1:  # one's mistake is not the others' end
            self.channel.say(f"{self.job.name}: {last}; trying each alone")
            return self._in_turn(members, Rung(1, micro_size))
        return [self._failed(m, text, last, problem == "full") for m in members]

    def _in_turn(self, members: Sequence[Member], rung: Rung) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for part in [p for some in parts(members, rung.members) for p in _alike(some)]:
            if any(outcome.end == "stopped" for outcome in outcomes):  # the rest waits too
                outcomes += [Outcome(m.key, "stopped", m.folder) for m in part]
            else:
                outcomes += self.run(part, rung.micro_size)
        return outcomes

    def _train(
        self, members: Sequence[Member], micro_size: int | None, folders: list[Path | None]
    ) -> list[RunResult]:
        """Train new runs or go on with begun ones; `folders` tells which there are after all."""
        if members[0].folder is not None:
            run_folders = [RunFolder(member.folder) for member in members if member.folder]
            for folder, member in zip(run_folders, members, strict=True):
                folder.update(tags=folder.read_record().tags | member.tags)
            self.channel.begun(self.job, [folder.path for folder in run_folders])
            return resume(
                run_folders,
                say=self.channel.say,
                progress=self._progress,
                micro_size=micro_size,
                from_start=members[0].step is None,
            )

        def begun(made: list[RunFolder]) -> None:
            folders[:] = [folder.path.resolve() for folder in made]
            self.channel.begun(self.job, [folder.path for folder in made])

        configs = [_config(member) for member in members]
        if micro_size is not None:
            batch = configs[0].batch.model_copy(update={"micro_size": micro_size})
            configs = [config.model_copy(update={"batch": batch}) for config in configs]
        return train(
            configs,
            say=self.channel.say,
            progress=self._progress,
            tags=[member.tags for member in members],
            begun=begun,
        )

    def _progress(self, trainer: "Trainer") -> None:
        self._spent = trainer.clock.session
        self.channel.progress(self.job, trainer)
        judged = trainer.progress.evaluated_at
        by = None if trainer.branch_off is None else self.job.judged  # a branch is another run
        if by is not None and judged == trainer.step and judged != self._judged_at:
            self._judged_at = judged
            last = trainer.progress.last[0]
            sound = trainer.progress.diverged[0] is None  # else `last` is of an earlier step
            if 0 < trainer.step < trainer.total and last is not None and sound:
                percent = round(100 * trainer.step / trainer.total)
                if self.channel.hopeless(self.job, percent, getattr(last, by)):
                    self.pruned = True
                    trainer.trackers[0].tag(pruned="true", pruned_step=str(trainer.step))
                    stop_here()  # saves and ends, as any stop does

    def _count(self) -> None:
        self.training += self._spent or 0.0
        self._spent = None

    def _outcome(self, member: Member, result: RunResult) -> Outcome:
        path = result.folder.path.resolve()
        if result.status == "FINISHED":
            return Outcome(member.key, "finished", path)
        end: End = "pruned" if self.pruned else "stopped"
        return Outcome(member.key, end, path)

    def _failed(self, member: Member, text: str, last: str, full: bool) -> Outcome:
        """A failed run keeps its traceback, also one that failed outside of its tracking."""
        folder = RunFolder(member.folder) if member.folder else None
        try:
            if full and folder is not None:  # once there is room the run goes on
                folder.update(status="KILLED")
            elif folder is None or read_known(folder).state == "half":
                folder = failed_run(member, text, folder)
        except OSError as error:  # no room even for that: the driver tells of it
            last = f"{last}; {error}"
        path = folder.path.resolve() if folder else None
        return Outcome(member.key, "full" if full else "failed", path, last)


def failed_run(member: Member, text: str, folder: RunFolder | None = None) -> RunFolder:
    """The record of a run that failed outside of its tracking: a folder, in the store as well."""
    if folder is None:
        run_id = RunFolder.new_id()
        folder = new_run(
            member.config,
            run_id=run_id,
            cohort=[run_id],
            facts={},
            tags=member.tags,
            dataset={},
            claimed=None,
        )
    write_whole(folder.path / "traceback.txt", text)
    mend(folder)
    Tracker(folder).finish("FAILED")
    with contextlib.suppress(Exception):  # whatever the store does: it can be sent later
        sync(folder, client(folder.read_record().uri))
    return folder


def _config(member: Member) -> RunConfig:
    assert isinstance(member.config, RunConfig)
    return member.config


def kind_of(error: Exception) -> str:
    """`memory`, `full` (the disk) or `other`."""
    if is_out_of_memory(error):
        return "memory"
    return "full" if is_full(error) else "other"


def _alike(members: Sequence[Member]) -> list[list[Member]]:
    """Those that stand at one step together, the others apart."""
    groups: dict[tuple[bool, int | None], list[Member]] = {}
    for member in members:
        groups.setdefault((member.folder is None, member.step), []).append(member)
    return list(groups.values())


def _step(folder: Path | None) -> int | None:
    return None if folder is None else last_step(RunFolder(folder))
