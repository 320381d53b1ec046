"""The process that trains: takes jobs, one after another, and tells the driver of them."""

import contextlib
import importlib
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sweeps.job import Begun, Job, Judged, Measurement, Moved, Ready, Said

PATIENCE = 60.0  # seconds that an evaluation waits for the driver's word
PAUSE = 0.25  # seconds between two reports of progress


def main(pipe: Connection, number: int, log: Path, started: float) -> None:
    """Serve the driver at the other end of `pipe` until it says None or is gone."""
    with contextlib.suppress(OSError):  # already a leader, under some launchers
        os.setsid()  # a terminal's Ctrl-C is the driver's to hear
    _redirect(log)
    channel = Channel(pipe)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    for module in ("mlflow", "matplotlib.figure"):  # now, rather than in the first job
        importlib.import_module(module)
    import torch

    from sweeps.calibration import measure
    from sweeps.training import run_job

    channel.send(Ready(number, time.time() - started))
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        if job is None:
            return
        torch.set_num_threads(job.threads)
        channel.send(measure(job) if isinstance(job, Measurement) else run_job(job, channel))


class Channel:
    """The worker's side of the pipe. The trainer and the sender's thread both speak into it."""

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
                tuple(trainer.train_loss),
                trainer.cohort.members * rate,
                left,
            )
        )

    def hopeless(self, job: Job, percent: int, loss: float) -> bool:
        """Ask the driver whether a run is to be pruned; no answer means no."""
        self.send(Judged(job.number, percent, loss))
        return bool(self._pipe.recv()) if self._pipe.poll(PATIENCE) else False


def _redirect(log: Path) -> None:
    """What libraries print goes to a file, and not into the driver's live lines."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)


def _leave_with(parent: int) -> None:
    """When the driver is gone, stop as Ctrl-C would: the run saves its state and ends."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
