"""The worker's side of the pipe to the driver."""

import contextlib
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sweeps.job import Begun, Job, Judged, Moved, Said

PATIENCE = 60.0  # seconds that an evaluation waits for the driver's word
PAUSE = 0.25  # seconds between two reports of progress


class Channel:
    """Tells the driver of a job; the trainer and the sender's thread both speak into it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()
        self._told = 0.0

    def send(self, event: Any) -> None:
        """Tell the driver; a driver that is gone hears nothing, and its worker soon ends."""
        with self._lock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._pipe.send(event)

    def say(self, text: str) -> None:
        """A sentence for the sweep's log."""
        self.send(Said(text))

    def begun(self, job: Job, folders: list[Path]) -> None:
        """Tell of the run folders."""
        self.send(Begun(job.number, tuple(folders)))

    def progress(self, job: Job, trainer: Any) -> None:
        """Tell where the job stands, not too often."""
        now = time.monotonic()
        if now - self._told < PAUSE and trainer.step < trainer.total:
            return
        self._told = now
        rate = trainer.tokens_per_second
        left = (trainer.total - trainer.step) * trainer.cohort.tokens_per_step / rate
        self.send(
            Moved(
                job.number,
                trainer.step,
                trainer.total,
                tuple(trainer.progress.train_loss),
                trainer.cohort.members * rate,
                left,
            )
        )

    def moved(self, job: Job, step: int, total: int, loss: float) -> None:
        """Tell where a job stands that has no trainer, not too often."""
        now = time.monotonic()
        if now - self._told > PAUSE or step == total:
            self._told = now
            unknown = float("nan")
            self.send(Moved(job.number, step, total, (loss,), unknown, unknown))

    def hopeless(self, job: Job, percent: int, loss: float) -> bool:
        """Ask the driver whether a run is to be pruned; no answer means no."""
        self.send(Judged(job.number, percent, loss))
        until = time.monotonic() + PATIENCE
        try:
            while self._pipe.poll(max(0.0, until - time.monotonic())):
                answer = self._pipe.recv()
                if (answer.job, answer.percent) == (job.number, percent):  # else one that was late
                    return bool(answer.prune)
            return False
        except (EOFError, OSError):  # the driver is gone: the run goes on until its worker leaves
            return False
