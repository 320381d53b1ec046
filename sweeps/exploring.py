"""Timing ways of training before a sweep: the rule's for every shape, and others where it pays."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sweeps.advice import Advisor
from sweeps.cohorts import Group
from sweeps.estimate import seconds_of
from sweeps.executors import Executor
from sweeps.job import Costs, Measured, Measurement, Ready
from sweeps.machine import Others, Way

MOST_SHAPES = 12  # that are timed; the rest are scaled from the nearest by their FLOPs
SHARE = 0.02  # of a shape's whole time that timing may cost, but for the rule's way alone
NEAR = 0.95  # of the best rate: ways that are this good may have better neighbours

Say = Callable[[str], None]


@dataclass
class Found:
    """What the timing came to, besides the calibration that it filled."""

    timed: int = 0
    starting: float = 0.0  # seconds that workers took to start
    seconds: float = 0.0  # of timing, once the workers were there
    short: list[str] = field(default_factory=list)  # runs of shapes not worth a look around


def explore(
    groups: Sequence[Group], advisor: Advisor, executor: Executor, say: Say, scale: float = 1.0
) -> Found:
    """Time what is not known yet; `scale` is how many times as many runs there will be."""
    found = Found()
    order = sorted(groups, key=lambda g: -len(g.runs) * g.size.budget.flops)
    clock = _Stopwatch(advisor, executor, say, found)
    missing = [g for g in order if not advisor.calibration.ways(g.config)][:MOST_SHAPES]
    runs = max(1, round(scale * sum(len(one.runs) for one in groups)))
    for number, one in enumerate(missing):
        say(f"timing shape {number + 1} of {len(missing)}")
        clock.time(one, advisor.rule(one.config, runs))
    for one in order:
        _look_around(one, advisor, clock, scale, new=one in missing)
    return found


def neighbours(rates: Mapping[Way, float]) -> Iterator[Way]:
    """The ways next to the fastest, and to those nearly as fast, that have no rate yet.

    Next to a way are those of twice and half its members, and of twice and half its threads;
    what takes the longest to time comes last.
    """
    best = max(rates.values())
    for way in sorted(rates, key=lambda w: -rates[w]):
        if rates[way] < NEAR * best:
            return
        members, threads = way.members, way.threads
        for members_next, threads_next in (
            (members, threads // 2),
            (members, threads * 2),
            (members // 2, threads),
            (members * 2, threads),
        ):
            other = Way(members_next, threads_next)
            if members_next and threads_next and other not in rates:
                yield other


def _look_around(
    one: Group, advisor: Advisor, clock: "_Stopwatch", scale: float, *, new: bool
) -> None:
    """Climb from the ways that are known to faster ones, while the climb is cheap beside the work.

    A doubling that pays is followed by the next; the rate falls on both sides of the best. Of a
    `new` shape the rule's way was timed just now, which is part of the climb's cost.
    """
    calibration = advisor.calibration
    timed = calibration.ways(one.config)
    if not timed:
        return
    runs = max(1, round(scale * len(one.runs)))
    tried: dict[Way, float] = {way: advisor.rate(way, costs) for way, costs in timed.items()}
    allowance = SHARE * scale * _seconds(one, advisor)
    spent = sum(costs.measuring for costs in timed.values()) if new else 0.0
    while True:
        allowed = (w for w in neighbours(tried) if advisor.allows(one.config, w, runs))
        way = next(allowed, None)
        if way is None:
            return
        likely = calibration.costs(one.config, way) or timed[max(timed, key=lambda w: tried[w])]
        if spent + likely.measuring > allowance:
            if len(tried) == 1:
                clock.found.short.append(one.config.name)
            return
        costs = clock.time(one, way)
        tried[way] = 0.0 if costs is None else advisor.rate(way, costs)
        spent += likely.measuring if costs is None else costs.measuring


def _seconds(one: Group, advisor: Advisor) -> float:
    """Seconds that these runs take on this machine, as it stands."""
    cohorts = advisor.form(list(zip(one.runs, one.known, strict=True)))
    known = [takes or 0.0 for takes in seconds_of(cohorts, advisor.calibration)]
    return sum(known) / advisor.at_once(cohorts[0].way)


@dataclass
class _Stopwatch:
    """Times ways on the workers themselves, in as many at once as would train at once."""

    advisor: Advisor
    executor: Executor
    say: Say
    found: Found
    number: int = 0

    def time(self, one: Group, way: Way) -> Costs | None:
        """Time a way and remember it; None where that failed."""
        machine = self.advisor.machine
        # Processes share memory's bandwidth and caches; cards do not.
        copies = 1 if machine.gpus else self.advisor.at_once(way)
        began, others = time.perf_counter(), Others()
        ready = began
        waiting = set(range(self.number, self.number + copies))
        self.number += copies
        for number in waiting:
            self.executor.submit(Measurement(number, one.config, way))
        found: list[Costs] = []
        while waiting:
            for event in self.executor.events(1.0):
                if isinstance(event, Ready):
                    ready = time.perf_counter()
                    self.found.starting += event.seconds
                    self.advisor.calibration.note_starting(event.seconds)
                elif isinstance(event, Measured):
                    waiting.discard(event.number)
                    if event.costs is None:
                        self.say(f"{one.config.name} could not be timed: {event.error}")
                    else:
                        found.append(event.costs)
        self.found.timed += 1
        self.found.seconds += time.perf_counter() - ready
        if len(found) < copies:
            return None
        self.advisor.calibration.note(one.config, way, found, others.share())
        return self.advisor.calibration.ways(one.config)[way]
