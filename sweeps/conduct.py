"""The whole way of a sweep: check, lock, plan, record, drive, conclude."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.disk import full_disk_is_said
from scaling.errors import UserError
from scaling.tracking.address import is_missing
from scaling.tracking.members import Key
from sweeps.ledger import Known, Ledger, all_done, prospect
from sweeps.progress import PROGRESS, Board
from sweeps.reading import Sweep
from sweeps.record import DriverLock, SweepRecord, no_answer, sweep_folder
from sweeps.result import Result
from sweeps.wanted import Run, Wanted, check_space, members_of, select, wanted_runs

if TYPE_CHECKING:
    from sweeps.advice import Advisor
    from sweeps.local import LocalExecutor
    from sweeps.machine import Machine
    from sweeps.planning import Planned
    from sweeps.source import Source
    from sweeps.trials import Trials

PLAN = "plan.csv"


@dataclass(frozen=True)
class Request:
    """What the command asks for, beside the sweep."""

    only: Sequence[str] = ()
    limit: int | None = None
    retry_failed: bool = False
    join: bool = False
    storage: str | None = None
    price: float | None = None
    measure: bool = True


@dataclass(frozen=True)
class _Session:
    """A sweep while one command makes it.

    Attributes:
        runs: a grid's that are asked for; of a search those at the ends of its space.
        search: what a search had asked for as the command began; None of a grid, or before that.
        owner: whether this command answers for the sweep; else it helps.
    """

    sweep: Sweep
    request: Request
    board: Board
    runs: list[Wanted]
    record: SweepRecord[Sweep]
    ledger: Ledger
    search: "Trials | None"
    owner: bool


def conduct(sweep: Sweep, request: Request, board: Board) -> Result:
    """Make what the sweep wants and is not there yet; nothing is trained before all is checked."""
    runs = first_runs(sweep, request)
    config = runs[0].config
    record = SweepRecord(sweep, config, board.say)
    lock = DriverLock(sweep_folder(sweep, config))
    owner = lock.acquire()
    if not owner and not request.join:
        raise UserError(
            f"another driver works on {sweep.spec.name} now (its record is {record.path});"
            " see it with --status, or help it with --join."
        )
    try:
        with full_disk_is_said("the same command goes on"):
            if owner:
                (record.path / PROGRESS).unlink(missing_ok=True)  # of the driver before
            ledger = Ledger(Path(config.tracking.folder), record.uri, record.experiment)
            search = _trials(sweep, runs, request, record)
            known = ledger.scan(run.key for run in runs)
            if sweep.spec.search:
                over, jobs = search is not None and search.ended, len(runs)
            else:
                over, jobs = all_done(runs, known), _open(runs, known, request)
            if not over:
                session = _Session(sweep, request, board, runs, record, ledger, search, owner)
                return _make(session, jobs)
            if not owner:  # the record is another driver's to close
                return Result({}, ["there is nothing to help with: all of it is done"], 0)
            from sweeps.closing import as_it_was

            every = search.runs() if search is not None else _all(sweep, runs, request)
            keys = {run.key for run in every}
            if len(ledger.scan(keys)) < len(keys):  # of a search, or those beside `--only`
                look(ledger, every)
            return as_it_was(record, every, ledger, board, search)
    finally:
        if owner:
            lock.release()


def plan_only(sweep: Sweep, request: Request, board: Board) -> "Planned":
    """The plan, with times measured, and nothing trained."""
    from sweeps.machine import this_machine
    from sweeps.planning import plan_sweep

    runs = first_runs(sweep, request)
    config = runs[0].config
    machine = this_machine(config.runtime.device)
    record = SweepRecord(sweep, config, board.say)
    ledger = Ledger(Path(config.tracking.folder), record.uri, record.experiment)
    known, search = look(ledger, runs), _trials(sweep, runs, request, record)
    executor = _executor(sweep, machine, sweep_folder(sweep, config)) if request.measure else None
    try:
        return plan_sweep(
            sweep,
            runs,
            known,
            machine,
            executor,
            board.say,
            retry_failed=request.retry_failed,
            limit=request.limit,
            told=search.told if search is not None else 0,
        )
    finally:
        if executor is not None:
            executor.close()


def first_runs(sweep: Sweep, request: Request) -> list[Wanted]:
    """The grid's runs; of a search, those at the ends of its space."""
    if not sweep.spec.search:
        if request.storage:
            raise UserError("--storage is for a search, whose study it keeps; this is a grid.")
        return select(wanted_runs(sweep), request.only)
    if request.only:
        raise UserError("--only picks points of a grid; a search has none before it asks.")
    from sweeps.objectives import check_search
    from sweeps.samplers import rehearse
    from sweeps.space import Space

    search = sweep.spec.search
    space = Space(search.space)
    runs = check_space(sweep, space)
    check_search(search, sweep, runs)
    rehearse(search, space)
    return runs


