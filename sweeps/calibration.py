"""Seconds a run will take: measured for its shape on this machine, once, and remembered."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scaling.budget import in_steps
from scaling.config import RunConfig
from scaling.tracking.folder import write_whole
from sweeps.job import Costs, Measured, Measurement

SECONDS = 0.6  # of steps that are timed
EVALUATING = 0.2  # seconds of an evaluation that is timed
ENDING = 2.0  # seconds a run takes at its end (samples, figures, store), until one was measured
STARTING = 4.0  # seconds until a worker is ready, until one was measured
BUSY = 0.75  # processes that want a core, a core, in the last minute
KEPT = 20  # endings that are remembered


def measure(request: Measurement) -> Measured:
    """Time a shape in this process: set-up, steps, an evaluation, a save."""
    try:
        return _measure(request)
    except Exception as error:  # an estimate less; the run itself will tell what is wrong
        return Measured(request.number, None, error=f"{type(error).__name__}: {error}")


def _measure(request: Measurement) -> Measured:
    from scaling.cohort import Cohort
    from scaling.data.cache import default_cache
    from scaling.data.prepare import prepare
    from scaling.evaluation import Evaluator
    from scaling.runtime import device_name, resolve
    from scaling.tracking.folder import RunFolder
    from scaling.trainer import Trainer

    config = request.config
    started = time.perf_counter()
    runtime = resolve(config.runtime)
    data = prepare(config.data)
    configs = [config.model_copy(update={"seed": k}) for k in range(request.members)]
    cohort = Cohort(configs, [data] * request.members, runtime, default_cache())
    trainer = Trainer(cohort, [], lambda _: None)
    setup = time.perf_counter() - started

    def step() -> None:
        float(trainer._train_step().sum())  # waits for a GPU as well
        trainer.step += 1

    for _ in range(2):  # the first ones compile and allocate
        step()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS or steps < 3:
        step()
        steps += 1
    seconds_a_step = (time.perf_counter() - started) / steps

    # An evaluation computes whole batches, so that whole batches are timed.
    batch = 2 * cohort.micro_size * config.data.context_length
    a_batch = seconds_a_step * batch / cohort.tokens_per_step / 3  # forward is a third
    limit = min(batch * max(1, round(EVALUATING / a_batch)), data.validation.tokens - 1)
    evaluator = Evaluator(data.validation, cohort._token_bytes, 2 * cohort.micro_size, limit)
    evaluator(cohort.model)
    started = time.perf_counter()
    evaluator(cohort.model)
    seconds_a_token = (time.perf_counter() - started) / (-(-limit // batch) * batch)

    place = Path(tempfile.mkdtemp(prefix="tinyscale-"))
    try:
        started = time.perf_counter()
        for k in range(request.members):
            cohort.save(k, RunFolder(place / str(k)), 1, {}, best=False, keep=None)
        save = time.perf_counter() - started
    finally:
        shutil.rmtree(place)
    costs = Costs(setup, seconds_a_step, seconds_a_token, save)
    return Measured(request.number, costs, device_name(runtime.device))


class Calibration:
    """What has been measured, by shape and machine; a file of the cache.

    On a machine that is busy with something else measurements hold for now, and are not kept.
    """

    def __init__(self, cache: Path, machine: str) -> None:
        self.load = os.getloadavg()[0] / (os.cpu_count() or 1)
        self.busy = self.load > BUSY
        self._file = cache / "calibration.json"
        self._machine = machine
        self._known: dict[str, Any] = (
            json.loads(self._file.read_text()) if self._file.exists() else {}
        )

    def costs(self, config: RunConfig, members: int, threads: int) -> Costs | None:
        """The costs of a shape, if they have been measured."""
        found = self._known.get(self._key(config, members, threads))
        return Costs(**found) if found else None

    def note(self, config: RunConfig, members: int, threads: int, costs: Costs) -> None:
        """Remember measured costs."""
        self._known[self._key(config, members, threads)] = asdict(costs)
        self._write()

    @property
    def ending(self) -> float:
        """Seconds around the training of a run: the median of those seen here."""
        seen = sorted(self._known.get(f"ending {self._machine}", []))
        return seen[len(seen) // 2] if seen else ENDING

    def note_endings(self, seconds: list[float]) -> None:
        """Remember what runs took besides their training and set-up."""
        name = f"ending {self._machine}"
        self._known[name] = [*self._known.get(name, []), *seconds][-KEPT:]
        self._write()

    @property
    def starting(self) -> float:
        """Seconds that a worker takes to be ready, as last seen here."""
        return float(self._known.get(f"starting {self._machine}", STARTING))

    def note_starting(self, seconds: float) -> None:
        """Remember what a worker took to be ready."""
        self._known[f"starting {self._machine}"] = seconds
        self._write()

    def _key(self, config: RunConfig, members: int, threads: int) -> str:
        shape = config.model_dump(mode="json", include={"model", "data", "batch", "runtime"})
        for field in ("fraction", "max_documents"):
            shape["data"].pop(field, None)
        shape |= {"optimizer": config.optimizer.kind, "members": members, "threads": threads}
        shape["evaluation"] = config.evaluation.model_dump(exclude={"every", "tokens", "prompts"})
        shape["machine"] = self._machine
        return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:24]

    def _write(self) -> None:
        if not self.busy:
            write_whole(self._file, json.dumps(self._known, indent=1))


def machine_name() -> str:
    """What a measurement holds for: processor or card, and torch's version."""
    import torch

    from scaling.runtime import device_name

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = device_name(device).split(" x ")[0]
    return f"{name}, {os.cpu_count()} cores, torch {torch.__version__}"


def training_seconds(config: RunConfig, steps: int, costs: Costs, eval_tokens: int) -> float:
    """Seconds in the trainer's loop of a cohort with these costs."""
    evaluations = _times(in_steps(config.evaluation.every, steps), steps)
    saves = evaluations | _times(in_steps(config.checkpoint.save_every, steps), steps)
    saves |= _times(in_steps(config.checkpoint.every, steps), steps)
    return (
        steps * costs.step
        + len(evaluations) * eval_tokens * costs.eval_token
        + len(saves) * costs.save
    )


def _times(every: int | None, total: int) -> set[int]:
    """The steps at which something is done that the trainer does `every` so many."""
    between = range(every, total, every) if every else range(0)
    return {0, total, *[s for s in between if every and total - s >= every // 2]}
