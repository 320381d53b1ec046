"""What people see while a sweep goes on: a live line a worker and one for the sweep."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from scaling.console import tell
from sweeps.job import Moved

PROGRESS = "progress.json"  # in the record's folder: what the driver shows, for other shells


@dataclass(frozen=True)
class Counts:
    """How the runs of a sweep stand."""

    wanted: int
    done: int
    failed: int
    running: int
    waiting: int  # trained by another driver

    @property
    def text(self) -> str:
        """One line."""
        parts = [f"{self.done} of {self.wanted} runs done"]
        parts += [f"{self.running} training"] if self.running else []
        parts += [f"{self.waiting} with another driver"] if self.waiting else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return ", ".join(parts)


class Board:
    """Lines on stderr: redrawn in place on a terminal, now and then elsewhere."""

    plain_every = 10.0  # seconds

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._drawn = 0  # live lines that stand below
        self._spoke = 0.0

    def say(self, sentence: str) -> None:
        """One line that stays."""
        self.clear()
        tell(sentence)

    def show(self, jobs: Sequence[str], total: str) -> None:
        """Where everything stands now."""
        now = time.monotonic()
        if self._live:
            if now - self._spoke < 0.2:
                return
            self._spoke = now
            self.clear()
            width = shutil.get_terminal_size().columns
            for line in [*jobs, total]:
                tell(line[:width])
            self._drawn = len(jobs) + 1
        elif now - self._spoke > self.plain_every:
            self._spoke = now
            for line in [*jobs, total]:
                tell(line)

    def clear(self) -> None:
        """Take the live lines away."""
        if self._drawn:
            tell(f"\x1b[{self._drawn}A\x1b[J", nl=False)
            self._drawn = 0


def job_line(name: str, moved: Moved | None) -> str:
    """One worker's line: step, loss, tokens a second, time left."""
    if moved is None or moved.step == 0:
        return f"  {name}: starting"
    losses = " ".join(f"{loss:.3f}" for loss in moved.losses[:4])
    more = " ..." if len(moved.losses) > 4 else ""
    parts = [f"  {name}: step {moved.step:,}/{moved.total:,}", f"loss {losses}{more}"]
    if moved.tokens_per_second == moved.tokens_per_second:  # known since the first log
        parts += [
            f"{moved.tokens_per_second:,.0f} tokens/s",
            f"{duration(moved.seconds_left)} left",
        ]
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
