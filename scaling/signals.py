"""Being asked to stop: Ctrl-C and SIGTERM, once to save and end, twice to leave at once.

A SIGTERM after a Ctrl-C is no second wish: MLflow's launcher sends one, a moment after the Ctrl-C
that a terminal has given to both.
"""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """While entered, notes the first signal for the loop to see; the second ends the process.

    Signals are handled in the main thread alone; elsewhere this only holds the request.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._heard: int | None = None  # the first signal from outside
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a stop has been asked for."""
        return self.signal is not None

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        _entered.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _entered.remove(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._heard == signal.SIGINT and number == signal.SIGTERM:
            return
        if self._heard is not None:
            os._exit(128 + number)
        self._heard = number
        self.signal = self.signal or number


_entered: list[Stop] = []


def stop_here(number: int = signal.SIGTERM) -> None:
    """Ask this process, from within, to save and end: no second signal beside one from outside."""
    if not _entered:
        os.kill(os.getpid(), number)  # nothing is to be saved
    elif not _entered[-1].requested:
        _entered[-1].signal = number
