"""`tinyscale sweep --status`: how a sweep stands, seen from another shell."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.tracking.address import tracking_uri
from scaling.tracking.folder import RunFolder
from sweeps.conduct import Request, first_runs, look
from sweeps.ledger import Ledger
from sweeps.progress import PROGRESS
from sweeps.reading import Sweep
from sweeps.record import DriverLock, sweep_folder
from sweeps.wanted import Wanted

NOT_BEGUN = "it has not been begun"
WORDS = {"done": "done", "half": "half done", "training": "training now", "pruned": "pruned"}


@dataclass(frozen=True)
class Failed:
    """A run that failed, and its error's last line."""

    name: str
    seed: int
    error: str | None


@dataclass(frozen=True)
class Status:
    """How a sweep stands.

    Attributes:
        sweep: its name.
        begun: whether a driver has ever worked on it.
        of_trials: how many trials a search has in all; None of a grid.
        trials: a search's trials by state.
        runs: its runs by state.
        failed: those that failed.
        driver: what the driver that works on it tells of itself, perhaps nothing yet; None where
            none does.
    """

    sweep: str
    begun: bool
    of_trials: int | None
    trials: dict[str, int]
    runs: dict[str, int]
    failed: list[Failed]
    driver: dict[str, Any] | None


def read_status(sweep: Sweep, request: Request) -> Status:
    """Counts of runs, what a driver is at now, and what has failed."""
    runs = first_runs(sweep, request)
    config = runs[0].config
    folder = sweep_folder(sweep, config)
    driver = _driver(folder) if folder.is_dir() else None
    # A plan's measurements leave a folder too; a driver, once it has prepared, a record.
    begun = driver is not None or RunFolder(folder).find_record() is not None
    of_trials, trials = None, dict[str, int]()
    if sweep.spec.search:
        of_trials, first, runs = sweep.spec.search.trials, runs[0], []
        trials, runs = _of_search(sweep, first, request, folder, working=driver is not None)
        begun = begun or bool(trials)
    ledger = Ledger(
        Path(config.tracking.folder),
        tracking_uri(config.tracking.uri),
        config.tracking.experiment,
    )
    known = look(ledger, runs)
    states = [known[run.key].state if run.key in known else "missing" for run in runs]
    failed = [
        Failed(run.config.name, run.config.seed, known[run.key].error)
        for run, state in zip(runs, states, strict=True)
        if state == "failed"
    ]
    counts = dict(Counter(states))
    return Status(sweep.spec.name, begun, of_trials, trials, counts, failed, driver)


def status_lines(found: Status) -> list[str]:
    """The same in words."""
    lines = []
    if found.of_trials is not None:
        if not found.begun:
            return [f"{found.sweep}: a search without trials yet", NOT_BEGUN]
        told = ", ".join(f"{count} {state}" for state, count in found.trials.items())
        lines.append(f"{found.sweep}: {told or 'none'} of {found.of_trials} trials")
    counts = [f"{count} {WORDS.get(state, state)}" for state, count in found.runs.items()]
    lines.append(", ".join([f"{found.sweep}: {sum(found.runs.values())} runs", *counts]))
    lines += [f"failed: {one.name} seed {one.seed}: {one.error}" for one in found.failed]
    if not found.begun:
        return [*lines, NOT_BEGUN]
    if found.driver is None:
        return [*lines, "no driver works on it now"]
    if not found.driver:
        return [*lines, "a driver prepares it now"]
    lines.append(f"the driver: {found.driver['sweep']}")
    return [*lines, *(f"  {line}" for line in found.driver["workers"])]


def _driver(folder: Path) -> dict[str, Any] | None:
    """What the driver that works on a sweep tells of itself; None where none does."""
    lock = DriverLock(folder)
    if lock.acquire(0):
        lock.release()
        return None
    note = folder / PROGRESS
    told: dict[str, Any] = json.loads(note.read_text()) if note.exists() else {}
    return told


def _of_search(
    sweep: Sweep, first: Wanted, request: Request, folder: Path, *, working: bool
) -> tuple[dict[str, int], list[Wanted]]:
    """How many trials are in which state, and the runs that they have asked for.

    Trials of a driver of this machine that is gone do not run: they are `left`.
    """
    from sweeps.trials import find_trials

    found = find_trials(sweep, first, request.storage, folder)
    if found is None:
        return {}, []
    states = dict(Counter(found.states()))
    if not working and (left := states.pop("running", 0)):
        away = len(found.elsewhere())
        states |= {"left": left - away} if left > away else {}
        states |= {"running": away} if away else {}
    return states, list({run.key: run for run in found.runs()}.values())
