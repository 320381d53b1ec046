"""Which runs are meant: by id, name or folder, or all of an experiment, a sweep or a group."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from analysis.runs import NoRunsError, Selection, read_runs
from scaling.checkpoint import Checkpoints
from scaling.errors import UserError
from scaling.reading import shown
from scaling.runs import find_each
from scaling.tracking.address import is_missing, tracking_uri
from scaling.tracking.folder import RunFolder, RunRecord, is_run_folder, recorded_runs
from scaling.tracking.members import SWEEPS, WANTED, Key, Members
from scaling.trained import Trained, find_trained, of_run

Say = Callable[[str], None]


def select(
    texts: Sequence[str],
    *,
    experiment: str | None = None,
    sweep: str | None = None,
    group: str | None = None,
    checkpoint: str | int = "best",
    runs: Path = Path("runs"),
    say: Say = lambda _: None,
) -> list[Trained]:
    """The models that are meant, each once, in the order given (runs of a set: by size).

    A run that is named is taken as it is; of a set those that are whole, as `read_runs` has it.
    `say` is told how many others there are.

    Raises:
        UserError: nothing is meant, or what is meant is not there.
    """

    def find(name: str) -> Trained:
        return find_trained(name, checkpoint, runs)

    found = [one for text in texts for one in find_each(text, find)]
    for kind, wanted in (("experiment", experiment), ("sweep", sweep), ("group", group)):
        if wanted is not None:
            members = [of_run(folder, checkpoint) for folder in _members(kind, wanted, runs, say)]
            found += sorted(members, key=lambda t: (t.facts.parameters or 0, t.label))
    if not found:
        raise UserError("Name runs, or give --experiment, --sweep or --group.")
    return list({trained.weights.resolve(): trained for trained in found}.values())


def _members(kind: str, wanted: str, runs: Path, say: Say) -> list[RunFolder]:
    """Whole runs with a checkpoint that belong to a set: those here, and those that the store
    knows besides, as of another runs folder."""
    found = _here(kind, wanted, runs, say)
    try:
        stored = _in_store(kind, wanted, found, say)
    except NoRunsError:
        if not found:
            raise
    except UserError as error:
        if not found:
            raise
        say(f"Of {kind} {wanted} only the runs in {shown(runs)} are taken: {error}")
    else:
        found = found | stored
    whole = found.values()
    asked = [f for f in whole if Checkpoints(f.path / "checkpoints").best is not None]
    if not asked:
        what = "has a checkpoint" if found else "is finished"
        raise UserError(f"No run of {kind} {wanted} {what}, in {runs.resolve()} or in the store.")
    return asked


def _here(kind: str, wanted: str, runs: Path, say: Say) -> dict[Key, RunFolder]:
    """Folders of the set's runs that count as they do in the store: finished, neither diverged
    nor pruned, and of one config and seed the last."""
    there = [(f, r) for f, r in recorded_runs(runs) if not r.tags.get("tinyscale.kind")]
    belongs = _belonging(kind, wanted, runs, [record for _, record in there])
    of_set = [(folder, record) for folder, record in there if belongs(record)]
    found: dict[Key, RunFolder] = {}
    for folder, record in of_set:  # the oldest first
        diverged = record.tags.get("tinyscale.diverged") == "true"
        if record.status == "FINISHED" and not diverged:  # a pruned one is KILLED
            found[record.identity, record.seed] = folder
    if found and (rest := len(of_set) - len(found)):
        say(
            f"{rest} of the {len(of_set)} runs of {kind} {wanted} are left out: not finished,"
            " diverged, pruned, or made again later."
        )
    return found


def _belonging(
    kind: str, wanted: str, runs: Path, records: Sequence[RunRecord]
) -> Callable[[RunRecord], bool]:
    """Whether a run is of the set."""
    if kind == "experiment":
        return lambda record: record.experiment == wanted
    tagged = {r.id for r in records if r.tags.get(f"tinyscale.{kind}") == wanted}
    if kind == "group":  # a configuration, whatever sweeps have named its seeds
        same = {record.identity for record in records if record.id in tagged}
        return lambda record: record.identity in same
    file = runs / SWEEPS / wanted / WANTED
    if not file.exists():
        return lambda record: record.id in tagged
    members = Members.read(file)
    return lambda record: (
        (record.identity, record.seed) in members.labels or (members.grows and record.id in tagged)
    )


def _in_store(
    kind: str, wanted: str, known: Mapping[Key, RunFolder], say: Say
) -> dict[Key, RunFolder]:
    """Folders of the finished runs that the store has besides those known, wherever they lie on
    this machine."""
    chosen = {
        "experiment": Selection(experiment=wanted),
        "sweep": Selection(sweep=wanted),
        "group": Selection(runs=(wanted,)),
    }[kind]
    if is_missing(tracking_uri()):
        return {}
    rows = read_runs(chosen).runs[["identity", "seed", "folder"]].dropna(subset="identity")
    others = {(str(row.identity), int(str(row.seed))): row.folder for row in rows.itertuples()}
    others = {key: folder for key, folder in others.items() if key not in known}
    found = {
        key: RunFolder(Path(folder))
        for key, folder in others.items()
        if isinstance(folder, str) and is_run_folder(Path(folder))
    }
    if away := len(others) - len(found):
        count = len(known) + len(others)
        say(f"{away} of the {count} runs of {kind} {wanted} have no folder on this machine.")
    return found
