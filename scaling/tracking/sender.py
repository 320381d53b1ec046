"""The thread that carries run folders to the store, and that no run waits for."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.tracking.address import without_password
from scaling.tracking.folder import RunFolder
from scaling.tracking.store import client, sync

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Sender:
    """Syncs run folders with their store every few seconds until closed.

    A store that fails is tried again, less and less often; what it missed stays in the folders.
    """

    interval = 5.0  # seconds between rounds
    slowest = 60.0  # the longest pause after failures
    deadline = 60.0  # the longest wait at the end of a run

    def __init__(self, uri: str, say: Callable[[str], None]) -> None:
        self.uri, self.say = uri, say
        self._folders: list[RunFolder] = []
        self._failed: str | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlflow-sender", daemon=True)

    def start(self, folders: list[RunFolder]) -> None:
        """Begin to send these runs."""
        self._folders = list(folders)
        self._thread.start()

    def close(self) -> None:
        """Send the rest, for at most `deadline` seconds, and say if not all of it has arrived."""
        self._closing.set()
        if self._thread.ident is None:  # never started: there is nothing to send
            return
        self._thread.join(self.deadline)
        if self._thread.is_alive() or self._failed is not None:
            why = self._failed or f"it did not answer within {self.deadline:.0f} s"
            self.say(
                f"The store {without_password(self.uri)} lacks a part of this run ({why});"
                " the run folder has it all, and `tinyscale doctor` sends it (with --runs where it"
                " is not in ./runs)."
            )

    def _run(self) -> None:
        store: MlflowClient | None = None
        failed: set[Path] = set()
        pause = self.interval
        while True:
            last = self._closing.is_set()
            try:
                store = store or client(self.uri)
                # What has failed comes last: the trouble may be that run's alone.
                for folder in sorted(self._folders, key=lambda one: one.path in failed):
                    failed.add(folder.path)
                    sync(folder, store)
                    failed.remove(folder.path)
                self._failed, pause = None, self.interval
            except Exception as error:  # whatever the store does, the run goes on
                first, self._failed = self._failed is None, _first_line(error)
                pause = min(2 * pause, self.slowest)
                if first and not last:
                    self.say(f"The store does not take the record now ({self._failed}); it waits.")
            if last:
                return
            self._closing.wait(pause)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__
