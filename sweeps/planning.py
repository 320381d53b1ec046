"""Making a plan: sizes, what is there, cohorts, and times measured where they are not known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scaling.data.cache import default_cache
from scaling.data.prepare import prepare
from sweeps.advice import Advisor
from sweeps.axes import points_of
from sweeps.calibration import Calibration, machine_name
from sweeps.cohorts import group
from sweeps.executors import Executor
from sweeps.exploring import Found, explore
from sweeps.ledger import Known
from sweeps.machine import Machine
from sweeps.plan import Plan, make_plan
from sweeps.reading import Sweep
from sweeps.sizes import size_of
from sweeps.spec import Search
from sweeps.wanted import Key, Wanted, wanted_runs


@dataclass(frozen=True)
class Planned:
    """A plan, and what it was made with."""

    plan: Plan
    advisor: Advisor
    starting: float  # seconds of workers that the measuring waited for
    timing: float  # seconds of the measuring


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
    todo = todo[:limit]
    pruned = sweep.spec.search is not None and sweep.spec.search.pruner.kind != "none"
    advisor = Advisor(sweep.spec, machine, calibration, alone=pruned)
    found = Found()
    if executor is not None and todo:
        found = explore(group(todo), advisor, executor, say, _scale(sweep, todo))
    plan = make_plan(runs, known, sizes, advisor.form(todo), advisor)
    notes = []
    if repeats := _repeats(sweep):
        notes.append(f"{repeats} runs of the grid equal others of it and are made once")
    if found.timed and calibration.busy:
        notes.append(
            f"something else took {calibration.others:.0%} of this machine's cores: the time is"
            " what it takes like this"
        )
    plan = replace(plan, warnings=[*notes, *plan.warnings])
    if found.short:
        names = ", ".join(found.short[:3]) + (" ..." if len(found.short) > 3 else "")
        short = f"too little work to time more than the rule's way: {names}"
        plan = replace(plan, ways=[*plan.ways, short])
    if sweep.spec.search:
        plan = _of_search(plan, sweep, advisor)
    if plan.wall is not None and plan.cohorts and not found.starting:
        plan = replace(plan, wall=plan.wall + calibration.starting)
    return Planned(plan, advisor, found.starting, found.seconds)


def _scale(sweep: Sweep, todo: Sequence[tuple[Wanted, Known | None]]) -> float:
    """How many times as many runs a search asks for as stand at the ends of its space."""
    return 1.0 if sweep.spec.search is None else _total(sweep.spec.search, sweep) / len(todo)


def _total(search: Search, sweep: Sweep) -> int:
    return search.trials * max(1, len(sweep.spec.seeds))


def prepare_data(runs: Sequence[Wanted], say: Callable[[str], None]) -> None:
    """Build what the runs learn from, once, before workers would all wait for it."""
    for data in dict.fromkeys(run.config.data for run in runs):
        prepare(data, say=lambda text: None if text.startswith("reusing") else say(text))


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


def _of_search(plan: Plan, sweep: Sweep, advisor: Advisor) -> Plan:
    """A search's time: its trials cost what the ends of its space do on average."""
    assert sweep.spec.search is not None
    total = _total(sweep.spec.search, sweep)
    known = [seconds for seconds in plan.seconds if seconds is not None]
    members = sum(len(cohort.runs) for cohort in plan.cohorts)
    wall = None
    if known and len(known) == len(plan.seconds):
        wall = sum(known) / members * total / advisor.at_once(plan.cohorts[0].way)
    note = (
        f"a search asks for its {total} runs as it goes; the table shows the ends of its space,"
        " and the time is theirs on average"
    )
    return replace(plan, wall=wall, warnings=[note, *plan.warnings])
