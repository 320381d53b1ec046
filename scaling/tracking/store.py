"""How a run folder's content gets into an MLflow store; the only code that writes there.

`sync` makes the store agree with the folder. It can stop anywhere and be run again, by this
process or another: what has been sent is noted in the folder's `sent.json`, and what was sent but
not noted is sent again with the same time stamps, which the store takes for the same points.
"""

import contextlib
import os
import re
import socket
import sqlite3
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from scaling.tracking.folder import TRACEBACK, Row, RunFolder, RunRecord, process_is_alive
from scaling.tracking.members import WANTED
from scaling.tracking.sent import Sent

if TYPE_CHECKING:
    from mlflow import MlflowClient

POINTS = 1000  # the most metric points that MLflow takes a call
PARAMS = 100  # likewise parameters

# The UI opens an experiment of this kind on its training curves, not on chat traces.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}

# Files of a run folder that become artifacts of the run once it has ended.
ARTIFACTS = (
    "config.yaml",
    "tokenizer.json",
    "metrics.csv",
    "summary.json",
    "samples.md",
    TRACEBACK,
    "figures",
    # of an adaptation, and of a sweep of them
    "adapt.jsonl",
    "edits.jsonl",
    # of a sweep's own run
    "spec.yaml",
    WANTED,
    "plan.csv",
    "leaderboard.csv",
    "groups.csv",
    "sweep_summary.json",
    "search",
)


def store_errors() -> tuple[type[Exception], ...]:
    """What a store that fails may raise: MLflow, its database, the disk, a driver that is not
    installed."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError, ImportError


def lacks_run(error: Exception) -> bool:
    """Whether a store has answered that it has no such run, or that somebody has deleted it: any
    other error is the store's, of whatever run it is asked next."""
    gone = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    return getattr(error, "error_code", None) in gone


def client(uri: str) -> "MlflowClient":
    """An MLflow client that gives up soon: whoever sends tries again later."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import logging

    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # the schema's first creation is told line by line
        logging.getLogger(name).setLevel(logging.WARNING)
    if uri.startswith("sqlite:///") and "?" not in uri:
        _make_file(Path(uri.removeprefix("sqlite:///")))
    return MlflowClient(tracking_uri=uri)


def _make_file(path: Path) -> None:
    """Make a new sqlite store beside its place and move it there whole.

    A process killed while MLflow makes the schema would leave a file that MLflow cannot open any
    more, and two processes making it at once fail.
    """
    if path.exists():
        return
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    beside.unlink(missing_ok=True)
    try:
        MlflowClient(tracking_uri=f"sqlite:///{beside}").search_experiments()
        try:
            os.link(beside, path)
        except FileExistsError:  # another process was first
            return
        except OSError:  # a file system without links
            beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)


def experiment_id(store: "MlflowClient", name: str) -> str:
    """The experiment's id; made where there is none, also when another process makes it now."""
    from mlflow.exceptions import MlflowException

    found = store.get_experiment_by_name(name)
    if found is None:
        try:
            return store.create_experiment(name, tags=EXPERIMENT_TAGS)
        except MlflowException:
            found = store.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        store.restore_experiment(found.experiment_id)
    return found.experiment_id


def process_tags(record: RunRecord) -> dict[str, str]:
    """Where the run's process is, or was."""
    return {
        "tinyscale.host": record.host,
        "tinyscale.pid": str(record.pid),
        "tinyscale.process_started": record.process_started,
    }


def sync(folder: RunFolder, store: "MlflowClient") -> None:
    """Send what the store lacks of this run; raises whatever MLflow raises."""
    from mlflow.exceptions import MlflowException

    try:
        _sync(folder, store)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        # The store has lost what the note says it has, as a new one has in the place of a deleted
        # one: all is sent again.
        Sent(run_id=_create(folder.read_record(), store)).write(folder)
        _sync(folder, store)


