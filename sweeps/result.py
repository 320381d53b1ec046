"""How a sweep ended, as the command tells it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from scaling.errors import UserError, first_line
from scaling.tracking.folder import Status
from scaling.tracking.members import Key
from scaling.tracking.store import client, sync
from sweeps.ledger import Known
from sweeps.record import SweepRecord

if TYPE_CHECKING:  # `--help` is to import nothing heavy
    from sweeps.driver import Driver

Say = Callable[[str], None]
InStore = Literal["whole", "late", "deleted"]
ENDS = ("done", "pruned", "failed")


@dataclass(frozen=True)
class Result:
    """What came of it, for programs and for people.

    `why` is the one of the lines that tells why not all is made, where it is not.
    """

    summary: dict[str, Any]
    lines: list[str]
    exit_code: int
    why: str = ""


def ending(driver: "Driver[Any]", failed: str) -> tuple[int, list[str], Status]:
    """The exit code, what there is to say, and the record's status.

    `failed` is said of failed ones, behind their number.
    """
    code, lines, counts = 0, list[str](), driver.counts()
    if driver.stopped is not None:
        code = 128 + driver.signal if driver.signal else 1
        lines.append(f"Stopped: {driver.stopped}. Go on with the same command.")
    elif counts.failed:
        code = 1
        lines.append(f"{counts.failed} {failed}")
    elif counts.done < counts.wanted and driver.answers_for_all:
        code = 1
        missing = counts.wanted - counts.done
        lines.append(f"{missing} runs are missing. Go on with the same command.")
    return code, lines, "KILLED" if driver.signal is not None else "FAILED" if code else "FINISHED"


def in_store(known: Iterable[Known], record: SweepRecord[Any]) -> dict[Key, InStore]:
    """How the store has each of these runs that has ended and has a folder.

    Raises UserError where it does not answer.
    """
    ended = [one for one in known if one.state in ENDS and one.folder is not None]
    there = record.stages(one.run_id for one in ended)
    found: dict[Key, InStore] = {}
    for one in ended:
        stage = there.get(one.run_id or "")
        found[one.key] = "whole" if stage == "active" and one.sent else "late"
        if stage == "deleted":
            found[one.key] = "deleted"
    return found


def is_kept(
    runs: Iterable[Key], known: Mapping[Key, Known], record: SweepRecord[Any]
) -> tuple[bool, list[str]]:
    """Whether the sweep has ended whole with these runs and the store has it all, and what there
    is to say of that. A store that does not answer is taken at its last word."""
    finished = record.finished(runs)
    try:
        found = in_store(known.values(), record)
        kept = finished and "late" not in found.values() and record.is_kept()
    except UserError as error:
        return finished, [str(error)]
    return kept, deleted(known, found)


def send_late(known: Mapping[Key, Known], record: SweepRecord[Any], say: Say) -> list[str]:
    """Runs that ended while the store did not answer, or that it has lost: it gets them now.

    What there is to say of those that somebody has deleted in it.
    """
    try:
        found = in_store(known.values(), record)
    except UserError as error:  # whatever a store does, the sweep's own record is closed
        return [str(error)]
    for key, state in found.items():
        folder = known[key].folder
        if folder is None or state == "deleted" or (not record.adopt(folder) and state == "whole"):
            continue
        try:
            sync(folder, client(record.uri))
        except Exception as error:  # likewise
            line = first_line(error)
            say(f"the store lacks a part of {folder.path.name}: {line[:200]}")
    return deleted(known, found)


def deleted(known: Mapping[Key, Known], found: Mapping[Key, InStore]) -> list[str]:
    """What to say of ended runs that somebody has deleted in the store."""
    gone = [known[key].run_id for key, state in found.items() if state == "deleted"]
    if not gone:
        return []
    runs = "1 run is" if len(gone) == 1 else f"{len(gone)} runs are"
    how = f"mlflow runs restore --run-id {gone[0]}"
    return [f"{runs} deleted in the store, and not in analyses; to have one back: {how}"]
