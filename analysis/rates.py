"""Learning rates and other nuisances: which were tried at each point, and which count there."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.design import FIELDS, NO_VARIANTS, Design, is_nuisance, places, varies

_RATE = "optimizer.lr"


def tuned(runs: pd.DataFrame, design: Design) -> pd.DataFrame:
    """At each point of the dimensions, the runs of the nuisances' best values, all seeds.

    The best is the lowest mean of the final losses over seeds; where some values have more seeds
    than others, only those with the most are in the choice, lest a lucky single one be taken.
    """
    if not design.nuisances:
        return runs
    kept = []
    for _, point in runs.groupby(places(runs), dropna=False):
        by = point.groupby(list(design.nuisances), dropna=False)["loss"]
        counts, means = by.transform("count"), by.transform("mean")
        most = counts == counts.max()
        kept.append(point[most & (means == means[most].min())])
    return pd.concat(kept).sort_index()


def basins(runs: pd.DataFrame) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The runs at each point of the dimensions, and their final losses by learning rate.

    The losses are a row a rate, in order: ``lr``, ``mean``, ``min``, ``max``, ``count`` (runs of a
    finite loss) and ``best``, which marks the rate that `tuned` would take. Of other nuisances
    each rate has its own best values.
    """
    others = [c for c in map(str, runs) if is_nuisance(runs, c) and c != _RATE]
    others = [c for c in others if varies(runs, c)]
    found = []
    for _, point in runs.groupby(places(runs), dropna=False):
        losses = point.groupby(["lr", *others])["loss"]
        rates = losses.agg(mean="mean", min="min", max="max", count=_finite).reset_index()
        rates = rates.sort_values(["count", "mean"], ascending=[False, True]).drop_duplicates("lr")
        rates["best"] = np.arange(len(rates)) == 0
        found.append((point, rates.sort_values("lr").drop(columns=others)))
    return found


def tried(runs: pd.DataFrame, apart: pd.DataFrame) -> pd.DataFrame:
    """A series' runs and the diverged ones beside them, as runs of an infinite loss.

    Beside them are those that agree with some run of the series in every field but the learning
    rate and the dimensions; they count at the tokens that they were planned for.
    """
    gone = apart[apart["why"] == "diverged"] if len(apart) else apart
    for field in map(str, runs):
        if field.startswith(FIELDS) and field not in {*NO_VARIANTS, _RATE}:
            gone = gone[gone[field].isin(runs[field].unique())]
    if gone.empty:
        return runs
    planned = gone.get("resolved.tokens", gone["D"])
    gone = gone.assign(D=planned.where(planned.notna(), gone["D"]), loss=np.inf)
    return pd.concat([runs, gone], ignore_index=True)


def _finite(losses: pd.Series) -> int:
    return int(np.isfinite(losses).sum())
