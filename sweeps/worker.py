"""The process that trains: takes jobs, one after another, and tells the driver of them."""

import contextlib
import importlib
import os
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from scaling.adapt.config import AdaptConfig
from scaling.signals import stop_here
from sweeps.channel import Channel
from sweeps.job import Answer, Ended, Job, Measurement, Ready


def main(pipe: Connection, number: int, log: Path, started: float) -> None:
    """Serve the driver at the other end of `pipe` until it is gone."""
    with contextlib.suppress(OSError):  # already a leader, under some launchers
        os.setsid()  # a terminal's Ctrl-C is the driver's to hear
    _redirect(log)
    channel = Channel(pipe)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    for module in ("mlflow", "matplotlib.figure"):  # now, rather than in the first job
        importlib.import_module(module)
    import torch

    from scaling.runtime import release_memory
    from sweeps.measuring import measure

    channel.send(Ready(number, time.time() - started))
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionResetError):  # the driver is gone
            return
        if isinstance(job, Answer):  # that came too late
            continue
        torch.set_num_threads(job.threads)
        channel.send(measure(job) if isinstance(job, Measurement) else _run(job, channel))
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            release_memory()  # before the next one counts what is free


def _run(job: Job, channel: Channel) -> Ended:
    """Make a job's runs, whichever they are."""
    if isinstance(job.members[0].config, AdaptConfig):
        from sweeps.adapting.work import run_job as adapt

        return adapt(job, channel)
    from sweeps.training import run_job

    return run_job(job, channel)


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
    stop_here()
