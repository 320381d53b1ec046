"""The runs that a sweep wants: a config for each point and seed, each with its key."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from scaling.config import RunConfig
from scaling.config.schedule import WarmupStableDecay
from scaling.data.content import with_content
from scaling.errors import UserError
from scaling.recipes import parse_value, validate
from scaling.tracking.members import Key, Members
from sweeps.axes import Point, label_of, points_of
from sweeps.reading import Sweep
from sweeps.space import Space

if TYPE_CHECKING:
    from sweeps.job import Config


class Run(Protocol):
    """A run that is wanted, as the driver knows it: a training, or an adaptation."""

    @property
    def config(self) -> "Config":
        """All that decides it."""
        ...

    @property
    def key(self) -> Key:
        """What it is known by."""
        ...

    @property
    def labels(self) -> dict[str, str]:
        """What varies, its seed too."""
        ...

    @property
    def trial(self) -> int | None:
        """Of a search."""
        ...


@dataclass(frozen=True)
class Wanted:
    """One run that the sweep wants."""

    config: RunConfig
    point: Point
    trial: int | None = None  # of a search
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        # Hashing a config takes a millisecond, and keys are asked for all the time.
        object.__setattr__(self, "key", (self.config.identity, self.config.seed))

    @property
    def labels(self) -> dict[str, str]:
        """What varies, its seed too."""
        return {**self.point.labels, "seed": str(self.config.seed)}


def wanted_runs(sweep: Sweep) -> list[Wanted]:
    """Every run of a grid, seeds of one point beside each other; each key once."""
    runs: dict[Key, Wanted] = {}
    for point in points_of(sweep.spec):
        for run in runs_of(sweep, point):
            runs.setdefault(run.key, run)
    return list(runs.values())


def runs_of(sweep: Sweep, point: Point, trial: int | None = None) -> list[Wanted]:
    """The runs of one point, a seed each; `UserError` where the point makes no valid config."""
    told = f"{sweep.source}: {point.text()}" if point.labels else sweep.source
    tree, trail = sweep.tree(point.settings, told)
    tree["name"] = run_name(sweep.spec.name, point)
    config = with_content(validate(tree, trail))
    seeds = sweep.spec.seeds or (config.seed,)
    return [Wanted(config.model_copy(update={"seed": s}), point, trial) for s in seeds]


def members_of(runs: Iterable[Wanted], *, grows: bool) -> Members:
    """The runs, and the branches that theirs leave on the way, as the sweep's members."""
    found: dict[Key, dict[str, str]] = {}
    for run in runs:
        found[run.key] = run.labels
        schedule = run.config.schedule
        if isinstance(schedule, WarmupStableDecay) and schedule.branches:
            from scaling.branches import branch_config

            for share in schedule.branches:
                key = (branch_config(run.config, share).identity, run.config.seed)
                found[key] = run.labels
    return Members(found, grows)


def check_space(sweep: Sweep, space: Space) -> list[Wanted]:
    """Raise one sentence for a space whose ends make no config; else the runs at its ends.

    A parameter that the base config's variant does not have shows here, before anything runs.
    """
    for name in space.fields:
        if name.split(".")[0] == "budget" and sweep.spec.budget:
            raise UserError(f"the sweep has a budget, and search.space.{name} another.")
    return [run for point in space.corners() for run in runs_of(sweep, point)[:1]]


def run_name(sweep: str, point: Point) -> str:
    """`width-d_model=64`, fit for a folder."""
    text = re.sub(r"[^A-Za-z0-9._+=,-]+", "_", f"{sweep}-{point.text()}").strip("-_")
    return text if len(text) <= 96 else f"{text[:96]}"


def select(runs: Sequence[Wanted], only: Sequence[str]) -> list[Wanted]:
    """The runs that every `axis=value` of `only` names; several values: `axis=a,b`."""
    kept = list(runs)
    for text in only:
        axis, equals, values = text.partition("=")
        axes = sorted({name for run in runs for name in run.labels})
        close = [name for name in axes if _last(name) == _last(axis)]
        meant = [axis] if axis in axes else close
        if not equals or not meant:
            raise UserError(f"--only {text}: it is axis=value, with an axis of {', '.join(axes)}.")
        if len(meant) > 1:
            raise UserError(f"--only {text}: {axis} may be {' or '.join(meant)}; say which.")
        name = meant[0]
        labels = list(dict.fromkeys(run.labels[name] for run in runs if name in run.labels))
        chosen = {_label(value, labels) for value in _values(values, labels)}
        if strange := chosen - set(labels):
            told = ", ".join(labels)
            raise UserError(f"--only {text}: {name} is never {min(strange)}; it is {told}.")
        kept = [run for run in kept if run.labels.get(name) in chosen]
    if only and not kept:
        raise UserError(f"--only {' '.join(only)} leaves no run of the sweep.")
    return kept


def _last(dotted: str) -> str:
    return dotted.rsplit(".", 1)[-1]


def _values(text: str, labels: Sequence[str]) -> list[str]:
    """The values between commas; a label may have one itself."""
    return [text] if text in labels else text.split(",")


def _label(text: str, labels: Sequence[str]) -> str:
    """A value as tables show it: `3.0e-3` is 0.003 there."""
    return text if text in labels else label_of(parse_value(text))