def look(ledger: Ledger, runs: Sequence[Run]) -> dict[Key, Known]:
    """What is there of these runs: in run folders, and for the rest in the store."""
    keys = [run.key for run in runs]
    known = ledger.scan(keys)
    missing = [key for key in keys if key not in known or known[key].state != "done"]
    if missing and not is_missing(ledger.uri):
        try:
            ledger.ask_store()
        except Exception as error:  # a store can fail in any way
            raise no_answer(ledger.uri, error) from None
        known = ledger.scan(keys)
    return known


def _open(runs: Sequence[Run], known: Mapping[Key, Known], request: Request) -> int:
    """How many of a grid's runs there are to make."""
    retry = request.retry_failed
    found = sum(prospect(known.get(r.key), judged=False, retry=retry) == "open" for r in runs)
    return found if request.limit is None else min(found, request.limit)


def _make(session: _Session, jobs: int) -> Result:
    from sweeps.machine import this_machine

    machine = this_machine(session.runs[0].config.runtime.device)
    executor = _executor(session.sweep, machine, session.record.path)
    executor.warm(jobs)  # while this process prepares
    try:
        return _drive(session, machine, executor)
    except BaseException as error:
        if session.owner:
            with contextlib.suppress(OSError):  # a full disk: what was wrong goes before
                session.record.fail(error)
        raise
    finally:
        executor.close()


def _drive(session: _Session, machine: "Machine", executor: "LocalExecutor") -> Result:
    """Plan, record, make, conclude."""
    from sweeps.closing import close_sweep
    from sweeps.driver import Driver, Options
    from sweeps.leaderboard import write_table
    from sweeps.machine import Others
    from sweeps.planning import plan_sweep
    from sweeps.showing import MOST_ROWS, plan_lines, plan_rows

    sweep, request, board = session.sweep, session.request, session.board
    runs, record, ledger, owner = session.runs, session.record, session.ledger, session.owner
    searches = sweep.spec.search is not None
    every = _all(sweep, runs, request)
    if owner:
        if not searches:
            record.want(members_of(every, grows=False))  # by which others see if they can help
        record.make_store()  # which takes as long as the workers take to start
    asked_for = session.search.runs() if session.search is not None else every
    known = look(ledger, [*runs, *asked_for])
    planned = plan_sweep(
        sweep,
        runs,
        known,
        machine,
        executor if request.measure and not sweep.smoke else None,
        board.say,
        retry_failed=request.retry_failed,
        limit=request.limit,
        told=session.search.told if session.search is not None else 0,
    )
    for line in plan_lines(planned.plan, request.price, MOST_ROWS):
        board.say(line)
    source = _source(session, planned.advisor)
    every = source.runs() if searches else every
    if owner:
        if searches:
            record.want(members_of(every, grows=True))
        record.open()
        if not request.only or not (record.path / PLAN).exists():
            write_table(record.path / PLAN, plan_rows(planned.plan))
    else:
        record.join([] if searches else [run.key for run in runs])
    driver = Driver(
        sweep.spec,
        source,
        ledger,
        executor,
        planned.advisor,
        tags=lambda run: record.child_tags(run.labels, run.trial),
        folder=record.path,
        board=board,
        options=Options(request.retry_failed, request.limit, joined=not owner),
    )
    others = Others()
    driver.run()
    planned.advisor.calibration.note_others(others.share())
    driver.clock.starting += planned.starting
    if searches:
        every = source.runs()
        if owner:
            record.want(members_of(every, grows=True))
    return close_sweep(record, source, every, driver, planned, owner)


def _executor(sweep: Sweep, machine: "Machine", folder: Path) -> "LocalExecutor":
    from sweeps.local import LocalExecutor

    return LocalExecutor(machine, machine.workers_of(sweep.spec.workers), folder)


def _source(session: _Session, advisor: "Advisor") -> "Source[Wanted]":
    from sweeps.search import SearchSource
    from sweeps.source import Grid
    from sweeps.study import begin_study

    sweep, runs, request = session.sweep, session.runs, session.request
    if not sweep.spec.search:
        return Grid(runs)
    # So many points at a time as fill every worker's program with their seeds, yet few enough for
    # the sampler to learn from five batches.
    config, seeds = runs[0].config, max(1, len(sweep.spec.seeds))
    batch = min(-(-advisor.fill(config) // seeds), sweep.spec.search.trials // 5)
    batch = max(-(-advisor.at_once(advisor.rule(config)) // seeds), batch)
    folder = session.record.path
    study = begin_study(sweep, runs[0], request.storage, folder, helps=not session.owner)
    return SearchSource(sweep, study, folder, batch, retry_failed=request.retry_failed)


def _trials(
    sweep: Sweep, runs: list[Wanted], request: Request, record: SweepRecord[Sweep]
) -> "Trials | None":
    """What a search has asked for; None of a grid, or where it has not begun."""
    if not sweep.spec.search:
        return None
    from sweeps.trials import find_trials

    retry = request.retry_failed
    return find_trials(sweep, runs[0], request.storage, record.path, retry_failed=retry)


def _all(sweep: Sweep, runs: list[Wanted], request: Request) -> list[Wanted]:
    """Every run of a grid, of which `--only` picks some: the record is of the whole."""
    return wanted_runs(sweep) if request.only else runs
