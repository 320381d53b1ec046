"""What is there already of the runs that a sweep wants: in run folders, then in the store."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from scaling.disk import says_full
from scaling.tracking.folder import RunFolder, RunRecord
from scaling.tracking.members import Key
from scaling.tracking.sent import Sent
from sweeps.wanted import Run

State = Literal["done", "pruned", "training", "half", "failed"]
Prospect = Literal["settled", "open", "elsewhere"]
# Where a key has several runs, the first of these states is the key's.
ORDER: tuple[State, ...] = ("done", "training", "half", "pruned", "failed")


@dataclass(frozen=True)
class Known:
    """One run that is there."""

    key: Key
    state: State
    folder: RunFolder | None  # None: only the store has it
    run_id: str | None  # MLflow's
    summary: dict[str, Any]
    step: int | None = None  # where a half-done run would go on; None: at the start
    error: str | None = None
    sent: bool = True  # whether the store has all of it
    study: str | None = None  # the search that it was made for last

    @property
    def standing(self) -> tuple[State, Path | None, int | None]:
        """Where it stands: another one where a driver has had it in the meantime."""
        return self.state, self.folder.path if self.folder else None, self.step


class Ledger:
    """The runs of a runs folder and of one experiment, by key."""

    def __init__(self, runs: Path, uri: str, experiment: str) -> None:
        self.runs, self.uri, self.experiment = runs, uri, experiment
        self._stored: dict[Key, Known] = {}
        self._records: dict[Path, tuple[tuple[int, int], RunRecord]] = {}  # by their files' stamps

    def scan(self, keys: Iterable[Key]) -> dict[Key, Known]:
        """The best that there is of each key."""
        wanted, found = set(keys), dict[Key, Known]()
        for folder, record in self._recorded():
            key = (record.identity, record.seed)
            if key in wanted and (record.experiment, record.uri) == (self.experiment, self.uri):
                try:
                    known = read_known(folder, record)
                except ValueError:  # a file that a power cut has torn: as if it had never begun
                    continue
                if key not in found or _rank(known) < _rank(found[key]):
                    found[key] = known
        for key, known in self._stored.items():
            if key in wanted and (key not in found or found[key].state != "done"):
                found[key] = known
        return found

    def _recorded(self) -> list[tuple[RunFolder, RunRecord]]:
        """The run folders, the oldest first; of thousands few have changed since the last look."""
        found = []
        for path in self.runs.iterdir() if self.runs.is_dir() else ():
            try:
                file = (path / "run.json").stat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            stamp = file.st_mtime_ns, file.st_ino  # a record is replaced whole, by another file
            known = self._records.get(path)
            if known is None or known[0] != stamp:
                record = RunFolder(path).find_record()
                if record is None:
                    continue
                self._records[path] = known = stamp, record
            found.append((RunFolder(path), known[1]))
        return sorted(found, key=lambda run: run[1].started)

    def ask_store(self) -> None:
        """Look up the finished runs in the store, some of which have no folder here."""
        from scaling.tracking.store import client

        store = client(self.uri)
        experiment = store.get_experiment_by_name(self.experiment)
        if experiment is None:
            return
        token = None
        while True:
            page = store.search_runs(
                [experiment.experiment_id],
                filter_string="attributes.status = 'FINISHED'",
                max_results=1000,
                page_token=token,
            )
            for run in page:
                tags = run.data.tags
                if identity := tags.get("tinyscale.identity"):
                    key = (identity, int(tags["tinyscale.seed"]))
                    self._stored[key] = _from_store(key, run)
            token = page.token
            if not token:
                return


def prospect(known: Known | None, *, judged: bool, retry: bool) -> Prospect:
    """What is to be done for a wanted run, by what is there of it: nothing (`settled`), work
    (`open`), or to wait for another process (`elsewhere`).

    `judged`: its search gives up runs for good; a grid makes a pruned run whole. `retry`: a failed
    run is to be tried again.
    """
    match known.state if known is not None else "half":
        case "done":
            return "settled"
        case "training":
            return "elsewhere"
        case "pruned":
            return "settled" if judged else "open"
        case "failed":
            return "open" if retry else "settled"
        case _:
            return "open"


def all_done(runs: Sequence[Run], known: Mapping[Key, Known]) -> bool:
    """Whether every run is there and whole, or was given up by its search."""
    judged = any(run.trial is not None for run in runs)
    there = (known.get(run.key) for run in runs)
    return all(prospect(one, judged=judged, retry=True) == "settled" for one in there)


def read_known(folder: RunFolder, record: RunRecord | None = None) -> Known:
    """What a run folder holds."""
    record = record or folder.read_record()
    sent = Sent.read(folder)
    known = Known(
        (record.identity, record.seed),
        "half",
        folder,
        sent.run_id,
        read_summary(folder),
        sent=sent.is_whole(record),
        study=record.tags.get("optuna.study"),
    )
    if record.status == "FINISHED":
        return replace(known, state="done")
    if record.tags.get("tinyscale.pruned") == "true" and record.status == "KILLED":
        return replace(known, state="pruned", step=last_step(folder))
    if record.status == "RUNNING" and folder.is_training():
        return replace(known, state="training")
    if record.status == "FAILED" and not says_full(error := last_line(folder)):
        return replace(known, state="failed", error=error, step=last_step(folder))
    return replace(known, step=last_step(folder))


def can_go_on(known: Known) -> bool:
    """Whether a run's folder has what going on in it needs; clears away one that has nothing."""
    if known.folder is None or known.state not in ("half", "failed", "pruned"):
        return True
    config = known.folder.path / "config.yaml"
    if not config.exists() or not config.read_bytes().strip(b"\0"):
        # Its driver died while making it, or a power cut left nothing in the file but its length.
        if known.step is None:  # what has a checkpoint is not ours to throw away
            shutil.rmtree(known.folder.path)
        return False
    # One that failed before its model was made has a traceback, and no figures to go on with.
    return "parameters.total" in known.folder.read_record().params


def read_summary(folder: RunFolder) -> dict[str, Any]:
    """The summary of an ended run; empty where there is none."""
    path = folder.path / "summary.json"
    summary: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return summary


def last_step(folder: RunFolder) -> int | None:
    """The step of the last checkpoint."""
    index = folder.path / "checkpoints" / "index.json"
    step: int | None = json.loads(index.read_text())["last"] if index.exists() else None
    return step


def last_line(folder: RunFolder) -> str:
    """The last line of a failed run's traceback: what was wrong."""
    path = folder.path / "traceback.txt"
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1][:300] if lines else "no traceback"


def _rank(known: Known) -> int:
    return ORDER.index(known.state)


def _from_store(key: Key, run: Any) -> Known:
    """A finished run that the store has; its summary from final metrics and parameters."""
    summary: dict[str, Any] = {
        name.replace("/", "_"): value
        for name, value in run.data.metrics.items()
        if name.startswith(("final/", "best/"))
    }
    params, tags = run.data.params, run.data.tags
    for name, value in params.items():
        if name.startswith("parameters."):
            summary[name.replace(".", "_")] = int(value)
    for unit in ("tokens", "flops", "steps"):
        if f"resolved.{unit}" in params:
            summary[unit] = float(params[f"resolved.{unit}"])
    summary["diverged"] = tags.get("tinyscale.diverged") == "true"
    return Known(key, "done", None, run.info.run_id, summary)
