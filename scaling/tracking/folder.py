"""The run folder: everything about one run, on disk before anywhere else."""

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import psutil

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

TRACEBACK = "traceback.txt"  # of the failure that a run has ended with
BOOT = Path("/proc/sys/kernel/random/boot_id")  # Linux's name for the time since it began
SILENT = 900.0  # seconds that a run may train without a word in its folder

# Tags that tell how a run has ended, or with which runs a sweep: gone when it goes on.
OF_ENDINGS = ("tinyscale.pruned", "tinyscale.pruned_step", "tinyscale.runs")


@dataclass(frozen=True)
class RunRecord:
    """What the store is told of a run besides metrics and files; the file `run.json`.

    Only the process that trains the run writes it; what the sender notes is in `sent.json`.
    """

    id: str
    name: str
    seed: int
    identity: str
    experiment: str
    uri: str
    started: int  # milliseconds since 1970
    params: dict[str, str]
    tags: dict[str, str]
    dataset: dict[str, str]
    cohort: list[str]  # ids of the runs trained as one program with it, its own too
    claimed: str | None = None  # the MLflow run that a launcher made for this one
    status: Status = "RUNNING"
    ended: int | None = None
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    process_started: str = field(default_factory=lambda: process_start(os.getpid()))

    def process_is_alive(self) -> bool | None:
        """Whether the process that trains it still runs; None where another host would know."""
        if self.host != socket.gethostname():
            return None
        return process_is_alive(self.pid, self.process_started)


@dataclass(frozen=True)
class Row:
    """One step's metrics, as the log has them."""

    step: int
    time: int  # milliseconds since 1970
    metrics: dict[str, float]


def process_start(pid: int) -> str:
    """When a process of this machine began: so long after which boot.

    By the clock it would be another time as soon as the clock is set.
    """
    boot = BOOT.read_text().strip() if BOOT.exists() else ""
    while True:
        booted = psutil.boot_time()
        seconds = psutil.Process(pid).create_time() - booted
        if psutil.boot_time() == booted:  # else the clock has been set between the two
            return f"{seconds:.2f} s after boot {boot}".strip()


def process_is_alive(pid: int, started: str) -> bool:
    """Whether a process of this machine still runs, and is not another that has its number.

    `started` is what `process_start` has said of it.
    """
    try:
        same = process_start(pid) == started
        return same and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # one has ended
    except psutil.NoSuchProcess:
        return False


class RunFolder:
    """A run's files. Small files are replaced whole; the metrics log is only appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, parent: Path, record: RunRecord) -> "RunFolder":
        """A new folder `<name>-<id>` with its record in it."""
        folder = cls(parent / f"{record.name}-{record.id}")
        folder.path.mkdir(parents=True)
        folder.write_record(record)
        return folder

    @staticmethod
    def new_id() -> str:
        """Eight hex digits that no other run has."""
        return secrets.token_hex(4)

    # ------------------------------------------------------------ the record

    def read_record(self) -> RunRecord:
        """The record as last written."""
        return RunRecord(**json.loads((self.path / "run.json").read_text()))

    def find_record(self) -> RunRecord | None:
        """The record, if this is a run folder and no power cut has torn it."""
        try:
            return self.read_record()
        except (FileNotFoundError, NotADirectoryError, ValueError):  # no run is known here
            return None

    def write_record(self, record: RunRecord) -> None:
        """Replace the record."""
        write_whole(self.path / "run.json", json.dumps(asdict(record), indent=1))

    def update(self, **changes: Any) -> RunRecord:
        """Change fields of the record; returns the new one."""
        record = replace(self.read_record(), **changes)
        self.write_record(record)
        return record

    def reopen(self, tags: Mapping[str, str] | None = None) -> RunRecord:
        """The run goes on, in this process, however it ended before; with further tags."""
        (self.path / TRACEBACK).unlink(missing_ok=True)
        kept = {k: v for k, v in self.read_record().tags.items() if k not in OF_ENDINGS}
        return self.update(
            status="RUNNING",
            ended=None,
            host=socket.gethostname(),
            pid=os.getpid(),
            process_started=process_start(os.getpid()),
            tags=kept | dict(tags or {}),
        )

    def is_training(self) -> bool:
        """Whether a process trains it; of another host, which alone would know, whether it has
        written of late."""
        record = self.read_record()
        if record.status != "RUNNING":
            return False
        alive = record.process_is_alive()
        if alive is not None:
            return alive
        files = [path for path in (self.path / "run.json", self.log) if path.exists()]
        return time.time() - max(path.stat().st_mtime for path in files) < SILENT

    # ------------------------------------------------------------ metrics

    @property
    def log(self) -> Path:
        """The metrics log, one JSON object a line."""
        return self.path / "metrics.jsonl"

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add one step's metrics to the log, and out of this process's buffers."""
        row = {"step": step, "time": int(time.time() * 1000), "metrics": dict(metrics)}
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, allow_nan=False) + "\n")

    def settle_log(self) -> None:
        """Have the disk hold all of the log, before anything else says that it is there."""
        if self.log.exists():
            with self.log.open("rb") as stream:
                os.fsync(stream.fileno())

    def mend_log(self) -> None:
        """Cut off a last line that a killed process left unfinished."""
        if self.log.exists():
            data = self.log.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                os.truncate(self.log, whole)

    def rows(self) -> list[Row]:
        """All logged steps, in the order of logging."""
        return [row for row, _ in self.rows_from(0)]

    def diverged_at(self) -> int | None:
        """The step of the log at which the run diverged, if it did."""
        return next((row.step for row in self.rows() if "diverged" in row.metrics), None)

    def rows_from(self, offset: int) -> Iterator[tuple[Row, int]]:
        """Whole lines from a byte offset on, each with the offset behind it."""
        if not self.log.exists():
            return
        with self.log.open("rb") as stream:
            stream.seek(offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return  # still being written
                offset += len(line)
                yield Row(**json.loads(line)), offset


def write_whole(path: Path, text: str) -> None:
    """Write beside and rename: there is the old file or the new one, after a power cut too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(2)}")
    with beside.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())  # else the new name can reach the disk before what it names
    beside.replace(path)


def is_run_folder(path: Path) -> bool:
    """Whether a path is a run folder."""
    return (path / "run.json").is_file()


def run_folders(parent: Path) -> list[RunFolder]:
    """The run folders in a folder, the oldest first."""
    return [folder for folder, _ in recorded_runs(parent)]


def recorded_runs(parent: Path) -> list[tuple[RunFolder, RunRecord]]:
    """The run folders in a folder with their records, the oldest first."""
    folders = map(RunFolder, parent.iterdir() if parent.is_dir() else ())
    found = [(folder, record) for folder in folders if (record := folder.find_record())]
    return sorted(found, key=lambda run: run[1].started)
