"""The whole way of a sweep of adaptations: baselines, lock, record, driver, conclusion."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.disk import full_disk_is_said
from scaling.errors import UserError
from scaling.tracking.members import Members
from sweeps.adapting.baselines import Ready, ready_baselines
from sweeps.adapting.closing import as_it_was, close_adaptations
from sweeps.adapting.material import find_material
from sweeps.adapting.reading import AdaptSweep
from sweeps.adapting.wanted import Adaptation, Together, wanted_adaptations
from sweeps.conduct import Request as Training
from sweeps.conduct import look
from sweeps.driver import Driver, Options
from sweeps.ledger import Ledger, all_done
from sweeps.local import LocalExecutor
from sweeps.machine import this_machine
from sweeps.progress import Board
from sweeps.record import DriverLock, SweepRecord, sweep_folder
from sweeps.result import Result
from sweeps.source import Grid


@dataclass(frozen=True)
class Request:
    """What the command asks for, beside the sweep."""

    limit: int | None = None
    retry_failed: bool = False
    measure: bool = True


def conduct_adaptations(sweep: AdaptSweep, request: Request, board: Board) -> Result:
    """Make what the sweep wants and is not there yet, its baselines first.

    Raises:
        UserError: a baseline, a policy or the tasks are not what they should be.
        SystemExit: a signal has stopped the baselines' training, which is saved.
    """
    spec = sweep.spec
    lock = DriverLock(sweep_folder(sweep, spec))
    if not lock.acquire():
        raise UserError(f"another driver works on {spec.name} now; it will make all of it.")
    try:
        with full_disk_is_said("the same command goes on"):
            # First, so that what MLflow's launcher has made is this sweep's, not its baselines'.
            record = SweepRecord(sweep, spec, board.say)
            material = find_material(spec)
            training = Training(retry_failed=request.retry_failed, measure=request.measure)
            baselines = ready_baselines(sweep, material, board, training)
            runs = wanted_adaptations(sweep, material, baselines)
            ledger = Ledger(Path(spec.tracking.folder), record.uri, record.experiment)
            record.want(Members({run.key: run.labels for run in runs}))
            known = look(ledger, runs)
            if all_done(runs, known):
                return as_it_was(record, runs, known, board)
            return _drive(sweep, runs, baselines, request, board, record, ledger)
    finally:
        lock.release()


def _drive(
    sweep: AdaptSweep, runs: Sequence[Adaptation], baselines: Sequence[Ready], request: Request,
    board: Board, record: SweepRecord[AdaptSweep], ledger: Ledger,
) -> Result:  # fmt: skip
    spec = sweep.spec
    machine = this_machine(spec.runtime.device)
    workers = machine.workers_of(spec.workers)
    told = ", ".join(f"{one.config.label} ({one.parameters:,} parameters)" for one in baselines)
    board.say(f"{len(runs)} adaptations of {told}")
    executor = LocalExecutor(machine, workers, record.path)
    try:
        executor.warm(len(runs))  # while the record is made
        record.open()
        driver: Driver[Adaptation] = Driver(
            spec,
            Grid(runs),
            ledger,
            executor,
            Together(machine, workers),
            tags=lambda run: record.child_tags(run.labels, run.trial),
            folder=record.path,
            board=board,
            options=Options(request.retry_failed, request.limit),
        )
        driver.run()
        return close_adaptations(record, runs, driver)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a full disk: what was wrong goes before
            record.fail(error)
        raise
    finally:
        executor.close()
