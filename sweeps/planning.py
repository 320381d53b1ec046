"""Making a plan: sizes, what is there, cohorts, and times measured where they are not known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scaling.data.cache import default_cache
from scaling.data.prepare import prepare
from sweeps.axes import points_of
from sweeps.calibration import Calibration, machine_name
from sweeps.cohorts import Cohort, form
from sweeps.executors import Executor
from sweeps.job import Measured, Measurement, Ready
from sweeps.ledger import Known
from sweeps.machine import Machine
from sweeps.plan import Plan, make_plan, unmeasured
from sweeps.reading import Sweep
from sweeps.sizes import size_of
from sweeps.wanted import Key, Wanted, wanted_runs


@dataclass(frozen=True)
class Planned:
    """A plan, and what it was made with."""

    plan: Plan
    calibration: Calibration
    starting: float  # seconds of workers that the measuring waited for


def plan_sweep(
    sweep: Sweep,
    runs: Sequence[Wanted],
    known: dict[Key, Known],
    machine: Machine,
    executor: Executor | None,
    say: Callable[[str], None],
    *,
    retry_failed: bool = False,
    limit: int | None = None,
) -> Planned:
    """The plan of these runs; shapes without a known time are measured by the executor."""
    prepare_data(runs, say)
    calibration = Calibration(default_cache(), machine_name())
    sizes = {run.key: size_of(run.config) for run in runs}
    todo = [(run, known.get(run.key)) for run in runs if _is_open(known, run, retry_failed)]
    pruned = sweep.spec.search is not None and sweep.spec.search.pruner.kind != "none"
    cohorts = form(todo[:limit], machine, sweep.spec, alone=pruned)
    starting = 0.0
    if executor is not None and (missing := unmeasured(cohorts, calibration)):
        say(f"timing {len(missing)} shape{'s' * (len(missing) > 1)} for the estimate")
        starting = measure_shapes(missing, executor, calibration, say)
    plan = make_plan(runs, known, sizes, cohorts, sweep.spec, machine, calibration)
    if starting and calibration.busy:
        note = (
            f"the machine is busy ({calibration.load:.1f} processes a core): the time is what it"
            " takes like this"
        )
        plan = replace(plan, warnings=[*plan.warnings, note])
    if repeats := _repeats(sweep):
        note = f"{repeats} runs of the grid equal others of it and are made once"
        plan = replace(plan, warnings=[note, *plan.warnings])
    if sweep.spec.search:
        plan = _of_search(plan, sweep, machine)
    if plan.wall is not None and cohorts and not starting:
        plan = replace(plan, wall=plan.wall + calibration.starting)
    return Planned(plan, calibration, starting)


def prepare_data(runs: Sequence[Wanted], say: Callable[[str], None]) -> None:
    """Build what the runs learn from, once, before workers would all wait for it."""
    for data in dict.fromkeys(run.config.data for run in runs):
        prepare(data, say=lambda text: None if text.startswith("reusing") else say(text))


def measure_shapes(
    cohorts: Sequence[Cohort],
    executor: Executor,
    calibration: Calibration,
    say: Callable[[str], None],
) -> float:
    """Time shapes on the workers themselves, as many at once as would train at once.

    Returns the seconds that workers took to start.
    """
    starting = 0.0
    waiting = dict(enumerate(cohorts))
    running: dict[int, Cohort] = {}
    while waiting or running:
        for number, cohort in list(waiting.items()):
            if executor.has_room(cohort.threads):
                executor.submit(
                    Measurement(number, cohort.runs[0].config, len(cohort.runs), cohort.threads)
                )
                running[number] = waiting.pop(number)
        for event in executor.events(1.0):
            if isinstance(event, Ready):
                starting += event.seconds
                calibration.note_starting(event.seconds)
            elif isinstance(event, Measured):
                cohort = running.pop(event.number)
                if event.costs is None:
                    say(f"{cohort.runs[0].config.name} could not be timed: {event.error}")
                else:
                    config, members = cohort.runs[0].config, len(cohort.runs)
                    calibration.note(config, members, cohort.threads, event.costs)
    return starting


def _repeats(sweep: Sweep) -> int:
    """Runs that a grid asks for more than once, in other words."""
    if sweep.spec.search:
        return 0
    asked = len(points_of(sweep.spec)) * max(1, len(sweep.spec.seeds))
    return asked - len(wanted_runs(sweep))


def _is_open(known: dict[Key, Known], run: Wanted, retry_failed: bool) -> bool:
    there = known.get(run.key)
    if there is None or there.state in ("half", "pruned"):
        return True
    return there.state == "failed" and retry_failed


def _of_search(plan: Plan, sweep: Sweep, machine: Machine) -> Plan:
    """A search's time: its trials cost what the ends of its space do on average."""
    assert sweep.spec.search is not None
    total = sweep.spec.search.trials * max(1, len(sweep.spec.seeds))
    known = [seconds for seconds in plan.seconds if seconds is not None]
    members = sum(len(cohort.runs) for cohort in plan.cohorts)
    wall = None
    if known and len(known) == len(plan.seconds):
        threads = max(1, plan.cohorts[0].threads)
        at_once = machine.gpus or max(1, machine.cores // threads)
        wall = sum(known) / members * total / at_once
    note = (
        f"a search asks for its {total} runs as it goes; the table shows the ends of its space,"
        " and the time is theirs on average"
    )
    return replace(plan, wall=wall, warnings=[note, *plan.warnings])
