"""Optuna's study of a search: where it is kept, what has to stay the same in it, how it begins."""

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from scaling.errors import UserError, first_line
from scaling.tracking.address import is_missing, without_password
from scaling.tracking.folder import write_whole
from sweeps.reading import Sweep
from sweeps.samplers import make_pruner, make_sampler
from sweeps.space import Space
from sweeps.wanted import Wanted

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

SPACE = "tinyscale.search"  # the study's attribute that says what it searches
JOURNAL = "study.journal"
NOTE = "study.url"  # of a study that is in a database: which one, without its password


def find_study(sweep: Sweep, first: Wanted, storage: str | None, folder: Path) -> "Study | None":
    """The study as it stands, to be read; None where nothing has been asked for. Writes nothing.

    `first`: the run at the first end of the space; `storage`: the URL of a database, else the
    study is a journal in the sweep's `folder`.
    """
    kept = _storage(storage, folder) if _is_there(storage, folder) else None
    study = None if kept is None else _load(sweep.spec.name, kept)
    if study is None:
        _refuse_another(sweep, storage, folder)
        return None
    if not study.get_trials(deepcopy=False):
        return None
    told, before = _searched(sweep, first), dict(study.user_attrs.get(SPACE, {}))
    before.setdefault("experiment", told["experiment"])  # not noted until November 2026
    if changed := [key for key in told if told[key] != before.get(key)]:
        raise UserError(
            f"the search {sweep.spec.name} was begun with another {changed[0]}; what it has found"
            " does not fit this one: give it another name (--name)."
        )
    return study


def begin_study(
    sweep: Sweep, first: Wanted, storage: str | None, folder: Path, *, helps: bool = False
) -> "Study":
    """The study, to ask it for points: made if it is not there, mended if a line of it is torn.

    `helps`: another driver may ask it at the same time, from the same number of trials on.
    """
    import optuna

    search = sweep.spec.search
    assert search is not None
    if storage is None:
        _mend(folder / JOURNAL)
    begun = find_study(sweep, first, storage, folder)
    kept, name = _storage(storage, folder), sweep.spec.name
    directions = [objective.direction for objective in search.objectives]
    empty = _load(name, kept) if begun is None else None  # nothing was asked: it may change
    if empty is not None and [one.name.lower() for one in empty.directions] != directions:
        optuna.delete_study(study_name=name, storage=kept)
    study = optuna.create_study(
        storage=kept,
        study_name=name,
        directions=directions,
        pruner=make_pruner(search.pruner),
        load_if_exists=True,
    )
    if begun is None:
        study.set_user_attr(SPACE, _searched(sweep, first))
        if storage is not None:
            write_whole(folder / NOTE, without_password(storage))
    # A sampler that started anew with the same seed would propose the same points again;
    # QMC's points are numbered in the storage and want one seed for all.
    own = len(study.get_trials(deepcopy=False)) + (secrets.randbits(28) if helps else 0)
    seed = search.seed + (0 if search.sampler.kind == "qmc" else own)
    study.sampler = make_sampler(search.sampler, seed, len(search.objectives))
    return study


def _searched(sweep: Sweep, first: Wanted) -> dict[str, Any]:
    """What has to stay the same for results to be of one study."""
    from optuna.distributions import distribution_to_json

    search = sweep.spec.search
    assert search is not None
    return {
        "space": {
            name: json.loads(distribution_to_json(distribution))
            for name, distribution in Space(search.space).distributions().items()
        },
        "seeds": list(sweep.spec.seeds),
        "objectives": [objective.model_dump() for objective in search.objectives],
        "base config or budget": first.config.identity,
        "experiment": first.config.tracking.experiment,
    }


# ---------------------------------------------------------------- where it is


def _storage(url: str | None, folder: Path) -> "BaseStorage":
    import optuna
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        # Optuna asks a lock for no more. The system lets go of this one when its holder dies.
        lock: Any = _lock_of(folder / JOURNAL)
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL), lock))
    try:
        return RDBStorage(url)
    except Exception as error:  # whatever the database's driver raises
        line = first_line(error)
        raise UserError(f"--storage {without_password(url)} cannot be used: {line}.") from None


def _load(name: str, storage: "BaseStorage") -> "Study | None":
    import optuna

    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:  # no study of that name
        return None


def _is_there(url: str | None, folder: Path) -> bool:
    """Whether a study can be there, as far as files tell: looking into one would make it."""
    if url is None:
        return (folder / JOURNAL).exists()
    return not is_missing(url)


def _refuse_another(sweep: Sweep, storage: str | None, folder: Path) -> None:
    """Raise one sentence where the search was begun in another storage than this one."""
    who = f"the search {sweep.spec.name} was begun"
    note = folder / NOTE
    begun = note.read_text(encoding="utf-8") if note.exists() else None
    if begun is not None and (storage is None or begun != without_password(storage)):
        raise UserError(f"{who} with --storage {begun}: give that, or another name (--name).")
    if storage is not None and begun is None and (folder / JOURNAL).exists():
        raise UserError(f"{who} without --storage: leave it out, or give another name (--name).")


def _lock_of(journal: Path) -> FileLock:
    return FileLock(journal.with_name(f"{journal.name}.lock"))


def _mend(journal: Path) -> None:
    """Cut off a last line that a power cut or a full disk has torn: the next would be glued to it.

    Another driver that reads the journal meanwhile has not taken such a line for one either.
    """
    if not journal.exists():
        return
    with _lock_of(journal), journal.open("rb+") as stream:
        data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        last = whole[whole.rfind(b"\n", 0, -1) + 1 :]
        try:
            json.loads(last or b"{}")
        except ValueError:
            whole = whole[: -len(last)]
        if len(whole) < len(data):
            stream.truncate(len(whole))
