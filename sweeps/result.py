"""How a sweep ended, as the command tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling.tracking.folder import Status
from scaling.tracking.members import Key
from scaling.tracking.store import client, sync
from sweeps.ledger import Known
from sweeps.progress import Board

if TYPE_CHECKING:  # `--help` is to import nothing heavy
    from sweeps.driver import Driver


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


def send_late(known: Mapping[Key, Known], board: Board) -> None:
    """Runs that ended while the store did not answer: it gets them now."""
    for there in known.values():
        if there.state not in ENDS or there.sent or there.folder is None:
            continue
        try:
            sync(there.folder, client(there.folder.read_record().uri))
        except Exception as error:  # whatever a store does, the sweep's own record is closed
            line = (str(error).splitlines() or [type(error).__name__])[0]
            board.say(f"the store lacks a part of {there.folder.path.name}: {line[:200]}")
