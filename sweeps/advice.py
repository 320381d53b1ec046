"""How many runs a program, how many programs at once, how many threads each: by measurement.

What is asked is which runs there are, what ways of training their shapes cost on this machine
(`sweeps.calibration`), and what memory they take; the answer is the division of the runs with the
earliest end. Every way that was timed is among what is compared, alone for all runs as well, so
that by its own measurements the answer is never behind the best single way.
"""

from collections.abc import Sequence

from scaling.config import RunConfig
from sweeps.calibration import Calibration
from sweeps.cohorts import Cohort, Group, group, split
from sweeps.estimate import seconds_of, wall_seconds
from sweeps.job import Costs
from sweeps.ledger import Known
from sweeps.machine import Machine, Way, rule
from sweeps.sizes import size_of
from sweeps.spec import SweepSpec
from sweeps.wanted import Wanted

ENDLESS = 2**30  # runs of a search, as far as the rule is concerned


class Advisor:
    """Answers for a sweep on a machine, from what has been timed there until now.

    `alone`: every run by itself, where runs may be pruned: a pruned member of a program frees
    nothing.
    """

    as_one = False

    def __init__(
        self, spec: SweepSpec, machine: Machine, calibration: Calibration, *, alone: bool
    ) -> None:
        self.spec, self.machine, self.calibration = spec, machine, calibration
        self.members = 1 if alone else None if spec.cohort == "auto" else spec.cohort
        self.workers = machine.workers_of(spec.workers)

    def form(self, todo: Sequence[tuple[Wanted, Known | None]]) -> list[Cohort]:
        """The runs as programs, in the order in which they are to start."""
        groups = group(todo)
        options = [self.options(one) for one in groups]
        divisions = [split(groups, ways) for ways in self._combinations(groups, options)]
        if len(divisions) == 1:
            return divisions[0]
        return min(divisions, key=self._wall)

    def options(self, one: Group) -> list[Way]:
        """The ways of training a group that have been timed and are allowed, the fastest first."""
        timed = self.calibration.ways(one.config)
        if self.members is not None:
            timed = self._with_members(one.config, timed, self.members)
        fitting = {w: c for w, c in timed.items() if self.allows(one.config, w, len(one.runs))}
        return sorted(fitting, key=lambda way: -self.rate(way, fitting[way]))

    def allows(self, config: RunConfig, way: Way, runs: int) -> bool:
        """Whether a way is within what the spec, the config, the cores and the memory allow."""
        own = 1 if self.machine.gpus else config.runtime.threads  # which decide little on a card
        if way.threads > self.machine.cores or (own is not None and way.threads != own):
            return False
        if self.members is not None and way.members != self.members:
            return False
        if way.members >= 2 * runs and way.members > (self.members or 1):
            return False
        costs = self.calibration.costs(config, way)
        measured = costs.peak if costs is not None else None
        peak = way.members * size_of(config).bytes_of(config) if measured is None else measured
        return way.members == 1 or self.machine.fits(peak, self.at_once(way))

    def rule(self, config: RunConfig, runs: int = ENDLESS) -> Way:
        """The way for a shape that nobody has timed, where there are so many runs in all."""
        programs = min(runs, self.workers)
        way = rule(config, size_of(config).bytes_of(config), self.machine, programs)
        # A second job for every worker evens out what is left at the end; one worker needs none.
        most = runs if self.workers == 1 else max(1, runs // (2 * self.workers))
        return Way(self.members or min(way.members, most), way.threads)

    def rate(self, way: Way, costs: Costs) -> float:
        """Steps of runs a second, of all programs at once."""
        return self.at_once(way) * way.members / costs.step

    def at_once(self, way: Way) -> int:
        """Programs of this way side by side."""
        return self.machine.at_once(way, self.workers)

    def fill(self, config: RunConfig) -> int:
        """Runs of this shape that keep the machine busy at its best rate."""
        timed = self.calibration.ways(config)
        ways = [way for way in timed if self.allows(config, way, way.members)]
        best = max(ways, key=lambda w: self.rate(w, timed[w]), default=self.rule(config))
        return best.members * self.at_once(best)

    def _combinations(
        self, groups: Sequence[Group], options: Sequence[list[Way]]
    ) -> list[tuple[Way, ...]]:
        """A way for each group: each one's fastest, of at most so many members; each one way for
        all groups that know it."""
        total = sum(len(one.runs) for one in groups)
        plain = [self.rule(one.config, total) for one in groups]
        every = sorted({way for ways in options for way in ways})
        found: list[tuple[Way, ...]] = []
        for cap in sorted({way.members for way in every}, reverse=True):
            capped = ([w for w in ways if w.members <= cap] or ways[-1:] for ways in options)
            found.append(tuple(([*ways, p])[0] for ways, p in zip(capped, plain, strict=True)))
        for way in every:
            first = ([way] if way in ways else ways for ways in options)
            found.append(tuple(([*ways, p])[0] for ways, p in zip(first, plain, strict=True)))
        return list(dict.fromkeys(found)) or [tuple(plain)]

    def _with_members(
        self, config: RunConfig, timed: dict[Way, Costs], members: int
    ) -> dict[Way, Costs]:
        """The ways with the asked number of members, as far as their threads were timed."""
        found = {}
        for threads in {way.threads for way in timed}:
            costs = self.calibration.costs(config, Way(members, threads))
            assert costs is not None
            found[Way(members, threads)] = costs
        return found

    def _wall(self, cohorts: Sequence[Cohort]) -> float:
        seconds = [takes or 0.0 for takes in seconds_of(cohorts, self.calibration)]
        return wall_seconds(cohorts, seconds, self.machine, self.workers)
