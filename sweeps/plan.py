"""What a sweep will do, before it does: every run with its size, time and state, and warnings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scaling.tracking.members import Key
from sweeps.advice import Advisor
from sweeps.cohorts import Cohort
from sweeps.estimate import seconds_of, wall_seconds
from sweeps.ledger import Known
from sweeps.objections import objections
from sweeps.sizes import Size
from sweeps.wanted import Wanted


@dataclass(frozen=True)
class Row:
    """One run of the plan."""

    run: Wanted
    size: Size
    state: str  # missing, or a ledger's word
    left: float  # the share of its steps that is to be done
    cohort: int | None  # which program it is trained in; None: nothing is to be done
    memory: int  # bytes of that program
    seconds: float | None  # its share of the program's


@dataclass(frozen=True)
class Plan:
    """All runs, and what making the missing ones takes."""

    rows: list[Row]
    cohorts: list[Cohort]
    seconds: list[float | None]  # of each cohort
    wall: float | None
    warnings: list[str]
    ways: list[str]  # how the runs are divided into programs, in words
    asked: int | None = None  # of a search: runs to ask for yet; the rows are those at its ends

    @property
    def todo(self) -> int:
        """Runs that are to be made."""
        if self.asked is not None:
            return self.asked
        return sum(len(cohort.runs) for cohort in self.cohorts)

    @property
    def tokens(self) -> int:
        """Tokens to train on."""
        return round(self._of_todo([row.left * row.size.tokens for row in self._open]))

    @property
    def flops(self) -> float:
        """FLOPs to train with."""
        return self._of_todo([row.left * row.size.flops for row in self._open])

    @property
    def busy(self) -> float:
        """Seconds of workers, where they are known."""
        return self._of_todo([row.seconds or 0.0 for row in self._open])

    @property
    def _open(self) -> list[Row]:
        return [row for row in self.rows if self.asked is not None or row.cohort is not None]

    def _of_todo(self, each: Sequence[float]) -> float:
        """The sum; of a search what its runs come to, if they are as those at its ends."""
        return sum(each) if self.asked is None else self.asked * sum(each) / len(each)


def make_plan(
    runs: Sequence[Wanted],
    known: dict[Key, Known],
    sizes: dict[Key, Size],
    cohorts: list[Cohort],
    advisor: Advisor,
) -> Plan:
    """Put together what is known beforehand."""
    seconds = seconds_of(cohorts, advisor.calibration)
    place = {run.key: i for i, cohort in enumerate(cohorts) for run in cohort.runs}
    rows = []
    for run in runs:
        i = place.get(run.key)
        there = known.get(run.key)
        cohort = None if i is None else cohorts[i]
        each = None if i is None else seconds[i]
        rows.append(
            Row(
                run,
                sizes[run.key],
                there.state if there else "missing",
                1.0 - cohort.begun / cohort.size.budget.steps if cohort else 1.0,
                i,
                _memory(cohort, advisor) if cohort else 0,
                each / len(cohort.runs) if each is not None and cohort else None,
            )
        )
    measured = [takes for takes in seconds if takes is not None]
    wall = None
    if len(measured) == len(seconds):
        wall = wall_seconds(cohorts, measured, advisor.machine, advisor.workers)
    found = objections(advisor.spec, [(row.run.config, row.size) for row in rows])
    found += _too_large(cohorts, advisor)
    return Plan(rows, cohorts, seconds, wall, found, ways(cohorts, advisor))


def ways(cohorts: Sequence[Cohort], advisor: Advisor) -> list[str]:
    """How the runs are divided, one line for each way: programs, members, threads."""
    found = Counter(
        (cohort.way, len(advisor.calibration.ways(cohort.config))) for cohort in cohorts
    )
    lines = []
    for (way, timed), count in sorted(found.items()):
        programs = f"{count} program{'s' * (count > 1)} of {way.members}"
        runs = f" run{'s' * (way.members > 1)}"
        threads = f" on {way.threads} thread{'s' * (way.threads > 1)}"
        if advisor.machine.gpus:
            threads = ""
        at_once = min(count, advisor.at_once(way))
        why = f"the best of {timed} timed" if timed > 1 else "by rule"
        lines.append(f"{programs}{runs}{threads}, {at_once} at once: {why}")
    return lines


def _too_large(cohorts: Sequence[Cohort], advisor: Advisor) -> list[str]:
    """A warning where programs have no room side by side.

    One that chooses its micro-batch takes of the memory what is there, one sequence at least.
    """
    machine = advisor.machine
    for cohort in cohorts:
        own = cohort.config.batch.micro_size == "auto"
        least = len(cohort.runs) * (cohort.size.weights + cohort.size.sequence)
        each = least if own else _memory(cohort, advisor)
        at_once = 1 if machine.gpus else min(len(cohorts), advisor.at_once(cohort.way))
        if at_once * each > machine.free_bytes:
            beside = f"{at_once} such programs side by side have" if at_once > 1 else "it has"
            return [
                f"{cohort.config.name} takes {each / 1e6:,.0f} MB, and {beside}"
                f" {machine.free_bytes / 1e6:,.0f} MB: fewer `workers`, a smaller `cohort` or a"
                " smaller batch.micro_size would help"
            ]
    return []


def _memory(cohort: Cohort, advisor: Advisor) -> int:
    """Bytes of a program: the peak that was measured, or an estimate from shapes."""
    costs = advisor.calibration.costs(cohort.config, cohort.way)
    if costs is not None and costs.peak is not None:
        return costs.peak
    return len(cohort.runs) * cohort.size.bytes_of(cohort.config)
