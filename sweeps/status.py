"""`tinyscale sweep --status`: how a sweep stands, seen from another shell."""

import json
from pathlib import Path

from scaling.tracking.members import Key
from scaling.tracking.store import tracking_uri
from sweeps.conduct import Request, first_runs, look
from sweeps.ledger import Known, Ledger
from sweeps.reading import Sweep
from sweeps.record import DriverLock, sweep_folder
from sweeps.wanted import Wanted

NOT_BEGUN = "it has not been begun"
WORDS = {"done": "done", "half": "half done", "training": "training now", "pruned": "pruned"}


def status_lines(sweep: Sweep, request: Request) -> list[str]:
    """Counts of runs, what a driver is at now, and what has failed."""
    first = first_runs(sweep, request)
    config = first[0].config
    folder = sweep_folder(sweep, config)
    ledger = Ledger(
        Path(config.tracking.folder),
        tracking_uri(config.tracking.uri),
        config.tracking.experiment,
    )
    lines, runs = [], first
    if sweep.spec.search:
        if not folder.is_dir():
            return [f"{sweep.spec.name}: a search without trials yet", NOT_BEGUN]
        trials, runs = _of_search(sweep, request, folder)
        lines.append(trials)
    known = look(ledger, runs)
    lines.append(_counts(sweep, runs, known))
    lines += [
        f"failed: {run.config.name} seed {run.config.seed}: {known[run.key].error}"
        for run in runs
        if run.key in known and known[run.key].state == "failed"
    ]
    if not folder.is_dir():
        return [*lines, NOT_BEGUN]
    lock = DriverLock(folder)
    if lock.acquire():
        lock.release()
        return [*lines, "no driver works on it now"]
    note = folder / "progress.json"
    if note.exists():
        told = json.loads(note.read_text())
        lines += [f"the driver: {told['sweep']}", *[f"  {line}" for line in told["workers"]]]
    return lines


def _counts(sweep: Sweep, runs: list[Wanted], known: dict[Key, Known]) -> str:
    states = [known[run.key].state if run.key in known else "missing" for run in runs]
    told = [f"{states.count(s)} {WORDS.get(s, s)}" for s in dict.fromkeys(states)]
    return ", ".join([f"{sweep.spec.name}: {len(runs)} runs", *told])


def _of_search(sweep: Sweep, request: Request, folder: Path) -> tuple[str, list[Wanted]]:
    """How the trials stand, in a line, and the runs that they have asked for."""
    from sweeps.search import SearchSource

    assert sweep.spec.search is not None
    source = SearchSource(sweep, request.storage, folder, batch=1)
    states = source.states()
    told = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    line = f"{sweep.spec.name}: {told or 'none'} of {sweep.spec.search.trials} trials"
    return line, list({run.key: run for run in source.runs()}.values())
