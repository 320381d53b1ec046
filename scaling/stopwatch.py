"""What of a run's time is training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Times a run from its first session on.

    Attributes:
        earlier: seconds of wall time in the sessions before this one.
        timed: seconds that the steps so far have taken, in all sessions, and how many steps those
            are; a lap that a session's end cuts off, or in which the step was still compiled and
            recorded, is not among them.
    """

    def __init__(
        self, device: torch.device, earlier: float = 0.0, timed: tuple[float, int] = (0.0, 0)
    ) -> None:
        self.earlier, self.timed = earlier, timed
        self._device = device
        self.start(0)

    def start(self, step: int) -> None:
        """The session begins here, of a run that has come to this step."""
        self._began = self._since = time.perf_counter()
        self._since_step, self._aside = step, 0.0

    @property
    def session(self) -> float:
        """Seconds of training, evaluation and saving in this session."""
        return time.perf_counter() - self._began

    @property
    def seconds(self) -> float:
        """The same in all sessions."""
        return self.earlier + self.session

    @property
    def step_seconds(self) -> float | None:
        """Seconds of a step on average, with nothing but training; None before any is timed."""
        seconds, steps = self.timed
        return seconds / steps if steps else None

    def lap(self, step: int, *, settled: bool = True) -> float:
        """Seconds of a step, on average of those since the last lap (one at least)."""
        now = time.perf_counter()
        seconds, steps = now - self._since - self._aside, step - self._since_step
        self._since, self._since_step, self._aside = now, step, 0.0
        if settled:
            self.timed = self.timed[0] + seconds, self.timed[1] + steps
        return seconds / steps

    @contextmanager
    def not_training(self) -> Iterator[None]:
        """What is done while entered is none of the steps' time; entered again, it counts once.

        A device that is behind first ends the steps it was given, which are training.
        """
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        start, before = time.perf_counter(), self._aside
        try:
            yield
        finally:
            self._aside = before + time.perf_counter() - start

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done while entered is none of the run's time at all."""
        start = time.perf_counter()
        try:
            with self.not_training():
                yield
        finally:
            self._began += time.perf_counter() - start
