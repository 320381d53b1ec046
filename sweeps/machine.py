"""What the machine has, and how many runs it trains at once: the rules, until measured ones come.

`advise` is the one place that decides threads and members; what decides by measurement takes its
place with the same answer.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from scaling.config import RunConfig

NARROW = 96  # d_model up to which one thread a run is best
SMALL = 64  # d_model up to which a cohort is quicker than its runs one by one, on a CPU
CPU_MEMBERS = 4
GPU_MEMBERS = 16
GPU_SHARE = 0.6  # of the free memory that a cohort may fill


@dataclass(frozen=True)
class Machine:
    """Cores, cards and memory."""

    cores: int
    gpus: int
    gpu_bytes: int  # free on the emptiest card
    visible: tuple[str, ...] = ()  # of CUDA_VISIBLE_DEVICES

    def card(self, index: int) -> str:
        """The name of a card for CUDA_VISIBLE_DEVICES."""
        return self.visible[index] if self.visible else str(index)

    @property
    def workers(self) -> int:
        """Processes that train at once, at most."""
        return self.gpus or self.cores


@dataclass(frozen=True)
class Advice:
    """How a run is best trained here."""

    threads: int
    members: int  # the most runs in one program


def this_machine(device: str) -> Machine:
    """This machine, as a config's `runtime.device` lets it be used."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    cores = cores or os.cpu_count() or 1
    driver = Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
    if device == "cpu" or not driver:  # known without importing torch
        return Machine(cores, 0, 0)
    import torch

    if not torch.cuda.is_available():
        return Machine(cores, 0, 0)
    gpus = torch.cuda.device_count()
    free = min(torch.cuda.mem_get_info(index)[0] for index in range(gpus))
    listed = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return Machine(cores, gpus, free, tuple(listed.split(",")) if listed else ())


def advise(config: RunConfig, bytes_a_run: int, machine: Machine) -> Advice:
    """Threads and members for runs of this shape.

    On a GPU a small model leaves most of the card idle: as many members as fit, up to 16. On CPUs
    two processes of one thread beat one of two below d_model 96, and cohorts gain 10 to 15 % at
    d_model 64 (two-core EPYC, docs/LOG.md); wider models use their cores by themselves. Beyond
    two cores the numbers of threads are a rule of thumb.
    """
    if machine.gpus:
        fitting = int(GPU_SHARE * machine.gpu_bytes // max(1, bytes_a_run))
        return Advice(threads=1, members=max(1, min(GPU_MEMBERS, fitting)))
    width = config.model.d_model
    threads = 1 if width <= NARROW else 2 if width <= 256 else 4
    members = CPU_MEMBERS if width <= SMALL else 1
    if config.runtime.threads is not None:
        threads = config.runtime.threads
    return Advice(threads=min(threads, machine.cores), members=members)
