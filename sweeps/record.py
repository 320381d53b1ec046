"""The sweep's own run: the parent of the others in the store, and a folder with what it knows."""

import contextlib
import hashlib
import json
import os
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from filelock import FileLock, Timeout

from scaling.config import TrackingConfig
from scaling.disk import is_full
from scaling.errors import UserError, first_line
from scaling.outputs import ready_folder
from scaling.tracking.address import tracking_uri, without_password
from scaling.tracking.folder import RunFolder, RunRecord, Status, write_whole
from scaling.tracking.members import SWEEPS, WANTED, Key, Members
from scaling.tracking.sender import Sender
from scaling.tracking.sent import Sent, mend
from scaling.tracking.store import client, experiment_id, stages, store_errors, sync

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Tracked(Protocol):
    """A config of one of the sweep's runs."""

    @property
    def tracking(self) -> TrackingConfig:
        """Where the record goes."""
        ...


class Spec(Protocol):
    """What the record asks of a sweep's file."""

    @property
    def name(self) -> str:
        """What the sweep is called."""
        ...

    @property
    def question(self) -> str | None:
        """What it is to answer."""
        ...


class Recordable(Protocol):
    """A sweep as read, of trainings or of adaptations."""

    @property
    def spec(self) -> Spec:
        """What it says."""
        ...

    def facts(self) -> dict[str, str]:
        """What the parent's page shows of it."""
        ...

    def text(self) -> str:
        """All that it says, as YAML: the artifact `spec.yaml`."""
        ...


S = TypeVar("S", bound=Recordable)


def sweep_folder(sweep: Recordable, config: Tracked) -> Path:
    """Where a sweep's record is."""
    return Path(config.tracking.folder) / SWEEPS / sweep.spec.name


def no_answer(uri: str, error: Exception) -> UserError:
    """What to tell of a store that fails."""
    line = first_line(error)
    return UserError(f"the store {without_password(uri)} does not answer: {line[:200]}")


