"""One job of adaptations in a worker: its runs' folders, the work, their records; never raises."""

import json
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scaling.adapt.config import TEXTS, AdaptConfig, StoriesTasks
from scaling.adapt.job import Adapted, adapt, baseline_of, members_of
from scaling.runtime import release_memory, versions
from scaling.signals import Stop
from scaling.tracking.folder import RunFolder, write_whole
from scaling.tracking.sent import Sent
from scaling.tracking.tracker import Tracker, Tracking, new_run
from sweeps.channel import Channel
from sweeps.job import Ended, Job, Member, Outcome
from sweeps.training import failed_run, kind_of

ROW = "adapt.jsonl"
EDITS = "edits.jsonl"


class _StoppedError(Exception):
    """Being asked to stop ends the work between two steps."""


@dataclass
class _Work:
    """A job under way."""

    job: Job
    channel: Channel
    folders: list[RunFolder]
    adapting: float = 0.0  # seconds

    def run(self, stop: Stop) -> list[Outcome]:
        """Make all of the job's adaptations."""
        configs = [_config(member) for member in self.job.members]
        with Tracking(self.folders, self.channel.say) as tracking:

            def moved(step: int, total: int, loss: float) -> None:
                if stop.requested:
                    raise _StoppedError
                self.channel.moved(self.job, step, total, loss)

            try:
                made = self._adapt(configs, moved)
            except _StoppedError:
                for tracker in tracking.trackers:
                    tracker.finish("KILLED", figures=False)
                return [
                    Outcome(m.key, "stopped", f.path.resolve())
                    for m, f in zip(self.job.members, self.folders, strict=True)
                ]
            for tracker, one in zip(tracking.trackers, made, strict=True):
                _record(tracker, one)
        return [
            Outcome(m.key, "finished", f.path.resolve())
            for m, f in zip(self.job.members, self.folders, strict=True)
        ]

    def _adapt(self, configs: Sequence[AdaptConfig], moved: Any) -> list[Adapted]:
        """With half the members a program each time that memory does not suffice."""
        started = time.perf_counter()
        most = members_of(configs[0])
        while True:
            try:
                made = adapt(configs, say=self.channel.say, moved=moved, members=most)
            except Exception as error:
                if kind_of(error) != "memory" or most == 1:
                    raise
                most //= 2
            else:
                self.adapting = time.perf_counter() - started
                return made
            self.channel.say(f"{self.job.name}: out of memory; {most} members a program")
            release_memory()


def run_job(job: Job, channel: Channel) -> Ended:
    """Make a job's adaptations; how each ended."""
    began, started = time.time(), time.perf_counter()
    work = _Work(job, channel, [])
    try:
        with Stop() as stop:
            work.folders = [_begin(member) for member in job.members]
            channel.begun(job, [folder.path for folder in work.folders])
            outcomes = work.run(stop)
    except Exception as error:
        outcomes = _failed(job, work.folders, error)
    seconds = time.perf_counter() - started
    return Ended(job.number, tuple(outcomes), began, seconds, work.adapting, os.getpid())


def _begin(member: Member) -> RunFolder:
    """A new run's folder, or that of one which a stop or a death has left half done."""
    if member.folder is not None:
        folder = RunFolder(member.folder)
        folder.reopen(member.tags)
        return folder
    config = _config(member)
    trained = baseline_of(config)
    facts: dict[str, Any] = {
        "parameters.total": trained.facts.parameters,
        "parameters.non_embedding": trained.facts.non_embedding,
        "baseline_tokens": trained.facts.tokens,
        "baseline_loss": trained.facts.loss,
        "baseline_tokenizer": trained.tokenizer_digest,
        "edit.label": config.edit.label,
    }
    if isinstance(config.tasks, StoriesTasks):
        facts["tasks.texts"] = TEXTS  # passages of another version are other passages
    lineage = {
        "tinyscale.kind": "adaptation",
        "tinyscale.baseline": config.baseline.label,
        "tinyscale.baseline_run": trained.run_id or "",
    }
    environment = {f"tinyscale.version.{name}": text for name, text in versions().items()}
    return new_run(
        config,
        run_id=RunFolder.new_id(),
        cohort=[],
        facts=facts,
        tags={**environment, **lineage, **member.tags},
        dataset={},
        claimed=None,
    )


def _record(tracker: Tracker, made: Adapted) -> None:
    """The figures of every step it has been through, its row, and what it learned from."""
    folder = tracker.folder.path
    for step, figures in sorted(made.curve.items()):
        tracker.log(step, {f"adapt/{name}": value for name, value in figures.items()})
    row = made.row | {"run": folder.name, "mlflow_run_id": Sent.read(tracker.folder).run_id}
    final = {
        f"final/{name}": float(value)
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    tracker.log(made.row["inner_steps"], final)
    write_whole(folder / ROW, json.dumps(row) + "\n")
    write_whole(folder / EDITS, "".join(json.dumps(one) + "\n" for one in made.edits))
    summary = {name.replace("/", "_"): value for name, value in final.items()}
    if row["diverged"]:
        tracker.tag(diverged="true")
    tracker.finish("FINISHED", summary | {"diverged": row["diverged"]}, figures=False)


def _failed(job: Job, folders: Sequence[RunFolder], error: Exception) -> list[Outcome]:
    text = "".join(traceback.format_exception(error))
    last = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    full = kind_of(error) == "full"
    outcomes = []
    for i, member in enumerate(job.members):
        folder = folders[i] if i < len(folders) else None
        try:
            if folder is None:
                folder = failed_run(replace(member, tags=member.tags | _KIND), text)
            elif full and folder.read_record().status != "FINISHED":  # made anew, given room
                folder.update(status="KILLED")
        except OSError as problem:  # no room even for that: the driver tells of it
            last = f"{last}; {problem}"
        path: Path | None = folder.path.resolve() if folder else None
        outcomes.append(Outcome(member.key, "full" if full else "failed", path, last))
    return outcomes


_KIND = {"tinyscale.kind": "adaptation"}  # also of one that failed before it had a folder


def _config(member: Member) -> AdaptConfig:
    assert isinstance(member.config, AdaptConfig)
    return member.config
