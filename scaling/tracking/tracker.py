"""What the trainer tells of a run, and how that becomes its record."""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import yaml

from scaling.config import TrackingConfig
from scaling.tracking.address import tracking_uri, without_password
from scaling.tracking.artifacts import write_curves, write_figures
from scaling.tracking.folder import RunFolder, RunRecord, Status, write_whole
from scaling.tracking.sender import Sender
from scaling.tracking.sent import mend


class Tracker:
    """The record of one run: metrics, tags, files and how it ended."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._logged = {(row.step, key) for row in folder.rows() for key in row.metrics}

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record metrics of a step.

        What is not finite is left out, and what a resumed run computes a second time is not
        recorded a second time.
        """
        new = {
            key: float(value)
            for key, value in metrics.items()
            if math.isfinite(value) and (step, key) not in self._logged
        }
        if new:
            self.folder.append(step, new)
            self._logged.update((step, key) for key in new)

    def tag(self, **tags: str) -> None:
        """Set tags `tinyscale.<name>` of the run."""
        own = {f"tinyscale.{key}": value for key, value in tags.items()}
        self.folder.update(tags=self.folder.read_record().tags | own)

    def finish(
        self,
        status: Status,
        summary: Mapping[str, Any] | None = None,
        *,
        figures: bool = True,
    ) -> None:
        """Write the closing tables and figures, and how the run ended.

        `figures=False` is for what has no curve over training tokens to draw.
        """
        if summary is not None:
            write_whole(self.folder.path / "summary.json", json.dumps(dict(summary), indent=1))
        self.folder.settle_log()  # the last rows are there before the record says how it ended
        rows = self.folder.rows()
        if rows:
            write_curves(rows, self.folder.path / "metrics.csv")
        if rows and figures:
            write_figures(rows, self.folder.path / "figures", self.folder.read_record())
        self.folder.update(status=status, ended=int(time.time() * 1000))


class Tracking:
    """The trackers of a cohort and the one sender that they share, as a context.

    Leaving it ends every run that has not ended: FAILED on an exception, with the traceback kept.
    """

    def __init__(self, folders: list[RunFolder], say: Callable[[str], None]) -> None:
        for folder in folders:
            mend(folder)
        self.trackers = [Tracker(folder) for folder in folders]
        self.sender = Sender(folders[0].read_record().uri, say)

    def __enter__(self) -> "Tracking":
        self.sender.start([tracker.folder for tracker in self.trackers])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                import traceback

                text = "".join(traceback.format_exception(kind, error, trace))
                for tracker in self.trackers:
                    if tracker.folder.read_record().status == "RUNNING":
                        write_whole(tracker.folder.path / "traceback.txt", text)
                        tracker.finish("FAILED")
        finally:  # what a full disk has let nobody write
            self.sender.close()


class Recorded(Protocol):
    """What a record is made of: the config of a training run, or of an adaptation."""

    @property
    def name(self) -> str:
        """What the run is called."""
        ...

    @property
    def seed(self) -> int:
        """Its seed."""
        ...

    @property
    def identity(self) -> str:
        """Hash of all that decides the outcome but the seed."""
        ...

    @property
    def tracking(self) -> TrackingConfig:
        """Where the record goes."""
        ...

    def model_dump(self, *, mode: str, exclude: set[str] | None = None) -> dict[str, Any]:
        """All fields, as pydantic gives them."""
        ...


def new_run(
    config: Recorded,
    *,
    run_id: str,
    cohort: list[str],
    facts: Mapping[str, Any],
    tags: Mapping[str, str],
    dataset: Mapping[str, str],
    claimed: str | None,
) -> RunFolder:
    """Make the folder and record of a new run.

    `facts` are counts and sizes, logged as parameters beside the config's fields. `claimed` is the
    MLflow run that a launcher has made for this one.
    """
    params = {**flatten(config.model_dump(mode="json", exclude={"tracking"})), **facts}
    source = {"mlflow.source.name": "tinyscale", "mlflow.source.type": "LOCAL"}
    own = {
        "tinyscale.id": run_id,
        "tinyscale.identity": config.identity,
        "tinyscale.group": f"{config.name}-{config.identity[:8]}",
        "tinyscale.seed": str(config.seed),
        "tinyscale.cohort": ",".join(cohort),
        "tinyscale.command": " ".join(map(without_password, sys.argv)),
        "mlflow.user": os.environ.get("USER", "unknown"),
    }
    record = RunRecord(
        id=run_id,
        name=config.name,
        seed=config.seed,
        identity=config.identity,
        experiment=config.tracking.experiment,
        uri=tracking_uri(config.tracking.uri),
        started=int(time.time() * 1000),
        params={key: _plain(value) for key, value in params.items() if value is not None},
        # A launcher's run has a source of its own, but a random name.
        tags={**({"mlflow.runName": config.name} if claimed else source), **own, **tags},
        dataset=dict(dataset),
        cohort=cohort,
        claimed=claimed,
    )
    folder = RunFolder.create(Path(config.tracking.folder), record)
    folder.update(tags=record.tags | {"tinyscale.folder": str(folder.path.resolve())})
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_whole(folder.path / "config.yaml", text)
    return folder


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields by dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _plain(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
