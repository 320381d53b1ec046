"""Adaptations of a store as tables: one row each, and one a point over its seeds.

Losses are nats per token of held-out text: `loss` is that of the documents' continuations after
adaptation (mean over documents), `gain` what it has fallen by, `forgetting` what the loss on the
baseline's own validation text has risen by.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from analysis.paired import spread
from analysis.pareto import Cost, front
from analysis.runs import RunTable, Selection, read_adaptations

FORGETTING = Cost("forgetting", "forgetting (nats per token)")
PLACE = ["baseline", "method", "edit", "steps"]  # what a point is, over its seeds
FIGURES = (
    *("gain", "forgetting", "reward", "loss", "accuracy", "p_right"),
    *("tokens_tried", "wall_seconds", "writing_seconds"),
)
VERBATIM = "verbatim"


def adaptations(selection: Selection) -> RunTable | None:
    """The finished adaptations of a selection; None where it has none."""
    found = read_adaptations(selection)
    if found is None:
        return None
    raw = found.runs
    label = raw["baseline.label"].astype(str)
    runs = pd.DataFrame(
        {
            "run_id": raw["run_id"],
            "name": raw["name"],
            "sweep": raw["sweep"],
            "baseline": label,
            "parameters": raw["N"].astype(float),
            "edit": raw["edit.label"].astype(str),
            "method": _methods(raw),
            "rank": pd.to_numeric(raw["method.rank"]) if "method.rank" in raw else float("nan"),
            "steps": raw["inner_steps"].astype(int),
            "seed": raw["seed"].astype(int),
            "tokens": raw["final/tokens"].astype(float),
            "loss": raw["final/continuation_after"],
            "before": raw["final/continuation_before"],
            "general_before": raw["final/general_before"],
            **{
                name: raw[f"final/{name}"]
                for name in ("gain", "forgetting", "reward", "tokens_tried", "wall_seconds",
                             "writing_seconds")
            },
        }
    )  # fmt: skip
    for name in ("accuracy", "p_right"):
        for when in ("before", "after"):
            key = f"final/{name}_{when}"
            runs[name if when == "after" else f"{name}_before"] = (
                raw[key] if key in raw else float("nan")
            )
    order = ["parameters", "baseline", "rank", "edit", "steps", "seed"]  # without a rank: last
    runs = runs.sort_values(order, kind="stable").reset_index(drop=True)
    first = runs["edit"] != VERBATIM  # what self-edits are held against comes first
    runs = runs.assign(first=first).sort_values(["parameters", "baseline", "rank", "first"],
                                                kind="stable")  # fmt: skip
    runs = runs.drop(columns="first").reset_index(drop=True)
    return replace(found, runs=runs)


def _methods(raw: pd.DataFrame) -> pd.Series:
    ranks = raw["method.rank"] if "method.rank" in raw else pd.Series(None, index=raw.index)
    return pd.Series(
        [
            f"rank {int(rank)}" if kind == "lora" else "full"
            for kind, rank in zip(raw["method.kind"], ranks, strict=True)
        ],
        index=raw.index,
    )


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a point: means over its seeds, 95 % intervals of gain and forgetting, and whether it
    is on its baseline's front of gain against forgetting."""
    rows = []
    for place, own in runs.groupby(PLACE, sort=False):
        row: dict[str, object] = dict(zip(PLACE, place, strict=True))
        row |= {name: own[name].iloc[0] for name in ("parameters", "rank", "tokens")}
        row["seeds"] = own["seed"].nunique()
        for name in FIGURES:
            row[name] = own[name].mean()
        for name in ("gain", "forgetting"):
            ends = spread(own[name].tolist()) or (float("nan"), float("nan"))
            row[f"{name}_low"], row[f"{name}_high"] = ends
        rows.append(row)
    table = pd.DataFrame(rows)
    table["on_front"] = False
    for _, own in table.groupby("baseline"):
        better = own.assign(loss=-own["gain"])  # of equal passages, more gain is less loss
        table.loc[own.index, "on_front"] = front(better, FORGETTING)
    return table
