"""The end of a sweep: tables, summary, pictures, what the next estimate learns, the record."""

import json
import time
from collections.abc import Sequence
from typing import Any

import psutil

from scaling.tracking.folder import write_whole
from sweeps.cohorts import Cohort
from sweeps.driver import Driver
from sweeps.leaderboard import groups
from sweeps.ledger import all_done
from sweeps.pictures import write_search
from sweeps.planning import Planned
from sweeps.reading import Sweep
from sweeps.record import SweepRecord, digest_of
from sweeps.result import Result, ending, send_late
from sweeps.search import SearchSource
from sweeps.source import Source
from sweeps.summary import NAME, conclude, outcome_lines
from sweeps.wanted import Wanted


def close_sweep(
    record: SweepRecord[Sweep],
    source: Source[Wanted],
    runs: Sequence[Wanted],
    driver: Driver[Wanted],
    planned: Planned,
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
    estimate = planned.plan.wall if whole else None
    search = source if isinstance(source, SearchSource) else None
    summary = conclude(record, runs, known, driver, estimate, search)
    _remember(driver, planned)
    send_late(known, driver.board)
    if search is not None:
        write_search(search, record.path / "search")
        if hosts := search.elsewhere():
            who = f"{len(hosts)} trials are with a driver on {', '.join(sorted(set(hosts)))}"
            lines.append(f"{who}; if it is gone, --retry failed takes them over.")
        if lacking := search.lacking():
            lines.insert(0, lacking)
        if search.ended and not runs:
            code, status = 1, "FAILED"
    if all_done(runs, known) and driver.stopped is None:
        record.tag(runs=digest_of(run.key for run in runs))
    record.close(status)
    shown = outcome_lines(record.sweep, summary, groups(runs, known))
    summary["time"] = _with_overhead(summary["time"], driver, planned)
    write_whole(record.path / NAME, json.dumps(summary, indent=1))
    lines = [*shown, *lines, f"{driver.counts().text}; leaderboard and summary in {record.path}"]
    return Result(summary, lines, code, why)


def _with_overhead(
    times: dict[str, Any] | None, driver: Driver[Wanted], planned: Planned
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


def _remember(driver: Driver[Wanted], planned: Planned) -> None:
    """What runs took besides their training, for the next estimate."""
    endings = []
    for job, cohort in driver.clock.jobs:
        assert isinstance(cohort, Cohort)
        calibration, members = planned.advisor.calibration, len(cohort.runs)
        costs = calibration.costs(cohort.config, cohort.way)
        if costs is not None and all(outcome.end == "finished" for outcome in job.outcomes):
            tested = cohort.size.test_tokens * costs.eval_token
            endings.append(max(0.0, job.seconds - job.training - costs.setup - tested) / members)
    if endings:
        planned.advisor.calibration.note_endings(endings)
