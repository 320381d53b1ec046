"""What is found out about runs after they have ended, put into the MLflow store.

A finding goes to the run it is about (`log_finding`) and, where it compares runs, to a run of its
own (`log_report`). Each carries the hash of what it was made from: the same one is logged once.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from scaling.tracking.address import existing
from scaling.tracking.store import client, experiment_id

if TYPE_CHECKING:
    import pandas as pd


def log_finding(
    uri: str,
    run_id: str,
    *,
    name: str,
    key: str,
    folder: Path,
    metrics: Mapping[str, float],
    step: int,
) -> bool:
    """Log a folder as artifacts `<name>/` of a run, and metrics; False where it has them.

    Raises whatever a store does (`store_errors`), and OSError where there is none.
    """
    from mlflow.entities import Metric, RunTag

    store = client(existing(uri))
    tag = f"tinyscale.{name.replace('/', '.')}"
    run = store.get_run(run_id)
    if run.data.tags.get(tag) == key:
        return False
    store.log_artifacts(run_id, str(folder), name)
    now = int(time.time() * 1000)  # of two points at one step MLflow shows the later one
    points = [Metric(metric, value, now, step) for metric, value in metrics.items()]
    store.log_batch(run_id, metrics=points, tags=[RunTag(tag, key)], synchronous=True)
    return True


def log_report(
    uri: str,
    *,
    experiment: str,
    name: str,
    kind: str,
    key: str,
    folder: Path,
    files: Sequence[str],
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    table: "tuple[str, pd.DataFrame] | None" = None,
) -> str:
    """Log a folder's files as a run of its own, and return its id; the one that is there, if any.

    The folder is the user's and may hold others' files: `files` are the report's own, from there.
    `kind` tells it from training runs (tag `tinyscale.kind`). `table` is a file name and a frame
    that MLflow shows as an evaluation table.
    """
    from mlflow.entities import Metric, Param, RunTag

    store = client(uri)
    place = experiment_id(store, experiment)
    same = f"tags.`tinyscale.{kind}_key` = '{key}' AND attributes.status = 'FINISHED'"
    there = store.search_runs([place], filter_string=same, max_results=1)
    if there:
        return there[0].info.run_id
    tags: dict[str, Any] = {
        "tinyscale.kind": kind,
        f"tinyscale.{kind}_key": key,
        "mlflow.source.name": "tinyscale",
        "mlflow.source.type": "LOCAL",
    }
    run = store.create_run(place, tags=tags, run_name=name)
    run_id = run.info.run_id
    store.log_batch(
        run_id,
        metrics=[Metric(m, value, run.info.start_time, 0) for m, value in metrics.items()],
        params=[Param(key, value) for key, value in params.items()],
        tags=[RunTag("tinyscale.folder", str(folder.resolve()))],
        synchronous=True,
    )
    for name in files:
        place_of = str(PurePosixPath(name).parent)
        store.log_artifact(run_id, str(folder / name), None if place_of == "." else place_of)
    if table is not None:
        file, frame = table
        store.log_table(run_id, frame.astype(object), artifact_file=file)
    store.set_terminated(run_id, "FINISHED")
    return run_id
