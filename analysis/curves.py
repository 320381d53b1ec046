"""A run's curves: from the table it left as an artifact, else from the store's metric history.

Columns made here, beside those of the run's own metrics: ``flops`` spent, ``seconds`` of wall time
since the start (where a run has not recorded them, tokens over tokens a second, so without
evaluation and saving) and ``weight_norm``, the norm of all weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd

from analysis.store import download, history

TABLE = "metrics.csv"
KEYS = (
    "train/loss",
    "val/loss",
    "val/bpb",
    "val_loss",
    "train_loss",
    "eval/loss",
    "eval_loss",
    "grad_norm",
    "lr",
    "tokens",
    "seconds",
    "tokens_per_second",
)
"""What is asked of the history of a run that left no table."""
_OTHERS = {
    "val_loss": "val/loss",
    "train_loss": "train/loss",
    "eval/loss": "val/loss",
    "eval_loss": "val/loss",
}
"""Other programs' names."""


def curves(run: Mapping[Any, Any], uri: str) -> pd.DataFrame:
    """A run's curves, a row a step; empty where it has none."""
    path = _table(run, uri)
    if path is not None:
        frame = pd.read_csv(path)
    else:
        frame = history(uri, str(run["run_id"]), KEYS)
        for name, to in _OTHERS.items():
            if to not in frame:
                frame = frame.rename(columns={name: to})
    if frame.empty:
        return frame
    return _completed(frame, run)


def _table(run: Mapping[Any, Any], uri: str) -> Path | None:
    """The file itself where the artifacts are on this machine; else a copy of it."""
    where = str(run["artifacts"] or "")
    parsed = urlparse(where)
    if parsed.scheme in ("", "file"):
        path = Path(unquote(parsed.path) if parsed.scheme else where) / TABLE
        return path if path.is_file() else None
    if not isinstance(run["id"], str):
        return None  # not a run of ours: it has no such table
    return download(uri, str(run["run_id"]), TABLE)


def _completed(frame: pd.DataFrame, run: Mapping[Any, Any]) -> pd.DataFrame:
    frame = frame.sort_values("step", kind="stable").reset_index(drop=True)
    if "tokens" not in frame:
        frame["tokens"] = np.nan
    # Steps with closing figures alone do not say their tokens; they are in step with the others.
    known = frame["tokens"].notna() & (frame["step"] > 0)
    if known.any():
        each = frame.loc[known, "tokens"].iloc[0] / frame.loc[known, "step"].iloc[0]
        frame["tokens"] = frame["tokens"].fillna(frame["step"] * each)
    rate = run.get("flops_per_token")
    frame["flops"] = frame["tokens"] * (np.nan if rate is None else float(rate))
    frame["seconds"] = _recorded(frame) if "seconds" in frame else _reckoned(frame)
    layers = [c for c in map(str, frame) if c.startswith("weight_norm/")]
    if layers:
        frame["weight_norm"] = np.sqrt((frame[layers] ** 2).sum(axis=1, min_count=1))
    return frame


def _recorded(frame: pd.DataFrame) -> pd.Series:
    """Wall time at every step, from that of the steps at which the training loss was logged."""
    known = frame[frame["seconds"].notna()]
    at, seconds = [0, *known["step"]], [0.0, *known["seconds"]]
    return pd.Series(np.interp(frame["step"], at, seconds), index=frame.index)


def _reckoned(frame: pd.DataFrame) -> pd.Series:
    """Seconds of training: each stretch of tokens at the speed that was measured over it."""
    if "tokens_per_second" not in frame:
        return pd.Series(np.nan, index=frame.index)
    speed = frame["tokens_per_second"].bfill().ffill()
    gained = frame["tokens"].diff().fillna(frame["tokens"].iloc[0])
    return (gained / speed).cumsum()
