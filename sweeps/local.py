"""The executor of one machine: processes, each with torch imported once, and one a GPU."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from scaling.memory import PROGRAMS, processes_ended
from sweeps.job import Answer, Died, Event, Job, Measured, Measurement
from sweeps.machine import Machine
from sweeps.worker import main

GRACE = 120.0  # seconds for workers to save their runs when asked to stop


@dataclass
class _Worker:
    number: int
    process: BaseProcess
    pipe: Connection
    log: Path
    job: Job | Measurement | None = None
    asked: bool = False  # to stop
    heard: int = field(default=0)  # bytes of the log before the job
    ended: int | None = None  # processes that the system had ended for want of memory by then


class LocalExecutor:
    """A pool of spawned processes: forking is not safe once torch has threads."""

    def __init__(self, machine: Machine, workers: int, logs: Path) -> None:
        self.machine, self.workers, self.logs = machine, workers, logs
        self._pool: list[_Worker] = []
        self._numbers = 0
        self._late: list[Event] = []

    # ------------------------------------------------------------ the executor's calls

    def warm(self, count: int) -> None:
        """Start workers ahead of their jobs: importing torch takes them seconds."""
        while len(self._pool) < min(count, self.workers):
            self._start()

    def has_room(self, threads: int) -> bool:
        """Room is a worker without a job and, without GPUs, as many cores without one."""
        busy = [worker.job.threads for worker in self._pool if worker.job is not None]
        if len(busy) >= self.workers:
            return False
        return bool(self.machine.gpus) or not busy or sum(busy) + threads <= self.machine.cores

    def submit(self, job: Job | Measurement) -> None:
        """Give the job to a worker without one, a new one if need be."""
        free = [w for w in self._pool if w.job is None and w.process.is_alive()]
        worker = free[0] if free else self._start()
        worker.job, worker.asked, worker.ended = job, False, processes_ended()
        worker.heard = worker.log.stat().st_size if worker.log.exists() else 0
        try:
            worker.pipe.send(job)
        except (BrokenPipeError, ConnectionResetError):
            self._late.append(self._bury(worker))

    def events(self, timeout: float) -> list[Event]:
        """What has happened, a worker's death too."""
        found, self._late = self._late, []
        deadline = time.monotonic() + (0 if found else timeout)
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not self._pool:
                time.sleep(left)
                return found
            ready = wait([worker.pipe for worker in self._pool], left)
            for worker in [w for w in self._pool if w.pipe in ready]:
                found += self._hear(worker)
            if found or time.monotonic() >= deadline:
                return found

    def answer(self, answer: Answer) -> None:
        """Tell the worker that waits."""
        for worker in self._pool:
            if worker.job is not None and worker.job.number == answer.job:
                with contextlib.suppress(OSError):  # of a worker that is gone `Died` will tell
                    worker.pipe.send(answer)

    def stop(self) -> None:
        """SIGTERM: a run saves and ends, a worker that only prepares dies."""
        for worker in self._pool:
            if worker.job is not None and not worker.asked:  # twice would end it unsaved
                worker.asked = True
                worker.process.terminate()

    def close(self) -> None:
        """End the workers; those that still train are asked to stop first, and save."""
        self.stop()
        for worker in self._pool:
            worker.pipe.close()  # one that has saved would wait here for its next job
            if worker.job is None:
                worker.process.kill()  # it holds nothing, and leaving takes torch a second
        deadline = time.monotonic() + GRACE
        for worker in self._pool:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._pool = []

    # ------------------------------------------------------------ workers

    def _start(self) -> _Worker:
        number = self._numbers
        self._numbers += 1
        alive = [worker for worker in self._pool if worker.process.is_alive()]
        taken = {worker.number % max(1, self.machine.gpus) for worker in alive}
        card = next((g for g in range(self.machine.gpus) if g not in taken), number)
        number = number if not self.machine.gpus else card
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        log = self.logs / f"worker-{number}.log"
        process = context.Process(
            target=main, args=(theirs, number, log, time.time()), name=f"tinyscale-{number}"
        )
        process.daemon = True
        with _environment(self._variables(card)):
            process.start()
        theirs.close()
        worker = _Worker(number, process, ours, log)
        self._pool.append(worker)
        return worker

    def _variables(self, card: int) -> dict[str, str]:
        # Threads that spin while they wait slow each other down as soon as cores are shared.
        variables = {"GOMP_SPINCOUNT": "0"}
        if self.machine.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self.machine.card(card)
        else:
            variables[PROGRAMS] = str(self.workers)
        return variables

    def _hear(self, worker: _Worker) -> Iterator[Event]:
        try:
            while worker.pipe.poll():
                event = worker.pipe.recv()
                if _ends(event):
                    worker.job = None
                yield event
        except (EOFError, ConnectionResetError):
            yield from [self._bury(worker)] if worker.job is not None else self._forget(worker)

    def _bury(self, worker: _Worker) -> Event:
        self._forget(worker)
        code = worker.process.exitcode
        memory = code == -signal.SIGKILL and processes_ended() != worker.ended
        if memory:
            why = "the system ended the worker for want of memory"
        elif code and code < 0:
            why = f"the worker was ended by {signal.Signals(-code).name}"
        else:
            why = f"the worker ended with code {code}"
        job = worker.job
        assert job is not None
        if isinstance(job, Measurement):
            return Measured(job.number, None, error=why)
        # One that died while it started has no log yet.
        told = worker.log.read_bytes()[worker.heard :] if worker.log.exists() else b""
        return Died(job.number, why, told[-4000:].decode(errors="replace"), memory)

    def _forget(self, worker: _Worker) -> list[Event]:
        worker.process.join(10.0)
        worker.pipe.close()
        self._pool.remove(worker)
        return []


def _ends(event: Event) -> bool:
    from sweeps.job import Ended

    return isinstance(event, Ended | Measured)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Environment variables for a child that starts inside; this process keeps its own."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