def _sync(folder: RunFolder, store: "MlflowClient") -> None:
    record, sent = folder.read_record(), Sent.read(folder)
    if sent.run_id is None:
        sent.run_id = record.claimed or _create(record, store)
        sent.write(folder)
    run_id = sent.run_id
    if sent.is_whole(record):
        store.get_run(run_id)  # raises where the store has lost it
    if not sent.params:
        _send_params(record, run_id, store)
        sent.params = True
        sent.write(folder)
    current = record.tags | process_tags(record)
    tags = {key: value for key, value in current.items() if sent.tags.get(key) != value}
    if tags:
        _send_tags(run_id, tags, store)
        sent.tags |= tags
        sent.write(folder)
    for key in sent.tags.keys() - current.keys():  # such as how it ended, before it went on
        store.delete_tag(run_id, key)
        del sent.tags[key]
        sent.write(folder)
    if sent.ended != record.ended:  # it has gone on since: the files of that ending are old
        sent.ended, sent.status, sent.files, sent.model = record.ended, "", False, False
        sent.write(folder)
    if record.status == "RUNNING" and sent.status != "RUNNING":
        store.update_run(run_id, status="RUNNING")
        sent.status = "RUNNING"
        sent.write(folder)
    _send_metrics(folder, sent, run_id, store)
    _send_samples(folder, sent, run_id, store)
    if record.status != "RUNNING" and sent.status != record.status:
        if not sent.files:
            _send_files(folder, run_id, store)
            there = (folder.path / TRACEBACK).exists()
            if sent.traceback and not there:
                _delete_artifact(record.uri, run_id, store, TRACEBACK)
            sent.files, sent.traceback = True, there
            sent.write(folder)
        if not sent.model:
            _send_model(folder, record, sent, run_id, store)
            sent.model = True
            sent.write(folder)
        store.set_terminated(run_id, record.status, record.ended)
        sent.status = record.status
        sent.write(folder)


def stages(uri: str, experiment: str, run_ids: Sequence[str]) -> dict[str, str]:
    """Which of these runs of an experiment the store has: `active`, or `deleted` but kept.

    A sqlite file is read as it is: MLflow would take seconds only to be imported. Raises whatever
    MLflow raises.
    """
    prefix = "sqlite:///"
    if uri.startswith(prefix) and "?" not in uri:
        file = Path(uri.removeprefix(prefix))
        if not file.exists():
            return {}
        place = f"file:{quote(str(file))}?mode=ro"
        with (
            contextlib.suppress(sqlite3.Error),  # tables that are others now
            contextlib.closing(sqlite3.connect(place, uri=True, timeout=20)) as tables,
        ):
            rows = dict(tables.execute("SELECT run_uuid, lifecycle_stage FROM runs"))
            return {run: rows[run] for run in run_ids if run in rows}
    from mlflow.entities import ViewType

    store = client(uri)
    there = store.get_experiment_by_name(experiment)
    if there is None:
        return {}
    found = {}
    for start in range(0, len(run_ids), PARAMS):
        several = ", ".join(f"'{run}'" for run in run_ids[start : start + PARAMS])
        for run in store.search_runs(
            [there.experiment_id], f"attributes.run_id IN ({several})", ViewType.ALL, PARAMS
        ):
            found[run.info.run_id] = run.info.lifecycle_stage
    return found


def kill_orphans(store: "MlflowClient") -> list[str]:
    """Mark runs KILLED that say RUNNING while their process on this machine is gone.

    This finds those whose run folder is gone as well; returns their names.
    """
    found = []
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    here = f"tags.`tinyscale.host` = '{socket.gethostname()}'"
    condition = f"attributes.status = 'RUNNING' AND {here}"
    for run in store.search_runs(experiments, filter_string=condition, max_results=1000):
        tags = run.data.tags
        if not process_is_alive(int(tags["tinyscale.pid"]), tags["tinyscale.process_started"]):
            store.set_terminated(run.info.run_id, "KILLED")
            found.append(f"{run.info.run_name} ({run.info.run_id})")
    return found


def _create(record: RunRecord, store: "MlflowClient") -> str:
    """The run's MLflow id; found again by our own id if a lost answer hid that it was made."""
    experiment = experiment_id(store, record.experiment)
    same = f"tags.`tinyscale.id` = '{record.id}'"
    found = store.search_runs([experiment], filter_string=same, max_results=1)
    if found:
        return found[0].info.run_id
    tags = {"tinyscale.id": record.id}
    return store.create_run(experiment, record.started, tags, run_name=record.name).info.run_id


