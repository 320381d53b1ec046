"""What a worker does to time a way of training a shape."""

import ctypes
import re
import shutil
import tempfile
import time
from pathlib import Path

import psutil
import torch

from scaling.cohort import Cohort
from scaling.data.cache import default_cache
from scaling.data.prepare import prepare
from scaling.graph import PLAIN_CALLS, UNWATCHED
from scaling.runtime import release_memory, resolve
from scaling.tracking.folder import RunFolder
from scaling.trainer import Trainer
from sweeps.job import Costs, Measured, Measurement

SECONDS = 0.6  # of steps that are timed
EVALUATING = 0.2  # seconds of an evaluation that is timed


def measure(request: Measurement) -> Measured:
    """Time a shape in this process: set-up, steps, an evaluation, a save."""
    try:
        return Measured(request.number, _measure(request))
    except Exception as error:  # an estimate less; the run itself will tell what is wrong
        return Measured(request.number, None, error=f"{type(error).__name__}: {error}")


def _measure(request: Measurement) -> Costs:
    config, members = request.config, request.way.members
    began = time.perf_counter()
    runtime = resolve(config.runtime)
    before = _forget_peak(runtime.device)
    data = prepare(config.data)
    configs = [config.model_copy(update={"seed": k}) for k in range(members)]
    cohort = Cohort(configs, [data] * members, runtime, default_cache())
    trainer = Trainer(cohort, [], lambda _: None)
    setup = time.perf_counter() - began

    on_card = runtime.device.type == "cuda"

    def do(steps: int) -> None:
        for _ in range(steps):
            trainer.train_step()
        float(trainer.progress.loss_sum.sum())  # waits for a card as well

    do(PLAIN_CALLS + 1 if on_card else 1)  # the first ones compile, allocate, and record
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS or steps < 2:
        do(UNWATCHED if on_card else 1)
        steps += UNWATCHED if on_card else 1
    seconds_a_step = (time.perf_counter() - started) / steps

    # An evaluation computes whole batches, so that whole batches are timed.
    batch = cohort.evaluation_rows * config.data.context_length
    a_batch = seconds_a_step * batch / cohort.tokens_per_step / 3  # forward is a third
    limit = min(batch * max(1, round(EVALUATING / a_batch)), data.validation.tokens - 1)
    evaluator = cohort.evaluator(data.validation, limit)
    if on_card:
        evaluator(cohort.model)  # which compiles
    started = time.perf_counter()
    evaluator(cohort.model)
    seconds_a_token = (time.perf_counter() - started) / (-(-limit // batch) * batch)

    place = Path(tempfile.mkdtemp(prefix="tinyscale-"))
    try:
        started = time.perf_counter()
        for k in range(members):
            cohort.save(k, RunFolder(place / str(k)), 1, {}, best=False, keep=None)
        save = time.perf_counter() - started
    finally:
        shutil.rmtree(place)
    peak = _peak(runtime.device)
    return Costs(
        setup,
        seconds_a_step,
        seconds_a_token,
        save,
        time.perf_counter() - began,
        None if peak is None or before is None else peak - before,
    )


def _forget_peak(device: torch.device) -> int | None:
    """Begin to look for the most memory from here on; returns what is in use now."""
    release_memory()  # of the program that was timed before
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_reserved()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc's; others keep less
        trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM (Linux, man 5 proc)
    except OSError:  # another system, or one that forbids it: memory stays an estimate
        return None
    return int(psutil.Process().memory_info().rss)


def _peak(device: torch.device) -> int | None:
    """The most memory since `_forget_peak`, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved()
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return 1024 * int(found[1]) if found else None
