"""The end of a sweep of adaptations: one row an adaptation, a table for people, the record."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.tracking.folder import write_whole
from scaling.tracking.store import client
from sweeps.adapting.reading import AdaptSweep
from sweeps.adapting.wanted import Adaptation
from sweeps.adapting.work import ROW
from sweeps.driver import Driver
from sweeps.leaderboard import table
from sweeps.ledger import Known, all_done
from sweeps.progress import Board
from sweeps.record import SweepRecord, digest_of
from sweeps.result import Result, ending, send_late
from sweeps.wanted import Key

SUMMARY = "sweep_summary.json"


def close_adaptations(
    record: SweepRecord[AdaptSweep], runs: Sequence[Adaptation], driver: Driver[Adaptation]
) -> Result:
    """Write what came of the sweep, end its record, and say what there is to say."""
    known = driver.ledger.scan(run.key for run in runs) | driver.known
    code, lines, status = ending(driver, "adaptations failed; retry with --retry failed.")
    send_late(known, driver.board)
    wall = driver.clock.wall
    summary, shown = conclude(record, runs, known, wall)
    if all_done(runs, known):
        record.tag(runs=digest_of(run.key for run in runs))
    record.close(status)
    lines = [
        *shown,
        *lines,
        f"{driver.counts().text} in {wall:.0f} s; {ROW} in {record.path}",
        _next(record),
    ]
    return Result(summary, lines, code)


def as_it_was(
    record: SweepRecord[AdaptSweep], runs: Sequence[Adaptation], known: dict[Key, Known],
    board: Board,
) -> Result:  # fmt: skip
    """Nothing is to be done: what came of it is told, and recorded if it is not yet."""
    keys = [run.key for run in runs]
    whole = record.finished(keys)
    if not whole:  # other sweeps have made all of it, or the driver died at the very end
        record.open()
        send_late(known, board)
    summary, shown = conclude(record, runs, known, None)
    if not whole:
        record.tag(runs=digest_of(keys))
        record.close("FINISHED")
    told = f"all {len(runs)} adaptations are done; {ROW} in {record.path}"
    return Result(summary, [*shown, told, _next(record)], 0)


def conclude(
    record: SweepRecord[AdaptSweep], runs: Sequence[Adaptation], known: Mapping[Key, Known],
    wall: float | None,
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """Write `adapt.jsonl` and the summary; also the table of means for people."""
    rows = [
        {**_row(there, record.uri), "sweep": record.sweep.spec.name}
        for run in runs
        if (there := known.get(run.key)) is not None and there.state == "done"
    ]
    write_whole(record.path / ROW, "".join(json.dumps(row) + "\n" for row in rows))
    means = _means(rows)
    summary = {
        "sweep": record.sweep.spec.name,
        "question": record.sweep.spec.question,
        "adaptations": len(runs),
        "done": len(rows),
        "wall_seconds": wall,
        "means": means,
    }
    write_whole(record.path / SUMMARY, json.dumps(summary, indent=1))
    if wall is not None and rows:
        record.log(0, {"adaptations/done": float(len(rows)), "wall_seconds": wall})
    return summary, _table(means)


def _row(known: Known, uri: str) -> dict[str, Any]:
    """The row of an adaptation, from its folder or from the store."""
    if known.folder is not None:
        path = known.folder.path / ROW
    else:
        path = Path(client(uri).download_artifacts(str(known.run_id), ROW))
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return row


def _means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        place = (row["baseline"], row["method"], row["rank"], row["edit"], row["inner_steps"])
        groups.setdefault(place, []).append(row)
    found = []
    for (baseline, method, rank, edit, steps), own in groups.items():
        figures = {
            name: statistics.mean(row[name] for row in own)
            for name in ("gain", "forgetting", "reward", "accuracy_after")
            if all(name in row for row in own)
        }
        how = f"{method} {rank}" if rank else str(method)
        found.append(
            {"baseline": baseline, "method": how, "edit": edit, "steps": steps,
             "seeds": len(own), **figures}
        )  # fmt: skip
    return found


def _table(means: Sequence[Mapping[str, Any]]) -> list[str]:
    if not means:
        return []
    header = ["baseline", "method", "edit", "steps", "gain", "forgetting", "seeds"]
    rows = [
        [one["baseline"], one["method"], one["edit"], str(one["steps"]), f"{one['gain']:+.4f}",
         f"{one['forgetting']:+.4f}", str(one["seeds"])]
        for one in means
    ]  # fmt: skip
    return table(header, rows)


def _next(record: SweepRecord[AdaptSweep]) -> str:
    return f"its laws and fronts: tinyscale analyze --sweep {record.sweep.spec.name}"
