"""The executor of tests: one worker, a thread of this process, which has imported all already."""

import multiprocessing
import threading
import traceback
from pathlib import Path

import torch

from scaling.signals import stop_here
from sweeps.channel import Channel
from sweeps.job import Answer, Died, Ended, Event, Job, Measured, Measurement
from sweeps.machine import Machine
from sweeps.measuring import measure
from sweeps.worker import _run


class HereExecutor:
    """Trains one job at a time, told of and answered over a pipe as a worker process is."""

    def __init__(self, machine: Machine, workers: int, logs: Path) -> None:
        self.workers = 1
        self._ours, theirs = multiprocessing.Pipe()
        self._channel = Channel(theirs)
        self._thread: threading.Thread | None = None
        self._trains = False
        self._threads = torch.get_num_threads()

    def warm(self, count: int) -> None: ...

    def has_room(self, threads: int) -> bool:
        return self._thread is None

    def submit(self, job: Job | Measurement) -> None:
        assert self._thread is None
        self._trains = isinstance(job, Job)
        self._thread = threading.Thread(target=self._serve, args=(job,))
        self._thread.start()

    def _serve(self, job: Job | Measurement) -> None:
        torch.set_num_threads(job.threads)
        try:
            if isinstance(job, Measurement):
                self._channel.send(measure(job))
            else:
                self._channel.send(_run(job, self._channel))
        except BaseException:  # of a process that ends so the driver is told as much
            self._channel.send(Died(job.number, "the worker ended", traceback.format_exc()))

    def events(self, timeout: float) -> list[Event]:
        found: list[Event] = []
        while self._ours.poll(0 if found else timeout):
            found.append(self._ours.recv())
            if isinstance(found[-1], Ended | Measured | Died):
                self._join()
        return found

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def answer(self, answer: Answer) -> None:
        self._ours.send(answer)

    def stop(self) -> None:
        if self._thread is not None and self._trains:  # what is timed ends soon by itself
            stop_here()

    def close(self) -> None:
        self.stop()
        while self._thread is not None:
            self.events(1.0)
        torch.set_num_threads(self._threads)
