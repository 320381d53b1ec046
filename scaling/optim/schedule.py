"""Learning rate schedules: the rate of a step over the peak rate, as plain functions."""

import math

from scaling.config import (
    Constant,
    Cosine,
    InverseSqrt,
    Linear,
    ScheduleConfig,
    WarmupStableDecay,
)


def lr_factor(schedule: ScheduleConfig, step: int, total: int) -> float:
    """The rate of update `step` (from 0, of `total`) over the peak rate.

    The last update of the warmup is at the peak, the last of the run at `final` times it.
    """
    warmup = warmup_steps(schedule.warmup, total)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step + 1 - warmup) / max(1, total - warmup)
    match schedule:
        case Cosine(final=final):
            return _between(final, 0.5 * (1 + math.cos(math.pi * progress)))
        case Linear(final=final):
            return _between(final, 1 - progress)
        case WarmupStableDecay(final=final):
            decay = decay_steps(schedule.decay, total)
            start = total - decay
            return (
                1.0 if step < start else _between(final, _fall(schedule, step + 1 - start, decay))
            )
        case InverseSqrt():
            return math.sqrt(max(1, warmup) / (step + 1))
        case Constant():
            return 1.0


def notice(schedule: ScheduleConfig, total: int) -> str | None:
    """What a run of `total` steps makes of a schedule that is too long for it, as a sentence."""
    warmup = warmup_steps(schedule.warmup, total)
    if warmup >= total > 1:
        return (
            f"schedule.warmup {schedule.warmup:g} lasts {warmup:,} steps and the run {total:,}:"
            " the rate only rises, to the end."
        )
    if isinstance(schedule, WarmupStableDecay):
        decay = decay_steps(schedule.decay, total)
        if warmup + decay > total > 1:
            return (
                f"schedule.warmup {schedule.warmup:g} and schedule.decay {schedule.decay:g} last"
                f" {warmup:,} and {decay:,} steps and the run {total:,}: the warmup reaches into"
                " the decay, and the rate jumps down where it ends."
            )
    return None


def _between(final: float, share: float) -> float:
    """From 1 where `share` is 1 to `final` where it is 0."""
    return final + (1 - final) * share


def _fall(schedule: WarmupStableDecay, done: int, decay: int) -> float:
    """What is left of the way from peak to final after `done` of the `decay` steps."""
    progress = done / decay
    match schedule.shape:
        case "linear":
            return 1 - progress
        case "sqrt":
            return 1 - math.sqrt(progress)
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))


def warmup_steps(warmup: float, total: int) -> int:
    """A warmup of a config (a float is a share of the run, an int steps) in whole steps."""
    return round(warmup * total) if isinstance(warmup, float) else warmup


def decay_steps(decay: float, total: int) -> int:
    """A decay of a config (a float is a share of the run, an int steps), one step or more."""
    return max(1, round(decay * total)) if isinstance(decay, float) else min(decay, total)
