"""Tables of runs for a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.design import named
from analysis.report.document import Table, figure
from analysis.units import Unit

_MOST = 200  # rows; the CSV beside the report has all


def groups_table(runs: pd.DataFrame, unit: Unit) -> Table:
    """One row a configuration: its size and budget, and the loss over seeds."""
    columns = [c for c in ("N", "N_non_embedding", "D", "C", "lr") if c in runs]
    rows = []
    for _, part in runs.groupby("group", sort=False):
        first, losses = part.iloc[0], part["loss"].astype(float)
        rows.append(
            (
                losses.mean(),
                [
                    str(first["name"]),
                    *[figure(first[c]) for c in columns],
                    str(len(part)),
                    f"{losses.mean():.4f}",
                    f"{losses.std():.4f}" if len(part) > 1 else "–",
                    _mean(part, "test_loss"),
                    _mean(part, "tokens_per_second"),
                ],
            )
        )
    rows.sort(key=lambda one: one[0])
    head = ["run", *[named(c) for c in columns], "seeds", "loss", "sd", "test loss", "tokens/s"]
    caption = f"Means over seeds, the best first; losses in {unit.name}."
    if len(rows) > _MOST:
        caption += f" The best {_MOST} of {len(rows)}; runs.csv has all."
    return Table(head, [row for _, row in rows[:_MOST]], caption)


def apart_table(apart: pd.DataFrame) -> Table:
    """Runs that do not count, each with the reason."""
    rows = [
        [
            str(row["name"]),
            figure(row["seed"]),
            str(row["why"]) + _where(row),
            figure(row["loss"]),
            str(row["run_id"])[:8],
        ]
        for row in apart.head(_MOST).to_dict("records")
    ]
    caption = "Runs that no law or mean counts, and why."
    if len(apart) > _MOST:
        caption += f" The first {_MOST} of {len(apart)}; runs_apart.csv has all."
    return Table(["run", "seed", "why", "last loss", "id"], rows, caption, left=3)


def _where(row: Mapping[Any, Any]) -> str:
    step = row.get("diverged_step")
    return f" at step {figure(step)}" if row["why"] == "diverged" and step == step and step else ""


def _mean(part: pd.DataFrame, column: str) -> str:
    values = pd.to_numeric(part[column], errors="coerce") if column in part else pd.Series([])
    return figure(float(values.mean())) if values.notna().any() else "–"
