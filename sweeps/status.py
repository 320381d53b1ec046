"""`tinyscale sweep --status`: how a sweep stands, seen from another shell."""

import json
from pathlib import Path

from scaling.tracking.store import tracking_uri
from sweeps.conduct import Request, first_runs
from sweeps.ledger import Known, Ledger
from sweeps.reading import Sweep
from sweeps.record import DriverLock, sweep_folder
from sweeps.wanted import Key, Wanted

WORDS = {"done": "done", "half": "half done", "training": "training now", "pruned": "pruned"}


def status_lines(sweep: Sweep, only: list[str]) -> list[str]:
    """Counts of runs, what a driver is at now, and what has failed."""
    runs = first_runs(sweep, Request(only=only))
    config = runs[0].config
    folder = sweep_folder(sweep, config)
    ledger = Ledger(
        Path(config.tracking.folder),
        tracking_uri(config.tracking.uri),
        config.tracking.experiment,
    )
    lines = []
    if sweep.spec.search:
        lines.append(_of_search(sweep, folder))
    else:
        known = ledger.scan(run.key for run in runs)
        lines.append(_counts(sweep, runs, known))
        lines += [
            f"failed: {run.config.name} seed {run.config.seed}: {known[run.key].error}"
            for run in runs
            if run.key in known and known[run.key].state == "failed"
        ]
    if not folder.is_dir():
        return [*lines, "it has not been begun"]
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
    return f"{sweep.spec.name}: {len(runs)} runs, {', '.join(told)}"


def _of_search(sweep: Sweep, folder: Path) -> str:
    from optuna import load_study
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    journal = folder / "study.journal"
    if not journal.exists():
        return f"{sweep.spec.name}: a search without trials yet"
    storage = JournalStorage(JournalFileBackend(str(journal)))
    study = load_study(study_name=sweep.spec.name, storage=storage)
    states = [trial.state.name.lower() for trial in study.get_trials(deepcopy=False)]
    told = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    assert sweep.spec.search is not None
    return f"{sweep.spec.name}: {told} of {sweep.spec.search.trials} trials"
