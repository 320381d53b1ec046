"""`sweep_summary.json`: a sweep's outcome whole, for programs and for the next look."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.tracking.folder import write_whole
from scaling.tracking.members import Key
from sweeps.driver import Driver
from sweeps.leaderboard import (
    Group,
    best_rates,
    competing,
    entries,
    group_row,
    group_table,
    groups,
    write_leaderboard,
)
from sweeps.ledger import Known
from sweeps.objectives import judged_by
from sweeps.progress import duration
from sweeps.reading import Sweep
from sweeps.record import SweepRecord
from sweeps.spec import Objective
from sweeps.trials import Trials
from sweeps.wanted import Wanted

NAME = "sweep_summary.json"


def conclude(
    record: SweepRecord[Sweep],
    runs: Sequence[Wanted],
    known: Mapping[Key, Known],
    driver: Driver[Wanted] | None,
    estimate: float | None,
    search: Trials | None,
) -> dict[str, Any]:
    """Write leaderboard, groups and summary into the sweep's folder, and its metrics."""
    sweep = record.sweep
    unique = list({run.key: run for run in runs}.values())
    by = judged_by(sweep.spec, unique)
    rows, found = entries(unique, known, by), groups(runs, known)
    of_groups = [group_row(group, by) for group in found]
    write_leaderboard(record.path, rows, of_groups)
    states = [row["status"] for row in rows]
    summary: dict[str, Any] = {
        "sweep": sweep.spec.name,
        "question": sweep.spec.question,
        "judged_by": by.model_dump(),
        "source": sweep.source,
        "counts": {state: states.count(state) for state in sorted(set(states))},
        "stopped": driver.stopped if driver else None,
        "time": _time(driver, estimate),
        "groups": of_groups,
        "runs": rows,
    }
    if sweep.spec.lr_per_size:
        summary["lr_per_size"] = best_rates(sweep.spec.lr_per_size, found)
    if search is not None:
        summary["search"] = {"states": dict(Counter(search.states())), "best": search.best()}
    write_whole(record.path / NAME, json.dumps(summary, indent=1))
    _log(record, found, states, by)
    return summary


def outcome_lines(sweep: Sweep, summary: Mapping[str, Any], found: Sequence[Group]) -> list[str]:
    """What came of it, for people."""
    lines = group_table(sweep.spec, found, Objective.model_validate(summary["judged_by"]))
    if "search" in summary:
        lines += _best_lines(summary["search"]["best"])
    for answer in summary.get("lr_per_size", []):
        told = ", ".join(
            f"{k} {v}" for k, v in answer.items() if k not in _RATE_ENDS and v is not None
        )
        if answer["final_val_loss"] is None:
            size = f"{told}: " if told else ""
            lines.append(f"best rate: {size}none, since each diverged; try smaller ones")
            continue
        where = "inside the range" if answer["inside"] else "AT THE END of the range: widen it"
        lines.append(f"best rate: {told}, {where}")
    time = summary["time"]
    if time is not None and time["estimated_seconds"] is not None:
        share = time["wall_seconds"] / time["estimated_seconds"] - 1
        lines.append(
            f"estimated {duration(time['estimated_seconds'])},"
            f" took {duration(time['wall_seconds'])} ({share:+.0%})"
        )
    if not sweep.spec.search and any("final_val_loss" in group.mean for group in found):
        lines.append(f"its laws and differences: tinyscale analyze --sweep {sweep.spec.name}")
    return lines


def _best_lines(best: Sequence[Mapping[str, Any]]) -> list[str]:
    """The trials that a search has found, each with its point and its objectives."""
    said = [
        f"trial {trial['trial']}, {', '.join(f'{k} {v}' for k, v in trial['point'].items())}: "
        + ", ".join(f"{metric} {value:.6g}" for metric, value in trial["objectives"].items())
        for trial in best
    ]
    if len(said) > 1:
        return [f"best are {len(said)} trials, none behind another in all:", *said]
    return [f"best: {one}" for one in said] or ["no trial has come to a result"]


_RATE_ENDS = ("inside", "final_val_loss")


def _time(driver: Driver[Wanted] | None, estimate: float | None) -> dict[str, Any] | None:
    """Where the time went; `idle` is what no worker spent in starting or in a job."""
    if driver is None or not driver.clock.jobs:
        return None
    clock = driver.clock
    return {
        "wall_seconds": clock.wall,
        "estimated_seconds": estimate,
        "workers": clock.workers,
        "worker_seconds_starting": clock.starting,
        "worker_seconds_in_jobs": clock.busy,
        "worker_seconds_training": sum(job.training for job, _ in clock.jobs),
        "worker_seconds_between_jobs": clock.gaps,
    }


def _log(
    record: SweepRecord[Sweep], found: Sequence[Group], states: Sequence[str], by: Objective
) -> None:
    """Group means and deviations as metrics: step i is row i of groups.csv."""
    before = {
        (row.step, key): value
        for row in record.folder.rows()
        for key, value in row.metrics.items()
    }
    for i, group in enumerate(found):
        metrics = {}
        for name in ("val_loss", "val_bpb", "test_loss"):
            if f"final_{name}" in group.mean:
                metrics[f"group/{name}_mean"] = group.mean[f"final_{name}"]
            if f"final_{name}" in group.deviation:
                metrics[f"group/{name}_sd"] = group.deviation[f"final_{name}"]
        new = {key: value for key, value in metrics.items() if before.get((i, key)) != value}
        if new:
            record.log(i, new)
    compared = [g.mean[by.figure] for g in competing(found) if by.figure in g.mean]
    figures = {"runs/done": float(states.count("done") + states.count("diverged"))}
    figures["runs/failed"] = float(states.count("failed"))
    if compared:
        name = by.metric.removeprefix("final/").removeprefix("best/").replace("/", "_")
        figures[f"best/{name}_mean"] = min(compared, key=by.rank)
    record.log(0, figures)
