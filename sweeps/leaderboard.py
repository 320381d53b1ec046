"""What came of a sweep: one entry a run, means and deviations over seeds, who is best."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.tracking.folder import write_whole
from scaling.tracking.members import Key
from sweeps.ledger import Known
from sweeps.objectives import METRICS
from sweeps.spec import Objective, RatePerSize, SweepSpec
from sweeps.wanted import Wanted

FIGURES = tuple(metric.replace("/", "_") for metric in METRICS)
MEANS = ("final_val_loss", "final_val_bpb", "best_val_loss", "final_test_loss", "final_test_bpb")


@dataclass(frozen=True)
class Group:
    """The runs of one point over its seeds."""

    identity: str
    labels: dict[str, str]
    seeds: list[int]  # of those that ended
    mean: dict[str, float]
    deviation: dict[str, float]  # over seeds, n - 1; none of one seed
    diverged: int
    pruned: int  # seeds that a search gave up


def entries(
    runs: Sequence[Wanted], known: Mapping[Key, Known], by: Objective
) -> list[dict[str, Any]]:
    """One entry for each config and seed, best first, those without a figure or diverged last."""
    found = []
    for run in runs:
        there = known.get(run.key)
        summary = there.summary if there else {}
        entry: dict[str, Any] = {
            "name": run.config.name,
            **run.point.labels,
            "seed": run.config.seed,
            "status": _status(there),
            **{figure: summary.get(figure) for figure in FIGURES},
            "trial": run.trial,
            "identity": run.key[0],
            "mlflow_run_id": there.run_id if there else None,
            "folder": there.folder.path.name if there and there.folder else None,
            "error": there.error if there else None,
        }
        found.append(entry)

    def rank(entry: Mapping[str, Any]) -> float:
        return by.rank(None if entry["status"] == "diverged" else entry[by.figure])

    return sorted(found, key=rank)


def groups(runs: Sequence[Wanted], known: Mapping[Key, Known]) -> list[Group]:
    """Means and standard deviations over the seeds of each point, in the order of the plan."""
    by_identity: dict[str, list[Wanted]] = {}
    for run in runs:
        by_identity.setdefault(run.key[0], []).append(run)
    found = []
    for identity, members in by_identity.items():
        unique = {run.key: run for run in members}.values()
        there = [(run, known[run.key]) for run in unique if run.key in known]
        ended = [(run, k) for run, k in there if k.state == "done"]
        whole = [k.summary for _, k in ended if not k.summary.get("diverged")]
        mean, deviation = {}, {}
        for figure in FIGURES:
            values = [s[figure] for s in whole if s.get(figure) is not None]
            if values:
                mean[figure] = statistics.fmean(values)
            if len(values) > 1:
                deviation[figure] = statistics.stdev(values)
        found.append(
            Group(
                identity,
                members[0].point.labels,
                [run.config.seed for run, _ in ended],
                mean,
                deviation,
                len(ended) - len(whole),
                sum(k.state == "pruned" for _, k in there),
            )
        )
    return found


def competing(found: Sequence[Group]) -> list[Group]:
    """The groups whose means compare: of as many seeds as any, none of which diverged.

    A rate at which one seed of two diverges is not as good as the other seed's loss.
    """
    most = max((len(group.seeds) for group in found), default=0)
    return [group for group in found if len(group.seeds) == most and not group.diverged]


def best_rates(rule: RatePerSize, found: Sequence[Group]) -> list[dict[str, Any]]:
    """For each size the best learning rate, and whether it lies inside the range.

    The rate is None where a seed diverged at each of them.
    """
    names = found[0].labels if found else {}
    axis = next((name for name in names if f".{rule.field}".endswith(f".{name}")), rule.field)
    sizes: dict[tuple[tuple[str, str], ...], list[Group]] = {}
    for group in found:
        size = tuple((k, v) for k, v in group.labels.items() if k != axis)
        sizes.setdefault(size, []).append(group)
    answers: list[dict[str, Any]] = []
    for size, tried in sizes.items():
        sound = competing(tried)
        losses = [
            (group.mean["final_val_loss"], float(group.labels[axis]))
            for group in sound
            if "final_val_loss" in group.mean
        ]
        if not losses:
            if all(group.diverged for group in tried):
                answers.append({**dict(size), axis: None, "final_val_loss": None, "inside": None})
            continue
        loss, rate = min(losses)
        # Of a rate beside it that was left out, is missing or has failed nothing is known.
        judged = [float(g.labels[axis]) for g in tried if g.diverged or g in sound]
        inside = min(judged) < rate < max(judged)
        answers.append({**dict(size), axis: rate, "final_val_loss": loss, "inside": inside})
    return answers


def write_leaderboard(
    folder: Path, rows: Sequence[Mapping[str, Any]], of_groups: Sequence[Mapping[str, Any]]
) -> None:
    """`leaderboard.csv`, a row a run, and `groups.csv`, a row a point."""
    write_table(folder / "leaderboard.csv", rows)
    write_table(folder / "groups.csv", of_groups)


def group_row(group: Group, by: Objective) -> dict[str, Any]:
    """A group as a row of a table."""
    row: dict[str, Any] = {**group.labels, "seeds": len(group.seeds), "diverged": group.diverged}
    for figure in dict.fromkeys((*MEANS, by.figure)):
        row[f"{figure}_mean"] = group.mean.get(figure)
        row[f"{figure}_sd"] = group.deviation.get(figure)
    return {**row, "identity": group.identity}


def group_table(spec: SweepSpec, found: Sequence[Group], by: Objective) -> list[str]:
    """The groups as lines for people, best first, those with a diverged seed after the others."""
    header, rows = ["point", "loss (nats per token)", "bits per byte", ""], []
    if another := by.figure not in ("final_val_loss", "final_val_bpb"):
        header.insert(1, by.metric)
    for group in sorted(found, key=lambda g: (g.diverged > 0, by.rank(g.mean.get(by.figure)))):
        mean, deviation = group.mean.get("final_val_loss"), group.deviation.get("final_val_loss")
        loss = "diverged" if group.diverged and mean is None else "-"
        if mean is not None:
            loss = f"{mean:.4f}" + (f" +- {deviation:.4f}" if deviation is not None else "")
        bpb = group.mean.get("final_val_bpb")
        point = ", ".join(f"{k} {v}" for k, v in group.labels.items()) or spec.name
        seeds = f"{len(group.seeds)} seed{'s' * (len(group.seeds) != 1)}"
        if group.pruned and not group.seeds:
            seeds = "pruned"
        if group.diverged:
            seeds = f"{group.diverged} of {seeds} diverged"
        row = [point, loss, f"{bpb:.4f}" if bpb is not None else "-", seeds]
        if another:
            value = group.mean.get(by.figure)
            row.insert(1, "-" if value is None else f"{value:.6g}")
        rows.append(row)
    return table(header, rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns wide enough for what is in them, numbers to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return [line(row) for row in [header, *rows]]


def _status(known: Known | None) -> str:
    if known is None:
        return "missing"
    return "diverged" if known.summary.get("diverged") else known.state


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Records as CSV, a column for every key that some record has."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: "" if v is None else v for k, v in row.items()})
    write_whole(path, stream.getvalue())
