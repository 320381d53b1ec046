"""How much memory there is; too little: told apart from other errors, and said in a sentence."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from scaling.errors import UserError, first_line

PROGRAMS = "TINYSCALE_PROGRAMS"  # in the environment: how many may start side by side


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the machine, has no more memory."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)  # torch's, of which that of a CPU has no class of its own
    said = ("allocate memory", "out of memory", "ALLOC_FAILED")  # the last is cuBLAS's and cuDNN's
    return isinstance(error, RuntimeError) and any(one in text for one in said)


def processes_ended(counters: Path = Path("/proc/vmstat")) -> int | None:
    """How many processes Linux has ended for want of memory since it started, in whatever control
    group; None where the system does not tell. A process cannot tell of its own end so."""
    try:
        counts = dict(line.split() for line in counters.read_text().splitlines())
        return int(counts["oom_kill"])  # since Linux 4.13
    except (OSError, ValueError, KeyError):
        return None


@contextmanager
def lack_of_memory_is_said(advice: str) -> Iterator[None]:
    """Raise `UserError`, with advice, in place of the error of too little memory."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        first = first_line(error)
        raise UserError(f"there is too little memory ({first}); {advice}.") from error


def available_bytes(group: Path = Path("/sys/fs/cgroup")) -> float:
    """Memory that a process can have without swapping; in a container of what that may have, and
    of programs that start side by side (the variable `PROGRAMS`) an equal share."""
    left = min(psutil.virtual_memory().available, _left_of(group))
    return left / int(os.environ.get(PROGRAMS, "1"))


def _left_of(group: Path) -> float:
    """What is left of a control group's limit; infinite where there is none."""
    try:
        most = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such group, or another version of them
        return math.inf
    # What files have left in memory makes room when asked.
    return math.inf if most == "max" else int(most) - used + int(stat.get("inactive_file", 0))
