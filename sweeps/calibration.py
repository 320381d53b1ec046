"""What ways of training shapes cost on this machine: measured once, and remembered."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from loky import cpu_count

from scaling.budget import in_steps
from scaling.config import RunConfig
from scaling.tracking.folder import write_whole
from sweeps.job import Costs
from sweeps.machine import Way

ENDING = 0.5  # seconds a run takes at its end (samples, figures, store), until one was measured
STARTING = 4.0  # seconds until a worker is ready, until one was measured
BUSY = 0.1  # of the machine's cores, taken by others
KEPT = 20  # endings that are remembered


class Calibration:
    """What has been measured, by shape, way and machine; a file of the cache.

    On a machine that is busy with something else measurements hold for now, and are not kept.
    """

    def __init__(self, cache: Path, machine: str) -> None:
        self.others = 0.0  # the most that others took of the cores while something was timed
        self._file = cache / "calibration.json"
        self._machine = machine
        self._known: dict[str, Any] = self._read()

    def _read(self) -> dict[str, Any]:
        # There is no file yet, or a power cut has torn it: what it said can be measured again.
        with suppress(FileNotFoundError, ValueError):
            known: dict[str, Any] = json.loads(self._file.read_text())
            return known
        return {}

    def ways(self, config: RunConfig) -> dict[Way, Costs]:
        """The ways of training this shape that have been timed, and what they cost."""
        found = self._known.get(self._shape(config), {})
        return {
            Way(*map(int, name.split("x"))): Costs(**costs)
            for name, costs in sorted(found.items())
        }

    def costs(self, config: RunConfig, way: Way) -> Costs | None:
        """The costs of a way: as timed, or between and beyond what was timed with its threads."""
        timed = self.ways(config)
        if way in timed:
            return timed[way]
        alike = sorted(other for other in timed if other.threads == way.threads)
        if not alike:
            return None
        below = [other for other in alike if other.members < way.members]
        above = [other for other in alike if other.members > way.members]
        if not (below and above):
            near = below[-1] if below else above[0]
            return timed[near].times(way.members / near.members)
        low, high = below[-1], above[0]
        share = (way.members - low.members) / (high.members - low.members)
        return _mean([timed[low], timed[high]], [1 - share, share])

    @property
    def busy(self) -> bool:
        """Whether something else ran beside what was timed."""
        return self.others > BUSY

    def note(self, config: RunConfig, way: Way, costs: Sequence[Costs], others: float) -> None:
        """Remember what the processes that timed a way side by side found.

        `others` is the share of the machine's cores that went elsewhere meanwhile.
        """
        self.note_others(others)
        shape = self._shape(config)
        known = self._known.setdefault(shape, {})
        known[f"{way.members}x{way.threads}"] = asdict(_mean(costs, [1 / len(costs)] * len(costs)))
        self._keep(shape)

    def note_others(self, share: float) -> None:
        """Something was timed, with so much of the machine's cores taken by others."""
        self.others = max(self.others, share)

    @property
    def ending(self) -> float:
        """Seconds around the training of a run: the median of those seen here."""
        seen = sorted(self._known.get(f"ending {self._machine}", []))
        return seen[len(seen) // 2] if seen else ENDING

    def note_endings(self, seconds: list[float]) -> None:
        """Remember what runs took besides their training and set-up."""
        name = f"ending {self._machine}"
        self._known[name] = [*self._known.get(name, []), *seconds][-KEPT:]
        self._keep(name)

    @property
    def starting(self) -> float:
        """Seconds that a worker takes to be ready, as last seen here."""
        return float(self._known.get(f"starting {self._machine}", STARTING))

    def note_starting(self, seconds: float) -> None:
        """Remember what a worker took to be ready."""
        name = f"starting {self._machine}"
        self._known[name] = seconds
        self._keep(name)

    def _shape(self, config: RunConfig) -> str:
        return f"shape {_shape_hash(config)} {self._machine}"

    def _keep(self, name: str) -> None:
        """Keep what goes by this name, beside what other commands have measured meanwhile."""
        if self.busy:
            return
        with suppress(OSError):  # a cache that is another's: it is measured again next time
            kept = self._read() | {name: self._known[name]}
            write_whole(self._file, json.dumps(kept, indent=1))


@lru_cache(maxsize=4096)
def _shape_hash(config: RunConfig) -> str:
    shape = config.model_dump(mode="json", include={"model", "data", "batch", "runtime"})
    for field in ("fraction", "max_documents"):
        shape["data"].pop(field, None)
    shape["optimizer"] = config.optimizer.kind
    shape["evaluation"] = config.evaluation.model_dump(exclude={"every", "tokens", "prompts"})
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:24]


def _mean(costs: Sequence[Costs], weights: Sequence[float]) -> Costs:
    """The mean by weights that sum to one."""

    def mean(values: Sequence[float]) -> float:
        return sum(weight * value for weight, value in zip(weights, values, strict=True))

    peaks = [c.peak for c in costs if c.peak is not None]
    return Costs(
        setup=mean([c.setup for c in costs]),
        step=mean([c.step for c in costs]),
        eval_token=mean([c.eval_token for c in costs]),
        save=mean([c.save for c in costs]),
        measuring=mean([c.measuring for c in costs]),
        peak=round(mean(peaks)) if len(peaks) == len(costs) else None,
    )


def machine_name() -> str:
    """What a measurement holds for: processor or card, cores, precision, torch's version."""
    import torch

    from scaling.runtime import device_name, has_fast_bf16

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = device_name(device).split(" x ")[0]
    # Processors with bf16 and without can have one name.
    precision = "bf16" if has_fast_bf16(device) else "fp32"
    return f"{name}, {cpu_count()} cores, {precision}, torch {torch.__version__}"


def training_seconds(
    config: RunConfig, stretches: Sequence[tuple[int, int]], costs: Costs, eval_tokens: int
) -> float:
    """Seconds in the trainer's loop of a cohort with these costs, from step to step of each."""
    # A branch is saved before it begins, too.
    return (len(stretches) - 1) * costs.save + sum(
        _loop_seconds(config, first, last, costs, eval_tokens) for first, last in stretches
    )


def _loop_seconds(
    config: RunConfig, first: int, last: int, costs: Costs, eval_tokens: int
) -> float:
    """Seconds from step `first` to `last`, the end."""
    evaluations = _due(in_steps(config.evaluation.every, last), first, last)
    saves = evaluations | _due(in_steps(config.checkpoint.save_every, last), first, last)
    saves |= _due(in_steps(config.checkpoint.every, last), first, last)
    passes = 1 if config.evaluation.ema is None else 2  # the averaged weights are judged too
    return (
        (last - first) * costs.step
        + len(evaluations) * passes * eval_tokens * costs.eval_token
        + len(saves) * costs.save
    )


def evaluations(config: RunConfig, steps: int) -> int:
    """How often a run of so many steps is validated."""
    return len(_due(in_steps(config.evaluation.every, steps), 0, steps))


def _due(every: int | None, first: int, total: int) -> set[int]:
    """The steps from `first` on at which something is done that the trainer does `every` so
    many."""
    between = range(every, total, every) if every else range(0)
    steps = {0, total, *[s for s in between if every and total - s >= every // 2]}
    return {step for step in steps if step >= first}
