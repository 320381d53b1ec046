"""Timing on a machine that others use too: in turn, in one process, by medians."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from scaling.graph import UNWATCHED
from scaling.runtime import Runtime


@dataclass(frozen=True)
class Timing:
    """Seconds a call."""

    median: float
    best: float
    calls: int


def in_turn(
    jobs: Mapping[str, Callable[[], object]], seconds: float, warmup: int = 2, calls: int = 1
) -> tuple[dict[str, Timing], dict[str, list[float]]]:
    """Call the jobs one after another, round after round, for so many seconds in all.

    Each is called `calls` times at a time; a card is waited for after these only.
    Returns each job's timing and its raw series; the i-th entries of all series are neighbours in
    time, so their ratios hold while the machine's speed drifts.
    """
    for job in jobs.values():
        for _ in range(warmup):
            job()
    series: dict[str, list[float]] = {name: [] for name in jobs}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(series.values()))) < 3:
        for name, job in jobs.items():
            start = time.perf_counter()
            for _ in range(calls):
                job()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            series[name].append((time.perf_counter() - start) / calls)
    timings = {
        name: Timing(statistics.median(times), min(times), len(times))
        for name, times in series.items()
    }
    return timings, series


def unwatched(runtime: Runtime) -> int:
    """Training steps that a run on this device makes without waiting for it."""
    return UNWATCHED if runtime.device.type == "cuda" else 1


def median_ratio(above: list[float], below: list[float]) -> float:
    """The median of the ratios of neighbours."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
