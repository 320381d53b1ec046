"""Which runs can train together, and how they are split into programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from scaling.config import RunConfig
from sweeps.ledger import Known
from sweeps.machine import Way
from sweeps.sizes import Size, size_of
from sweeps.wanted import Run, Wanted

R_co = TypeVar("R_co", bound=Run, covariant=True)


@dataclass(frozen=True)
class Program(Generic[R_co]):
    """Runs that are made together, by one worker."""

    runs: tuple[R_co, ...]
    known: tuple[Known | None, ...]  # the half-done run that each goes on from
    threads: int


@dataclass(frozen=True)
class Group:
    """Runs of one shape that stand at one step: any of them can train as one program."""

    runs: tuple[Wanted, ...]
    known: tuple[Known | None, ...]  # the half-done run that each goes on from
    size: Size  # of the first; shape and steps are the same in all

    @property
    def config(self) -> RunConfig:
        """Of the first."""
        return self.runs[0].config


@dataclass(frozen=True)
class Cohort(Program[Wanted]):
    """Runs that train as one program."""

    size: Size

    @property
    def config(self) -> RunConfig:
        """Of the first."""
        return self.runs[0].config

    @property
    def way(self) -> Way:
        """How these train."""
        return Way(len(self.runs), self.threads)

    @property
    def begun(self) -> int:
        """Steps that are done."""
        return (self.known[0].step or 0) if self.known[0] else 0

    @property
    def work(self) -> float:
        """FLOPs of all of them: the longest goes first."""
        return len(self.runs) * self.size.budget.flops


def group(todo: Sequence[tuple[Wanted, Known | None]]) -> list[Group]:
    """The runs by what can train together."""
    found: dict[tuple[str, bool, int | None, int], list[tuple[Wanted, Known | None]]] = {}
    for run, known in todo:
        begun = known is not None and known.folder is not None
        step = known.step if known is not None else None
        steps = size_of(run.config).budget.steps
        found.setdefault((run.config.cohort_key, begun, step, steps), []).append((run, known))
    groups = []
    for pairs in found.values():
        runs, known_runs = zip(*pairs, strict=True)
        groups.append(Group(runs, known_runs, size_of(runs[0].config)))
    return groups


def split(groups: Sequence[Group], ways: Sequence[Way]) -> list[Cohort]:
    """Each group in even parts of at most its way's members: half-done ones first, then the
    longest."""
    cohorts = []
    for one, way in zip(groups, ways, strict=True):
        count = len(one.runs)
        parts = -(-count // way.members)
        for k in range(parts):
            part = slice(k * count // parts, (k + 1) * count // parts)
            cohorts.append(Cohort(one.runs[part], one.known[part], way.threads, one.size))
    return sorted(cohorts, key=lambda c: (c.known[0] is None, -c.threads, -c.work))
