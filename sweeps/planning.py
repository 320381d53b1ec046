"""Making a plan: sizes, what is there, cohorts, and times measured where they are not known."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from scaling.branches import is_recorded
from scaling.config import WarmupStableDecay
from scaling.data.cache import default_cache
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.optim import notice
from scaling.runs import read_config
from scaling.tracking.members import Key
from sweeps.advice import Advisor
from sweeps.axes import points_of
from sweeps.calibration import Calibration, machine_name
from sweeps.cohorts import Cohort, group
from sweeps.executors import Executor
from sweeps.exploring import Found, explore
from sweeps.ledger import Known, prospect
from sweeps.machine import Machine
from sweeps.plan import Plan, make_plan
from sweeps.reading import Sweep
from sweeps.sizes import Size, size_of
from sweeps.wanted import Wanted, wanted_runs


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
    told: int = 0,
) -> Planned:
    """The plan of these runs; shapes without a known time are measured by the executor.

    `told`: trials of a search that have ended.
    """
    prepare_data(runs, say)
    calibration = Calibration(default_cache(), machine_name())
    sizes = {run.key: size_of(run.config) for run in runs}
    asked = _asked(sweep, told, limit)
    pruned = sweep.spec.search is not None and sweep.spec.search.pruner.kind != "none"
    if asked is not None:  # its ends stand for what it asks for, whether they are there or not
        todo: list[tuple[Wanted, Known | None]] = [(run, None) for run in runs]
        most = None
    else:
        todo = [
            (run, known.get(run.key))
            for run in runs
            if prospect(known.get(run.key), judged=False, retry=retry_failed) == "open"
        ]
        most = limit
    advisor = Advisor(sweep.spec, machine, calibration, alone=pruned)
    found = Found()
    now = [
        pair
        for cohort in _within(most, advisor.form(todo))
        for pair in zip(cohort.runs, cohort.known, strict=True)
    ]
    work = len(now) if asked is None else asked
    if executor is not None and work:
        found = explore(group(now), advisor, executor, say, work / len(now))
    plan = make_plan(runs, known, sizes, _within(most, advisor.form(todo)), advisor)
    busy = calibration.others if found.timed and calibration.busy else None
    plan = replace(plan, warnings=[*_notes(sweep, runs, known, sizes, busy), *plan.warnings])
    if found.short:
        names = ", ".join(found.short[:3]) + (" ..." if len(found.short) > 3 else "")
        short = f"too little work to time more than the rule's way: {names}"
        plan = replace(plan, ways=[*plan.ways, short])
    if asked is not None:
        plan = _of_search(plan, asked, advisor)
    if plan.wall is not None and plan.cohorts and not found.starting:
        plan = replace(plan, wall=plan.wall + calibration.starting)
    return Planned(plan, advisor, found.starting, found.seconds)


def _notes(
    sweep: Sweep,
    runs: Sequence[Wanted],
    known: dict[Key, Known],
    sizes: Mapping[Key, Size],
    busy: float | None,
) -> list[str]:
    """What a plan's reader should know first; `busy` is the share of cores that others took."""
    notes = []
    if repeats := _repeats(sweep):
        notes.append(f"{repeats} runs of the grid equal others of it and are made once")
    if busy is not None:
        notes.append(
            f"something else took {busy:.0%} of this machine's cores: the time is what it takes"
            " like this"
        )
    schedules = (notice(run.config.schedule, sizes[run.key].budget.steps) for run in runs)
    notes += [sentence.rstrip(".") for sentence in dict.fromkeys(filter(None, schedules))]
    if lacking := without_branches(runs, known):
        notes.append(lacking)
    return notes


def _asked(sweep: Sweep, told: int, limit: int | None) -> int | None:
    """How many runs a search is to ask for yet, and at most now; None of a grid."""
    if sweep.spec.search is None:
        return None
    asked = max(0, sweep.spec.search.trials - told) * max(1, len(sweep.spec.seeds))
    return asked if limit is None else min(asked, limit)


def without_branches(runs: Sequence[Wanted], known: dict[Key, Known]) -> str | None:
    """What to say of runs that are done or begun without the branches that are asked for now.

    A branch is trained on the way of its run, which goes on by the config that it began with.
    """
    lacking = 0
    for run in runs:
        there, schedule = known.get(run.key), run.config.schedule
        if not isinstance(schedule, WarmupStableDecay) or there is None or there.folder is None:
            continue
        stem, asked = there.folder, set(schedule.branches)
        if there.state == "done":
            lacking += not all(is_recorded(stem, share) for share in asked)
        elif there.step is not None:
            with suppress(UserError):  # a config that is torn: the run begins anew
                lacking += not asked <= set(getattr(read_config(stem).schedule, "branches", ()))
    if not lacking:
        return None
    return (
        f"{lacking} runs are done or begun without branches that are asked for now, and stay so:"
        " in another experiment (--experiment) all are trained"
    )


def prepare_data(runs: Sequence[Wanted], say: Callable[[str], None]) -> None:
    """Build what the runs learn from, once, before workers would all wait for it."""
    for data in dict.fromkeys(run.config.data for run in runs):
        prepare(data, say=lambda text: None if text.startswith("reusing") else say(text))


def _within(limit: int | None, cohorts: Sequence[Cohort]) -> list[Cohort]:
    """The first so many runs in the order in which the driver starts them."""
    kept, room = [], sum(len(cohort.runs) for cohort in cohorts) if limit is None else limit
    for cohort in cohorts:
        runs, known = cohort.runs[:room], cohort.known[:room]
        if runs:
            kept.append(replace(cohort, runs=runs, known=known))
        room -= len(runs)
    return kept


def _repeats(sweep: Sweep) -> int:
    """Runs that a grid asks for more than once, in other words."""
    if sweep.spec.search:
        return 0
    asked = len(points_of(sweep.spec)) * max(1, len(sweep.spec.seeds))
    return asked - len(wanted_runs(sweep))


def _of_search(plan: Plan, asked: int, advisor: Advisor) -> Plan:
    """A search's figures: its trials cost what the ends of its space do on average."""
    known = [seconds for seconds in plan.seconds if seconds is not None]
    members = sum(len(cohort.runs) for cohort in plan.cohorts)
    wall = None
    if known and len(known) == len(plan.seconds):
        wall = sum(known) / members * asked / advisor.at_once(plan.cohorts[0].way)
    if not asked:
        return replace(plan, wall=None, asked=0)
    note = (
        f"a search asks for its {asked} runs as it goes; the table shows the ends of its space,"
        " and the sums are theirs on average"
    )
    return replace(plan, wall=wall, asked=asked, warnings=[note, *plan.warnings])