def _send_params(record: RunRecord, run_id: str, store: "MlflowClient") -> None:
    """Parameters are written once; those that MLflow's launcher has logged already stay."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    there = store.get_run(run_id).data.params
    new = [Param(key, value) for key, value in record.params.items() if key not in there]
    for start in range(0, len(new), PARAMS):
        store.log_batch(run_id, params=new[start : start + PARAMS], synchronous=True)
    if record.dataset:
        tags = [InputTag("mlflow.data.context", "training")]
        store.log_inputs(run_id, [DatasetInput(Dataset(**record.dataset), tags)])


def _send_tags(run_id: str, tags: dict[str, str], store: "MlflowClient") -> None:
    from mlflow.entities import RunTag

    entries = [RunTag(key, value) for key, value in tags.items()]
    store.log_batch(run_id, tags=entries, synchronous=True)


def _send_metrics(folder: RunFolder, sent: Sent, run_id: str, store: "MlflowClient") -> None:
    folder.settle_log()  # or after a power cut the store might have what the folder has lost
    rows: list[Row] = []
    points, end = 0, sent.offset
    for row, behind in folder.rows_from(sent.offset):
        if points + len(row.metrics) > POINTS:
            _send_rows(rows, run_id, store)
            sent.offset = end
            sent.write(folder)
            rows, points = [], 0
        rows.append(row)
        points += len(row.metrics)
        end = behind
    if rows:
        _send_rows(rows, run_id, store)
        sent.offset = end
        sent.write(folder)


def _send_rows(rows: list[Row], run_id: str, store: "MlflowClient") -> None:
    from mlflow.entities import Metric

    metrics = [
        Metric(key, value, row.time, row.step)
        for row in rows
        for key, value in row.metrics.items()
    ]
    store.log_batch(run_id, metrics=metrics, synchronous=True)


def _send_samples(folder: RunFolder, sent: Sent, run_id: str, store: "MlflowClient") -> None:
    """What the run has written so far, while it goes on."""
    there = sorted((folder.path / "samples").glob("*.md"))
    for path in there[sent.samples :]:
        store.log_artifact(run_id, str(path), "samples")
        sent.samples += 1
        sent.write(folder)


def _send_files(folder: RunFolder, run_id: str, store: "MlflowClient") -> None:
    for name in ARTIFACTS:
        path = folder.path / name
        if path.is_dir():
            store.log_artifacts(run_id, str(path), name)
        elif path.exists():
            store.log_artifact(run_id, str(path))


def _delete_artifact(uri: str, run_id: str, store: "MlflowClient", name: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    place = store.get_run(run_id).info.artifact_uri
    repository: Any = get_artifact_repository(place, tracking_uri=uri)
    repository.delete_artifacts(name)


def _send_model(
    folder: RunFolder, record: RunRecord, sent: Sent, run_id: str, store: "MlflowClient"
) -> None:
    """The best checkpoint as a LoggedModel that `mlflow.pyfunc` loads and serves."""
    from mlflow.entities import LoggedModelOutput

    from scaling.checkpoint import Checkpoints

    best = Checkpoints(folder.path / "checkpoints").best
    if best is None:
        return
    if sent.model_id is not None:
        logged = store.get_logged_model(sent.model_id)
        if logged.params.get("step") != str(best.step):  # a resumed run has found a better one
            sent.model_id = None
    if sent.model_id is None:
        experiment = store.get_run(run_id).info.experiment_id
        params = {"step": str(best.step), "seed": str(record.seed)}
        name = re.sub(r"[/:.%\"']", "_", record.name)  # which MLflow has no room for in a model's
        model = store.create_logged_model(
            experiment, name, run_id, params=params, model_type="tinyscale"
        )
        sent.model_id = model.model_id
        sent.write(folder)
        store.log_outputs(run_id, [LoggedModelOutput(model.model_id, best.step)])
    from scaling.export.pyfunc import write_served

    files = {
        "model.safetensors": best.weights,
        "config.yaml": folder.path / "config.yaml",
        "tokenizer.json": folder.path / "tokenizer.json",
    }
    with tempfile.TemporaryDirectory() as served:
        write_served(Path(served), files, run_id=run_id, model_id=sent.model_id)
        store.log_model_artifacts(sent.model_id, served)
    store.finalize_logged_model(sent.model_id, "READY")
