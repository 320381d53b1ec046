"""What the machine has, and the rule for how it trains runs of a shape that nobody has timed.

`sweeps.advice` decides by what was measured, and asks the rule where nothing was.
"""

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from loky import cpu_count

from scaling.config import RunConfig
from scaling.memory import available_bytes

PER_THREAD = 32  # channels of d_model that each thread has at least, where there are over two
SMALL = 64  # d_model up to which a cohort is quicker than its runs one by one, on a CPU
CPU_MEMBERS = 4
GPU_MEMBERS = 16
SHARE = 0.6  # of the free memory that programs may fill


@dataclass(frozen=True, order=True)
class Way:
    """How runs of one shape are trained: so many in one program, of so many threads."""

    members: int
    threads: int


@dataclass(frozen=True)
class Machine:
    """Cores, cards and memory."""

    cores: int
    gpus: int
    free_bytes: float  # on the emptiest card, or of the machine where there is none
    visible: tuple[str, ...] = ()  # of CUDA_VISIBLE_DEVICES

    def card(self, index: int) -> str:
        """The name of a card for CUDA_VISIBLE_DEVICES."""
        return self.visible[index] if self.visible else str(index)

    @property
    def workers(self) -> int:
        """Processes that train at once, at most."""
        return self.gpus or self.cores

    def workers_of(self, asked: int | Literal["auto"]) -> int:
        """Processes of a sweep that asks for so many."""
        return self.workers if asked == "auto" else min(asked, self.workers)

    def at_once(self, way: Way, workers: int) -> int:
        """Programs of this way that train side by side, of so many workers."""
        return workers if self.gpus else max(1, min(workers, self.cores // way.threads))

    def fits(self, bytes_a_program: int, at_once: int) -> bool:
        """Whether so many programs of this size have room: on one card each, or side by side."""
        each = self.free_bytes if self.gpus else self.free_bytes / at_once
        return bytes_a_program <= SHARE * each


def this_machine(device: str) -> Machine:
    """This machine, as a config's `runtime.device` lets it be used."""
    cores = cpu_count()  # that this process may use: a container's quota counts
    driver = Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
    if device == "cpu" or not driver:  # known without importing torch
        return Machine(cores, 0, available_bytes())
    import torch

    if not torch.cuda.is_available():
        return Machine(cores, 0, available_bytes())
    gpus = torch.cuda.device_count()
    free = min(torch.cuda.mem_get_info(index)[0] for index in range(gpus))
    listed = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return Machine(cores, gpus, free, tuple(listed.split(",")) if listed else ())


class Others:
    """What other processes take of this machine's cores, from when it is made."""

    def __init__(self) -> None:
        self._began, self._all, self._ours = (
            time.monotonic(),
            _seconds_of_all(),
            _seconds_of_ours(),
        )

    def share(self) -> float:
        """Of all cores' time since then, 0 to 1; what a hypervisor took for others counts too."""
        cores = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        taken = (_seconds_of_all() - self._all) - (_seconds_of_ours() - self._ours)
        return min(1.0, max(0.0, taken / max(cores, 1e-9)))


def _seconds_of_all() -> float:
    """Seconds in which a core was not idle, of all cores since the machine started."""
    times = psutil.cpu_times()._asdict()
    idle = ("idle", "iowait", "guest", "guest_nice")  # a guest's are in `user` already
    return float(sum(seconds for name, seconds in times.items() if name not in idle))


def _seconds_of_ours() -> float:
    """Processor seconds of this process and those that it started and that still run."""
    total = 0.0
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def rule(config: RunConfig, bytes_a_run: int, machine: Machine, programs: int) -> Way:
    """Threads and members for runs of a shape that has not been timed.

    On a GPU a small model leaves most of the card idle: as many members as fit, up to 16. On CPUs
    the cores are shared out among the `programs` that can train at once: two threads make one run
    only 1.2 to 1.7 times as fast, so programs of one thread are the best where there are runs for
    all cores; and small shapes gain a little by cohorts (two-core EPYC, widths 32 to 256,
    docs/LOG.md). Beyond two cores the numbers are a rule of thumb.
    """
    if machine.gpus:
        fitting = int(SHARE * machine.free_bytes // max(1, bytes_a_run))
        return Way(max(1, min(GPU_MEMBERS, fitting)), threads=1)
    width = config.model.d_model
    threads = config.runtime.threads
    if threads is None:
        threads = max(1, min(machine.cores // programs, max(2, width // PER_THREAD)))
    return Way(CPU_MEMBERS if width <= SMALL else 1, min(threads, machine.cores))