class DriverLock:
    """Held by the one driver that answers for a sweep; the system lets go when it dies."""

    def __init__(self, folder: Path) -> None:
        ready_folder(folder)
        self._lock = FileLock(folder / "driver.lock")

    def acquire(self, patience: float = 0.5) -> bool:
        """Whether it was free, or is within so many seconds: `--status` has it for a moment."""
        try:
            self._lock.acquire(timeout=patience)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Let go."""
        self._lock.release()


class SweepRecord(Generic[S]):
    """The parent run: opened by the driver that answers for the sweep, closed with its end."""

    def __init__(self, sweep: S, config: Tracked, say: Callable[[str], None]) -> None:
        self.sweep, self.config = sweep, config
        self.path = sweep_folder(sweep, config)
        self.folder = RunFolder(self.path)
        self.uri = tracking_uri(config.tracking.uri)
        self.experiment = config.tracking.experiment
        self.run_id: str = ""
        # Made by MLflow's launcher for this process; no worker may take it for its own.
        self._claimed = os.environ.pop("MLFLOW_RUN_ID", None)
        self._sender = Sender(self.uri, say)

    def note_whole(self, keys: Iterable[Key]) -> None:
        """The sweep, as its file says it now, has all of its runs."""
        self.tag(runs=self._digest(keys))

    def _digest(self, keys: Iterable[Key]) -> str:
        """What the runs and what is asked of them are known by."""
        said = json.dumps([sorted(keys), self.sweep.text()])
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def finished(self, keys: Iterable[Key]) -> bool:
        """Whether this sweep, as its file says it now, has ended whole with just these runs, and
        the store knows."""
        record = self.folder.find_record()
        return (
            record is not None
            and record.status == "FINISHED"
            and record.tags.get("tinyscale.runs") == self._digest(keys)
            and self._is_here(record)
            and Sent.read(self.folder).status == "FINISHED"
        )

    def is_kept(self) -> bool:
        """Whether the store still has the parent; UserError where it does not answer."""
        return list(self.stages([Sent.read(self.folder).run_id]).values()) == ["active"]

    def stages(self, run_ids: Iterable[str | None]) -> dict[str, str]:
        """Which of these runs the store has, as `scaling.tracking.store.stages`; UserError where
        it does not answer."""
        try:
            return stages(self.uri, self.experiment, [run for run in run_ids if run])
        except Exception as error:  # a store can fail in any way
            raise no_answer(self.uri, error) from None

    def _is_here(self, record: RunRecord) -> bool:
        """Whether a record is of this store and experiment: another's is another run."""
        return (record.uri, record.experiment) == (self.uri, self.experiment)

    def want(self, members: Members) -> None:
        """Keep what the sweep wants; `open` and `close` send it."""
        members.write(self.path)

    def make_store(self) -> "MlflowClient":
        """Make the store and the experiment, where they are not there yet."""
        try:
            store = client(self.uri)
            experiment_id(store, self.experiment)
        except Exception as error:  # a store can fail in any way
            raise no_answer(self.uri, error) from None
        return store

    def open(self) -> None:
        """Make the parent before any worker needs it, and the store if need be."""
        store = self.make_store()
        launched_in = self._launched_in(store)
        own = launched_in == experiment_id(store, self.experiment)
        mend(self.folder)
        before = self.folder.find_record()
        again = before is not None and self._is_here(before)
        if again:
            self.folder.reopen()
            self.folder.update(tags=self._tags())
        else:
            for name in ("sent.json", "metrics.jsonl"):  # of another record
                (self.path / name).unlink(missing_ok=True)
            self.folder.write_record(self._new(self._claimed if own else None))
        write_whole(self.path / "spec.yaml", self.sweep.text())
        try:
            self._send(store)
            if self._claimed and launched_in and (again or not own):
                store.set_tag(self._claimed, "tinyscale.sweep_run", self.run_id)
        except store_errors() as error:
            if is_full(error):
                raise
            raise no_answer(self.uri, error) from None
        self._sender.start([self.folder])

    def _launched_in(self, store: "MlflowClient") -> str | None:
        """The experiment of the run that MLflow's launcher has made; None where there is none.

        Only in the sweep's own experiment can that run be the parent: a sweep's runs are looked
        for in the experiment of its parent.
        """
        from mlflow.exceptions import MlflowException

        if self._claimed is None:
            return None
        try:
            return store.get_run(self._claimed).info.experiment_id
        except MlflowException:  # it is in another store
            return None

    def _send(self, store: "MlflowClient") -> None:
        before = Sent.read(self.folder).run_id
        if before is not None and "deleted" in self.stages([before]).values():
            store.restore_run(before)
        sync(self.folder, store)
        self.run_id = Sent.read(self.folder).run_id or ""
        if (self.path / WANTED).exists():  # by which a sweep is read while it goes on
            store.log_artifact(self.run_id, str(self.path / WANTED))

    def adopt(self, folder: RunFolder) -> bool:
        """Make an ended run that an earlier record of this sweep had begun a child of this one;
        whether it was none."""
        tags = folder.read_record().tags
        own = tags.get("tinyscale.sweep") == self.sweep.spec.name
        if not own or tags.get("mlflow.parentRunId") == self.run_id:
            return False
        folder.update(tags=tags | {"mlflow.parentRunId": self.run_id})
        return True

    def join(self, keys: Iterable[Key]) -> None:
        """Help the driver that has it open; runs become children of the same parent.

        Raises UserError where that driver wants other runs than these.
        """
        name = self.sweep.spec.name
        self.run_id = Sent.read(self.folder).run_id or ""
        if not self.run_id or not (self.path / WANTED).exists():
            raise UserError(f"the driver of {name} has hardly begun; try again.")
        asked, wanted = set(keys), Members.read(self.path / WANTED).labels
        if strange := len(asked - wanted.keys()):
            raise UserError(
                f"the driver of {name} does not want {strange} of these {len(asked)} runs: help"
                " it with its own sweep file and flags, or give this sweep another name (--name)."
            )

    def close(self, status: Status) -> None:
        """End the parent, and send what is there."""
        self.folder.update(status=status, ended=int(time.time() * 1000))
        self._sender.close()

    def resend(self, name: str) -> None:
        """Have a store that took the record have a file of it anew."""
        sent = Sent.read(self.folder)
        if sent.run_id is not None and sent.is_whole(self.folder.read_record()):
            with contextlib.suppress(*store_errors()):  # the folder has it
                client(self.uri).log_artifact(sent.run_id, str(self.path / name))

    def fail(self, error: BaseException) -> None:
        """End the parent with a traceback, if it has begun."""
        if not self.run_id:
            return
        text = "".join(traceback.format_exception(error))
        write_whole(self.path / "traceback.txt", text)
        self.close("FAILED")

    def tag(self, **tags: str) -> None:
        """Set tags `tinyscale.<name>` of the parent."""
        own = {f"tinyscale.{key}": value for key, value in tags.items()}
        self.folder.update(tags=self.folder.read_record().tags | own)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Log metrics of the parent."""
        self.folder.append(step, metrics)

    def child_tags(self, labels: dict[str, str], trial: int | None) -> dict[str, str]:
        """What ties a run to the sweep, and to its trial."""
        tags = {
            "mlflow.parentRunId": self.run_id,
            "tinyscale.sweep": self.sweep.spec.name,
            "tinyscale.point": json.dumps(labels),
        }
        if trial is not None:
            tags |= {"optuna.study": self.sweep.spec.name, "optuna.trial": str(trial)}
        return tags

    def _tags(self) -> dict[str, str]:
        """What the parent's page shows of the sweep: not as parameters, which MLflow lets nobody
        change."""
        spec = self.sweep.spec
        tags = {
            **{f"tinyscale.{key}": value for key, value in self.sweep.facts().items()},
            "mlflow.runName": spec.name,
            "tinyscale.kind": "sweep",
            "tinyscale.sweep": spec.name,
            "tinyscale.folder": str(self.path.resolve()),
            "mlflow.user": os.environ.get("USER", "unknown"),
        }
        if spec.question:
            tags["mlflow.note.content"] = spec.question
        return tags

    def _new(self, claimed: str | None) -> RunRecord:
        return RunRecord(
            id=RunFolder.new_id(),
            name=self.sweep.spec.name,
            seed=0,
            identity="",
            experiment=self.experiment,
            uri=self.uri,
            started=int(time.time() * 1000),
            params={},
            tags=self._tags(),
            dataset={},
            cohort=[],
            claimed=claimed,
        )
