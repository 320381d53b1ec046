"""The end of a sweep of adaptations: one row an adaptation, a table for people, the record."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.tracking.folder import write_whole
from scaling.tracking.members import Key
from scaling.tracking.store import client
from sweeps.adapting.reading import AdaptSweep
from sweeps.adapting.wanted import Adaptation
from sweeps.adapting.work import ROW
from sweeps.driver import Driver
from sweeps.leaderboard import table
from sweeps.ledger import Known, all_done
from sweeps.progress import Board
from sweeps.record import SweepRecord
from sweeps.result import Result, ending, is_kept, send_late

SUMMARY = "sweep_summary.json"


def close_adaptations(
    record: SweepRecord[AdaptSweep], runs: Sequence[Adaptation], driver: Driver[Adaptation]
) -> Result:
    """Write what came of the sweep, end its record, and say what there is to say."""
    known = driver.ledger.scan(run.key for run in runs) | driver.known
    code, lines, status = ending(driver, "adaptations failed; retry with --retry failed.")
    told = send_late(known, record, driver.board.say)
    wall = driver.clock.wall
    summary, shown = conclude(record, runs, known, wall)
    if all_done(runs, known):
        record.note_whole(run.key for run in runs)
    record.close(status)
    lines = [
        *shown,
        *told,
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
    kept, told = is_kept(keys, known, record)
    if not kept:  # other sweeps have made all of it, or the driver died at the very end
        record.open()
        told = send_late(known, record, board.say)
    summary, shown = conclude(record, runs, known, None)
    if not kept:
        record.note_whole(keys)
        record.close("FINISHED")
    done = f"all {len(runs)} adaptations are done; {ROW} in {record.path}"
    return Result(summary, [*shown, *told, done, _next(record)], 0)


def conclude(
    record: SweepRecord[AdaptSweep], runs: Sequence[Adaptation], known: Mapping[Key, Known],
    wall: float | None,
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """Write `adapt.jsonl` and the summary; also the table of means for people."""
    made: list[tuple[Adaptation, dict[str, Any]]] = []
    for run in runs:
        there = known.get(run.key)
        if there is not None and there.state == "done":
            # Another sweep that made it may have called these otherwise.
            own = {name: run.labels[name] for name in ("baseline", "edit")}
            own["sweep"] = record.sweep.spec.name
            made.append((run, _row(there, record.uri) | own))
    write_whole(record.path / ROW, "".join(json.dumps(row) + "\n" for _, row in made))
    means = _means(made)
    summary = {
        "sweep": record.sweep.spec.name,
        "question": record.sweep.spec.question,
        "adaptations": len(runs),
        "done": len(made),
        "wall_seconds": wall,
        "means": means,
    }
    write_whole(record.path / SUMMARY, json.dumps(summary, indent=1))
    if wall is not None and made:
        record.log(0, {"adaptations/done": float(len(made)), "wall_seconds": wall})
    return summary, _table(means)


def _row(known: Known, uri: str) -> dict[str, Any]:
    """The row of an adaptation, from its folder or from the store."""
    if known.folder is not None:
        path = known.folder.path / ROW
    else:
        path = Path(client(uri).download_artifacts(str(known.run_id), ROW))
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return row


def _means(made: Sequence[tuple[Adaptation, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Means over the seeds of each identity; of those that diverged their number alone."""
    groups: dict[str, list[tuple[Adaptation, Mapping[str, Any]]]] = {}
    for run, row in made:
        groups.setdefault(run.key[0], []).append((run, row))
    found = []
    for own in groups.values():
        labels = own[0][0].labels
        whole = [row for _, row in own if not row["diverged"]]
        figures = {
            name: statistics.mean(row[name] for row in whole)
            for name in ("gain", "forgetting", "reward", "accuracy_after")
            if whole and all(name in row for row in whole)
        }
        found.append(
            {"baseline": labels["baseline"], "method": labels["method"], "edit": labels["edit"],
             "steps": int(labels["steps"]), "seeds": len(own),
             "diverged": len(own) - len(whole), **figures}
        )  # fmt: skip
    return found


def _table(means: Sequence[Mapping[str, Any]]) -> list[str]:
    if not means:
        return []
    header = ["baseline", "method", "edit", "steps", "gain", "forgetting", "seeds"]
    rows = [
        [one["baseline"], one["method"], one["edit"], str(one["steps"]), _signed(one, "gain"),
         _signed(one, "forgetting"), _seeds(one)]
        for one in means
    ]  # fmt: skip
    return table(header, rows)


def _signed(point: Mapping[str, Any], name: str) -> str:
    return f"{point[name]:+.4f}" if name in point else "diverged"


def _seeds(point: Mapping[str, Any]) -> str:
    gone, seeds = point["diverged"], point["seeds"]
    return f"{gone} of {seeds} diverged" if gone else str(seeds)


def _next(record: SweepRecord[AdaptSweep]) -> str:
    return f"its laws and fronts: tinyscale analyze --sweep {record.sweep.spec.name}"
