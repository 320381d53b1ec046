"""`tinyscale doctor`."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scaling.console import Console

if TYPE_CHECKING:
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


def examine(runs: Path, store_uri: str | None, console: Console) -> Report:
    """Look at everything, mend what can be mended."""
    from scaling.config import RuntimeConfig
    from scaling.data.cache import default_cache
    from scaling.runtime import device_name, resolve, versions
    from scaling.tracking.folder import run_folders
    from scaling.tracking.store import tracking_uri

    runtime = resolve(RuntimeConfig())
    uri = tracking_uri(store_uri)
    folders = [*run_folders(runs), *run_folders(runs / "sweeps")]
    cache = default_cache()
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    report = Report(
        versions=versions(),
        device=device_name(runtime.device),
        precision=runtime.precision,
        store=uri,
        store_answers="",
        runs=str(runs.resolve()),
        run_count=len(folders),
        cache=str(cache),
        cache_megabytes=size / 1e6,
    )
    for folder in folders:
        if mark_killed(folder):
            report.killed.append(folder.path.name)
    report.store_answers = _mend_store(folders, uri, report)
    return report


def mark_killed(folder: "RunFolder") -> bool:
    """Mark a run whose process on this machine is gone; returns whether it was one."""
    from scaling.tracking.tracker import Tracker

    record = folder.read_record()
    if record.status != "RUNNING" or record.process_is_alive() is not False:
        return False
    folder.mend_log()
    Tracker(folder).finish("KILLED")
    return True


def _mend_store(folders: list["RunFolder"], uri: str, report: Report) -> str:
    from scaling.tracking.sent import Sent
    from scaling.tracking.store import client, kill_orphans, sync

    try:
        store = client(uri)
        experiments = len(store.search_experiments())
        for folder in folders:
            record = folder.read_record()
            if record.status == "RUNNING":
                continue  # its own process sends it
            before = Sent.read(folder)
            sync(folder, store if record.uri == uri else client(record.uri))
            if Sent.read(folder) != before and folder.path.name not in report.killed:
                report.sent.append(folder.path.name)
        report.killed += kill_orphans(store)
    except Exception as error:  # whatever a store does, the report is given
        return f"does not answer ({type(error).__name__}: {str(error).splitlines()[0][:120]})"
    return f"answers, {experiments} experiments"
