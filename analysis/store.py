"""A store as it is read: its experiments, its runs page by page, their curves and files."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scaling.errors import UserError, first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000  # runs a request


def open_store(given: str | None) -> tuple[str, MlflowClient, dict[str, str]]:
    """The store that is meant: its URI, a client of it, its experiments' names by id.

    Raises UserError where there is none, or it does not answer.
    """
    from mlflow.entities import ViewType

    from scaling.tracking.address import tracking_uri
    from scaling.tracking.store import client

    uri = tracking_uri(given)
    _exists(uri)
    with answers(uri):
        store = client(uri)
        found = store.search_experiments(view_type=ViewType.ACTIVE_ONLY)
        return uri, store, {one.experiment_id: one.name for one in found}


def pages(store: MlflowClient, experiments: list[str], condition: str) -> Iterator[Run]:
    """The runs of experiments that meet a condition in MLflow's language."""
    token = None
    while True:
        page = store.search_runs(
            experiments, filter_string=condition, max_results=PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def history(uri: str, run_id: str, keys: Sequence[str]) -> pd.DataFrame:
    """Curves of a run that left no table, from the store's metric history: a row a step.

    Columns are ``step``, the keys that the run has, and ``seconds`` since its first point. Of
    points logged twice at one step the latest counts.
    """
    from scaling.tracking.store import client

    store = client(uri)
    found: dict[int, dict[str, float]] = {}
    with answers(uri):
        for key in keys:
            points = store.get_metric_history(run_id, key)
            for point in sorted(points, key=lambda one: one.timestamp):
                row = found.setdefault(point.step, {"step": point.step})
                row[key] = point.value
                row["seconds"] = point.timestamp / 1000
    frame = pd.DataFrame([found[step] for step in sorted(found)])
    if not frame.empty:
        frame["seconds"] -= frame["seconds"].min()
    return frame


def download(uri: str, run_id: str, name: str) -> Path | None:
    """An artifact of a run of a remote store, fetched; None where it has none of this name."""
    from scaling.tracking.store import client, store_errors

    try:
        return Path(client(uri).download_artifacts(run_id, name))
    except store_errors():
        return None


def _exists(uri: str) -> None:
    """MLflow would make an sqlite file that is not there; a reader must not."""
    from scaling.tracking.address import is_missing, without_password

    if is_missing(uri):
        raise UserError(f"There is no store at {without_password(uri)}; name one with --store.")


@contextmanager
def answers(uri: str, condition: str | None = None) -> Iterator[None]:
    """Whatever the store says against it, as one sentence."""
    from scaling.tracking.address import without_password
    from scaling.tracking.store import store_errors

    try:
        yield
    except store_errors() as error:
        first = first_line(error)[:200]
        if condition:
            raise UserError(f"The store does not take --filter {condition!r}: {first}") from None
        raise UserError(f"The store {without_password(uri)} does not answer: {first}") from None


@contextmanager
def no_collection() -> Iterator[None]:
    """Without the garbage collector, which walks all of the store's objects again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
