"""The end of a sweep: tables, summary, pictures, what the next estimate learns, the record."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psutil

from scaling.tracking.folder import Status, write_whole
from scaling.tracking.members import Key
from sweeps.cohorts import Cohort
from sweeps.driver import Driver
from sweeps.leaderboard import groups
from sweeps.ledger import Known, Ledger, all_done
from sweeps.pictures import write_search
from sweeps.progress import Board
from sweeps.reading import Sweep
from sweeps.record import SweepRecord
from sweeps.result import Result, ending, is_kept, send_late
from sweeps.search import SearchSource
from sweeps.source import Source
from sweeps.summary import NAME, conclude, outcome_lines
from sweeps.trials import Trials
from sweeps.wanted import Wanted, members_of

if TYPE_CHECKING:  # which knows of torch, and so takes seconds
    from sweeps.planning import Planned


def close_sweep(
    record: SweepRecord[Sweep],
    source: Source[Wanted],
    runs: Sequence[Wanted],
    driver: Driver[Wanted],
    planned: "Planned",
    owner: bool,
) -> Result:
    """Write what came of the sweep, end its record, and say what there is to say.

    `runs`: all that the record is of; the source may have had a part of them (`--only`).
    """
    known = driver.ledger.scan(run.key for run in runs) | driver.known
    code, lines, status = ending(
        driver, "runs failed; see --status, and retry with --retry failed."
    )
    why = " ".join(lines)
    if not owner:
        return Result({}, [*lines, f"helped: {len(driver.clock.jobs)} jobs"], code)
    whole = driver.options.limit is None and driver.stopped is None
    # Without programs nothing was estimated: what others trained then may have come to this one.
    estimate = planned.plan.wall if whole and planned.plan.cohorts else None
    search = source if isinstance(source, SearchSource) else None
    summary = conclude(record, runs, known, driver, estimate, search)
    _remember(driver, planned)
    if search is not None and search.ended and not runs:
        code, status = 1, "FAILED"
    told = _close(record, runs, known, search, status, driver.board)
    shown = outcome_lines(record.sweep, summary, groups(runs, known))
    summary["time"] = _with_overhead(summary["time"], driver, planned)
    write_whole(record.path / NAME, json.dumps(summary, indent=1))
    record.resend(NAME)
    counts = f"{driver.counts().text}; leaderboard and summary in {record.path}"
    return Result(summary, [*shown, *told, *lines, counts], code, why)


def as_it_was(
    record: SweepRecord[Sweep],
    runs: Sequence[Wanted],
    ledger: Ledger,
    board: Board,
    search: Trials | None = None,
) -> Result:
    """Nothing is to be done: what came of it is told, and recorded if it is not yet."""
    keys = [run.key for run in runs]
    known = ledger.scan(keys)
    whole = all_done(runs, known)
    lines = []
    if not whole and search is not None:
        gone = sum(key not in known for key in keys)
        if bad := sum(not all_done([run], known) for run in runs) - gone:
            lines.append(f"{bad} runs failed; see --status, and retry with --retry failed.")
        if gone:
            lines.append(
                f"{gone} runs that the search has been told of are neither in {ledger.runs} nor in"
                f" the store's experiment {ledger.experiment}: to make them anew, give the search"
                " another name (--name)."
            )
    failed = bool(lines) or not runs
    kept, told = is_kept(keys, known, record)
    if kept:
        summary: dict[str, Any] = json.loads((record.path / NAME).read_text())
        if search is not None and (lacking := search.lacking()):
            told.append(lacking)
    else:  # other sweeps have made all of it, or the driver died at the very end
        record.want(members_of(runs, grows=search is not None))
        record.open()
        summary = conclude(record, runs, known, None, None, search)
        told = _close(record, runs, known, search, "FAILED" if failed else "FINISHED", board)
    shown = outcome_lines(record.sweep, summary | {"time": None}, groups(runs, known))
    if any(getattr(run.config.schedule, "branches", ()) for run in runs):
        from sweeps.planning import without_branches

        if lacking := without_branches(runs, known):
            shown.append(f"warning: {lacking}.")
    done = f"all {len(runs)} runs are done" if whole else "all that is asked for is done"
    ended = f"{done}; leaderboard and summary in {record.path}"
    return Result(summary, [*shown, *told, *lines, *([] if failed else [ended])], int(failed))


def _close(
    record: SweepRecord[Sweep],
    runs: Sequence[Wanted],
    known: Mapping[Key, Known],
    search: Trials | None,
    status: Status,
    board: Board,
) -> list[str]:
    """Send what the store lacks, and end the record; what there is to say beside its end."""
    lines = send_late(known, record, board.say)
    if search is not None:
        write_search(search, record.path / "search")
        if lacking := search.lacking():
            lines.append(lacking)
        if hosts := search.elsewhere():
            who = f"{len(hosts)} trials are with a driver on {', '.join(sorted(set(hosts)))}"
            lines.append(f"{who}; if it is gone, --retry failed takes them over.")
    if all_done(runs, known):
        record.note_whole(run.key for run in runs)
    record.close(status)
    return lines


def _with_overhead(
    times: dict[str, Any] | None, driver: Driver[Wanted], planned: "Planned"
) -> dict[str, Any] | None:
    """The share of the command's time in which neither a job ran nor a worker started.

    Before the first job, timing shapes, between the jobs of each worker, and after the last one.
    """
    if times is None:
        return None
    clock, now = driver.clock, time.time()
    began = psutil.Process().create_time()
    first = min(job.began for job, _ in clock.jobs)
    last = max(job.began + job.seconds for job, _ in clock.jobs)
    workers = max(1, clock.workers)
    parts = {
        "before": max(0.0, first - began - clock.starting / workers - planned.timing),
        "timing": planned.timing,
        "between": clock.gaps / workers,
        "after": now - last,
    }
    return {
        **times,
        "command_seconds": now - began,
        "overhead_seconds": parts,
        "overhead_share": sum(parts.values()) / (now - began),
    }


def _remember(driver: Driver[Wanted], planned: "Planned") -> None:
    """What runs took besides their training, for the next estimate."""
    endings = []
    for job, cohort in driver.clock.jobs:
        assert isinstance(cohort, Cohort)
        if cohort.size.branches:  # whose training is no part of `job.training`
            continue
        calibration, members = planned.advisor.calibration, len(cohort.runs)
        costs = calibration.costs(cohort.config, cohort.way)
        if costs is not None and all(outcome.end == "finished" for outcome in job.outcomes):
            tested = cohort.size.test_tokens * costs.eval_token
            endings.append(max(0.0, job.seconds - job.training - costs.setup - tested) / members)
    if endings:
        planned.advisor.calibration.note_endings(endings)
