"""`tinyscale doctor`."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scaling.console import Console

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from scaling.tracking.folder import RunFolder


@dataclass
class Report:
    """What was found, and what was mended."""

    versions: dict[str, str]
    device: str
    precision: str
    store: str
    store_answers: str
    runs: str
    run_count: int
    cache: str
    cache_megabytes: float
    killed: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    unsent: dict[str, str] = field(default_factory=dict)  # run to what stands in its way


@click.command(short_help="Show versions, store, caches; mend stale runs.")
@click.option("--runs", default="runs", show_default=True, help="Where the run folders are.")
@click.option(
    "--store", help="The store; else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def doctor(runs: str, store: str | None, as_json: bool) -> None:
    """Show versions, device, store and caches; mend what killed processes left behind.

    A run that says RUNNING, but whose process on this machine is gone, is marked KILLED. What a
    store has missed while it was down, or has lost, is sent to it.
    """
    report = examine(Path(runs), store, Console())
    if as_json:
        click.echo(json.dumps(asdict(report), indent=1))
        return
    click.echo("versions    " + ", ".join(f"{k} {v}" for k, v in report.versions.items()))
    click.echo(f"device      {report.device}, {report.precision} by default")
    click.echo(f"store       {report.store}: {report.store_answers}")
    click.echo(f"runs        {report.run_count} folders in {report.runs}")
    click.echo(f"cache       {report.cache_megabytes:,.1f} MB in {report.cache}")
    for name in report.killed:
        click.echo(f"mended      {name}: its process is gone; marked KILLED")
    for name in report.sent:
        click.echo(f"sent        {name}: the store had missed a part")
    for name, why in report.unsent.items():
        click.echo(f"not sent    {name}: {why}")


def examine(runs: Path, store_uri: str | None, console: Console) -> Report:
    """Look at everything, mend what can be mended."""
    from scaling.config import RuntimeConfig
    from scaling.data.cache import default_cache
    from scaling.runtime import device_name, resolve, versions
    from scaling.tracking.address import tracking_uri, without_password
    from scaling.tracking.folder import run_folders
    from scaling.tracking.store import kill_orphans

    runtime = resolve(RuntimeConfig())
    uri = tracking_uri(store_uri)
    folders = [*run_folders(runs), *run_folders(runs / "sweeps")]
    cache = default_cache()
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    report = Report(
        versions=versions(),
        device=device_name(runtime.device),
        precision=runtime.precision,
        store=without_password(uri),
        store_answers="",
        runs=str(runs.resolve()),
        run_count=len(folders),
        cache=str(cache),
        cache_megabytes=size / 1e6,
    )
    for folder in folders:
        if mark_killed(folder):
            report.killed.append(folder.path.name)
    store, report.store_answers = _ask(uri)
    _send(folders, {uri: (store, report.store_answers)}, report)
    if store is not None:
        try:
            report.killed += kill_orphans(store)
        except Exception as error:  # whatever a store does, the report is given
            report.store_answers += f", but not about its runs ({_words(error)})"
    return report


def mark_killed(folder: "RunFolder") -> bool:
    """Mark a run whose process on this machine is gone; returns whether it was one."""
    from scaling.tracking.sent import mend
    from scaling.tracking.tracker import Tracker

    record = folder.read_record()
    if record.status != "RUNNING" or record.process_is_alive() is not False:
        return False
    mend(folder)
    Tracker(folder).finish("KILLED", figures="tinyscale.kind" not in record.tags)
    return True


def _ask(uri: str) -> tuple["MlflowClient | None", str]:
    """A store, if it answers, and what it answers."""
    from scaling.tracking.address import is_missing
    from scaling.tracking.store import client

    place = Path(uri.removeprefix("sqlite:///")).parent
    if is_missing(uri) and not place.is_dir():  # as that of a folder copied from elsewhere
        return None, f"is not there: there is no folder {place}"
    try:
        store = client(uri)
        return store, f"answers, {len(store.search_experiments())} experiments"
    except Exception as error:  # whatever a store does, the report is given
        return None, f"does not answer ({_words(error)})"


def _send(
    folders: list["RunFolder"],
    stores: dict[str, tuple["MlflowClient | None", str]],
    report: Report,
) -> None:
    """Send to each folder's own store what it has missed; one that is down is asked once."""
    from scaling.tracking.address import without_password
    from scaling.tracking.sent import Sent
    from scaling.tracking.store import sync

    for folder in folders:
        record, name = folder.read_record(), folder.path.name
        if record.status == "RUNNING":
            continue  # its own process sends it
        if record.uri not in stores:
            stores[record.uri] = _ask(record.uri)
        store, answer = stores[record.uri]
        before, its = Sent.read(folder), f"its store {without_password(record.uri)}"
        try:
            if store is not None:
                sync(folder, store)
            elif not before.is_whole(record):
                report.unsent[name] = f"{its} {answer}"
        except Exception as error:  # one run's trouble is not the others'
            report.unsent[name] = f"{its} refuses it ({_words(error)})"
        if Sent.read(folder) != before and name not in report.killed:
            report.sent.append(name)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}"
