"""Tables of groups and of configurations: what they cost and how low their losses came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.paired import spread
from analysis.pareto import COSTS, front

_MEANS = (
    *("N", "N_non_embedding", "D", "C", "before", "train_loss", "loss", "bpb", "best_loss"),
    *("test_loss", "tokens_per_second", "wall_seconds", "inference_bytes"),
)


def summary(groups: Sequence[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """One row a group: means over its runs."""
    rows = []
    for name, runs in groups:
        row: dict[str, Any] = {
            "group": name,
            "runs": len(runs),
            "seeds": int(runs["seed"].nunique()),
            "configurations": int(runs["group"].nunique()),
        }
        row |= _means(runs)
        noise = runs["loss"] - runs.groupby("group")["loss"].transform("mean")
        room = len(runs) - row["configurations"]
        row["loss_sd"] = float(np.sqrt((noise**2).sum() / room)) if room > 0 else np.nan
        ends = spread(list(runs["loss"])) if row["configurations"] == 1 else None
        row["loss_low"], row["loss_high"] = ends or (np.nan, np.nan)
        rows.append(row)
    return pd.DataFrame(rows)


def configurations(groups: Sequence[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """One row a configuration: means over seeds, and which fronts it is on."""
    rows = [
        {"group": name, "name": str(seeds["name"].iloc[0]), "seeds": len(seeds)} | _means(seeds)
        for name, runs in groups
        for _, seeds in runs.groupby("group", sort=False)
    ]
    table = pd.DataFrame(rows)
    for cost in COSTS:
        table[f"front_{cost.column}"] = front(table, cost)
    return table


def _means(runs: pd.DataFrame) -> dict[str, float]:
    means = {}
    for column in _MEANS:
        values = pd.to_numeric(runs[column], errors="coerce") if column in runs else None
        means[column] = np.nan if values is None else float(values.mean())
    return means
