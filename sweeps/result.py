"""How a sweep ended, as the command tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaling.tracking.store import client, sync
from sweeps.ledger import Known
from sweeps.progress import Board
from sweeps.wanted import Key


@dataclass(frozen=True)
class Result:
    """What came of it, for programs and for people."""

    summary: dict[str, Any]
    lines: list[str]
    exit_code: int


def send_late(known: Mapping[Key, Known], board: Board) -> None:
    """Runs that ended while the store did not answer: it gets them now."""
    for there in known.values():
        if there.state != "done" or there.sent or there.folder is None:
            continue
        try:
            sync(there.folder, client(there.folder.read_record().uri))
        except Exception as error:  # whatever a store does, the sweep's own record is closed
            line = (str(error).splitlines() or [type(error).__name__])[0]
            board.say(f"the store lacks a part of {there.folder.path.name}: {line[:200]}")
