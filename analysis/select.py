"""Which runs are meant: by id, name or folder, or all of an experiment, a sweep or a group."""

from collections.abc import Sequence
from pathlib import Path

from analysis.runs import Selection, read_runs
from scaling.checkpoint import Checkpoints
from scaling.errors import UserError
from scaling.tracking.folder import RunFolder, is_run_folder, run_folders
from scaling.tracking.store import tracking_uri
from scaling.trained import Trained, find_trained, of_run


def select(
    texts: Sequence[str],
    *,
    experiment: str | None = None,
    sweep: str | None = None,
    group: str | None = None,
    checkpoint: str | int = "best",
    runs: Path = Path("runs"),
) -> list[Trained]:
    """The models that are meant, each once, in the order given (runs of a set: by size).

    Raises:
        UserError: nothing is meant, or what is meant is not there.
    """
    found = [find_trained(text, checkpoint, runs) for text in texts]
    for kind, wanted in (("experiment", experiment), ("sweep", sweep), ("group", group)):
        if wanted is not None:
            members = [of_run(folder, checkpoint) for folder in _members(kind, wanted, runs)]
            found += sorted(members, key=lambda t: (t.facts.parameters or 0, t.label))
    if not found:
        raise UserError("Name runs, or give --experiment, --sweep or --group.")
    return list({trained.weights.resolve(): trained for trained in found}.values())


def _members(kind: str, wanted: str, runs: Path) -> list[RunFolder]:
    """Runs with a checkpoint that belong to a set: run folders here, else those of the store."""
    here = [folder for folder in run_folders(runs) if _belongs(folder, kind, wanted)]
    found = here or _in_store(kind, wanted)
    asked = [f for f in found if Checkpoints(f.path / "checkpoints").best is not None]
    if not asked:
        what = "has a checkpoint" if found else "is there"
        raise UserError(f"No run of {kind} {wanted} {what}, in {runs.resolve()} or in the store.")
    return asked


def _belongs(folder: RunFolder, kind: str, wanted: str) -> bool:
    record = folder.read_record()
    if kind == "experiment":
        return record.experiment == wanted
    return record.tags.get(f"tinyscale.{kind}") == wanted


def _in_store(kind: str, wanted: str) -> list[RunFolder]:
    """Folders of the finished runs that the store knows, wherever they lie on this machine."""
    chosen = {
        "experiment": Selection(experiment=wanted),
        "sweep": Selection(sweep=wanted),
        "group": Selection(runs=(wanted,)),
    }[kind]
    uri = tracking_uri()
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return []
    paths = [Path(str(path)) for path in read_runs(chosen).runs["folder"].dropna()]
    return [RunFolder(path) for path in paths if is_run_folder(path)]
