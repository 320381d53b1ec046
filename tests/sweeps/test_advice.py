"""How many runs a program, how many programs, how many threads: judged by what was measured."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scaling.tracking.folder import RunFolder
from sweeps.advice import Advisor
from sweeps.calibration import Calibration
from sweeps.cohorts import Cohort, group, split
from sweeps.estimate import seconds_of, wall_seconds
from sweeps.exploring import explore
from sweeps.job import Answer, Costs, Event, Job, Measured, Measurement
from sweeps.ledger import Known
from sweeps.machine import Machine, Way
from sweeps.measuring import measure
from sweeps.reading import Sweep
from sweeps.wanted import wanted_runs

SweepOf = Callable[..., Sweep]
TWO_CORES = Machine(cores=2, gpus=0, free_bytes=2**33)
Law = Callable[[int, Way], float]  # seconds a step of a width, trained in a way


def costs(step: float, peak: int = 2**20) -> Costs:
    return Costs(setup=0.0, step=step, eval_token=0.0, save=0.0, measuring=1.0, peak=peak)


@dataclass
class Bench:
    """An executor that times what it is asked by a law, and keeps count."""

    law: Law
    workers: int = 2
    largest: int = 2**20  # members that have room

    def __post_init__(self) -> None:
        self.asked: list[tuple[int, Way]] = []
        self._waiting: list[Measurement] = []

    def submit(self, job: Job | Measurement) -> None:
        assert isinstance(job, Measurement)
        self._waiting.append(job)
        self.asked.append((job.config.model.d_model, job.way))

    def events(self, timeout: float) -> list[Event]:
        done, self._waiting = self._waiting, []
        return [
            Measured(m.number, None, error="OutOfMemoryError: no room")
            if m.way.members > self.largest
            else Measured(m.number, costs(self.law(m.config.model.d_model, m.way)))
            for m in done
        ]

    def warm(self, count: int) -> None: ...
    def has_room(self, threads: int) -> bool:
        return True

    def answer(self, answer: Answer) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...


def narrow_gains_by_members(width: int, way: Way) -> float:
    """A step has a fixed part that threads and members share, and one that grows with width."""
    fixed, work = 0.02, width / 16 * 0.01 * way.members
    return fixed + work / way.threads**0.8


def threads_pay(width: int, way: Way) -> float:
    return 0.03 * way.members / way.threads


def members_cost(width: int, way: Way) -> float:
    return 0.03 * way.members**1.3 / way.threads**0.3


def only_many_members_pay(width: int, way: Way) -> float:
    return 0.1 + 0.001 * way.members if way.threads == 2 else 0.15 + 0.02 * way.members


LAWS = [narrow_gains_by_members, threads_pay, members_cost, only_many_members_pay]
WAYS = [Way(members, threads) for members in (1, 2, 4, 8) for threads in (1, 2)]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.machine.Others.share", lambda self: 0.0)


@pytest.fixture
def free(sweep_of: SweepOf) -> SweepOf:
    """A sweep of the tiny config, with as many threads as pay."""
    return lambda **fields: sweep_of(fields={"runtime.threads": None}, **fields)


def advisor_of(
    sweep: Sweep, place: Path, machine: Machine = TWO_CORES, alone: bool = False
) -> Advisor:
    return Advisor(sweep.spec, machine, Calibration(place, "here"), alone=alone)


def todo_of(sweep: Sweep) -> list[tuple[Any, None]]:
    return [(run, None) for run in wanted_runs(sweep)]


def wall(advisor: Advisor, law: Law, cohorts: list[Cohort]) -> float:
    """How long it takes by the law itself, whatever the advisor knows of it."""
    seconds = [
        c.size.budget.steps * law(c.config.model.d_model, c.way)
        + len(c.runs) * advisor.calibration.ending
        for c in cohorts
    ]
    return wall_seconds(cohorts, seconds, advisor.machine, advisor.workers)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("seeds", [1, 3, 16])
def test_never_behind_the_best_single_way_by_more_than_a_twentieth(
    free: SweepOf, workplace: Path, law: Law, seeds: int
) -> None:
    sweep = free(
        seeds=list(range(seeds)), budget={"steps": 20000}, grid={"model.d_model": [16, 64]}
    )
    todo = todo_of(sweep)
    advisor = advisor_of(sweep, workplace)
    bench = Bench(law)
    explore(group(todo), advisor, bench, lambda _: None)
    cohorts = advisor.form(todo)
    ours = wall(advisor, law, cohorts)
    best = min(wall(advisor, law, split(group(todo), [way, way])) for way in WAYS)
    assert ours <= 1.05 * best, (Counter(c.way for c in cohorts), set(bench.asked))
    assert sorted(run.config.seed for c in cohorts for run in c.runs) == sorted(
        run.config.seed for run, _ in todo
    )


def test_a_way_is_timed_by_as_many_processes_as_would_train_and_only_once(
    free: SweepOf, workplace: Path
) -> None:
    sweep = free(seeds=list(range(8)), budget={"steps": 20000})
    groups = group(todo_of(sweep))
    bench = Bench(members_cost)
    explore(groups, advisor_of(sweep, workplace), bench, lambda _: None)
    for _, way in set(bench.asked):
        assert bench.asked.count((16, way)) == 2 // way.threads
    again = Bench(members_cost)
    explore(groups, advisor_of(sweep, workplace), again, lambda _: None)
    assert again.asked == []


@pytest.mark.parametrize(
    ("cores", "width", "runs", "workers", "way"),
    [
        (2, 16, 16, "auto", Way(4, 1)),  # runs enough for all cores
        (2, 256, 16, "auto", Way(1, 1)),
        (2, 16, 1, "auto", Way(1, 2)),  # a run alone has them all
        (2, 16, 16, 1, Way(4, 2)),  # and so has a worker alone
        (16, 16, 1, "auto", Way(1, 2)),  # as far as its width pays for them
        (16, 256, 1, "auto", Way(1, 8)),
        (16, 256, 5, "auto", Way(1, 3)),
    ],
)
def test_cores_are_shared_out_among_the_programs_of_untimed_shapes(
    free: SweepOf, workplace: Path, cores: int, width: int, runs: int, workers: Any, way: Way
) -> None:
    sweep = free(seeds=list(range(runs)), grid={"model.d_model": [width]}, workers=workers)
    machine = Machine(cores=cores, gpus=0, free_bytes=2**34)
    todo = todo_of(sweep)
    assert advisor_of(sweep, workplace, machine).rule(todo[0][0].config, len(todo)) == way


def test_on_a_card_threads_are_not_looked_for(sweep_of: SweepOf, workplace: Path) -> None:
    sweep = sweep_of(seeds=list(range(64)), budget={"steps": 20000}, fields={"runtime.threads": 4})
    machine, todo = Machine(cores=16, gpus=1, free_bytes=2**34), todo_of(sweep)
    advisor, bench = advisor_of(sweep, workplace, machine), Bench(members_cost)
    explore(group(todo), advisor, bench, lambda _: None)
    ways = {way for _, way in bench.asked}
    assert len(ways) > 1 and {way.threads for way in ways} == {1}
    assert {cohort.way.threads for cohort in advisor.form(todo)} == {1}
    assert advisor.options(group(todo)[0])  # what was timed there may be chosen


def test_little_work_is_not_worth_a_look_around(free: SweepOf, workplace: Path) -> None:
    sweep = free(seeds=[1, 2], budget={"steps": 30})
    todo = todo_of(sweep)
    advisor, bench = advisor_of(sweep, workplace), Bench(threads_pay)
    found = explore(group(todo), advisor, bench, lambda _: None)
    way = advisor.rule(todo[0][0].config, len(todo))
    assert {asked for _, asked in bench.asked} == {way}
    assert found.short == [todo[0][0].config.name]


def test_looking_around_costs_a_fiftieth_at_most(free: SweepOf, workplace: Path) -> None:
    sweep = free(seeds=list(range(16)), budget={"steps": 1500})
    todo = todo_of(sweep)
    advisor, bench = advisor_of(sweep, workplace), Bench(narrow_gains_by_members)
    explore(group(todo), advisor, bench, lambda _: None)
    first = advisor.rule(todo[0][0].config, len(todo))
    timed = {way for _, way in bench.asked}
    work = wall(advisor, narrow_gains_by_members, split(group(todo), [first]))
    assert {first} < timed
    assert len(timed) * 1.0 <= 0.02 * work  # a measurement of this bench takes a second


def test_what_has_no_room_is_neither_timed_again_nor_chosen(
    free: SweepOf, workplace: Path
) -> None:
    sweep = free(seeds=list(range(16)), budget={"steps": 20000})
    todo = todo_of(sweep)
    advisor, bench = advisor_of(sweep, workplace), Bench(only_many_members_pay, largest=4)
    said: list[str] = []
    explore(group(todo), advisor, bench, said.append)
    assert any("no room" in line for line in said)
    assert max(len(cohort.runs) for cohort in advisor.form(todo)) == 4


def test_measured_memory_bounds_the_members(free: SweepOf, workplace: Path) -> None:
    sweep = free(seeds=list(range(16)), budget={"steps": 20000})
    todo = todo_of(sweep)
    small = Machine(cores=2, gpus=0, free_bytes=2**30)
    advisor = advisor_of(sweep, workplace, small)
    for way in WAYS:
        # Three programs' worth of members would fill the machine; eight are the fastest.
        step = only_many_members_pay(16, way)
        advisor.calibration.note(
            todo[0][0].config, way, [costs(step, peak=way.members * 2**27)], others=0.0
        )
    assert max(len(cohort.runs) for cohort in advisor.form(todo)) == 4


def test_the_spec_and_the_config_are_obeyed(sweep_of: SweepOf, workplace: Path) -> None:
    sweep = sweep_of(seeds=list(range(6)), cohort=3)
    todo = todo_of(sweep)
    advisor = advisor_of(sweep, workplace)
    for way in WAYS:
        advisor.calibration.note(
            todo[0][0].config, way, [costs(members_cost(16, way))], others=0.0
        )
    cohorts = advisor.form(todo)
    assert [len(cohort.runs) for cohort in cohorts] == [3, 3]
    assert {cohort.threads for cohort in cohorts} == {1}  # as tiny.yaml says
    alone = advisor_of(sweep, workplace, alone=True)
    assert [len(cohort.runs) for cohort in alone.form(todo)] == [1] * 6


def test_estimates_of_half_done_programs_count_what_is_left(
    free: SweepOf, workplace: Path
) -> None:
    sweep = free(seeds=[1])
    (pair,) = todo_of(sweep)
    advisor = advisor_of(sweep, workplace)
    advisor.calibration.note(pair[0].config, Way(1, 1), [costs(1.0)], others=0.0)
    (cohort,) = advisor.form([pair])
    assert seconds_of([cohort], advisor.calibration) == [30.0 + advisor.calibration.ending]
    half = Known(pair[0].key, "half", RunFolder(workplace / "run"), None, {}, step=15)
    (cohort,) = advisor.form([(pair[0], half)])
    assert seconds_of([cohort], advisor.calibration) == [15.0 + advisor.calibration.ending]


def test_a_way_is_really_timed(free: SweepOf, workplace: Path) -> None:
    sweep = free(seeds=[1, 2])
    (first, _) = todo_of(sweep)
    measured = measure(Measurement(7, first[0].config, Way(2, 1)))
    assert (measured.number, measured.error) == (7, None)
    found = measured.costs
    assert found is not None
    assert 0 < found.step < 1
    assert found.measuring > 0.6  # seconds of steps alone
    assert found.peak is None or 10**5 < found.peak < 2**30
