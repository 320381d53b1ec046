"""Searches of the tiny config whose runs are settled without training."""

import math
from pathlib import Path
from typing import Any

from sweeps.conduct import Request, first_runs
from sweeps.ledger import Known
from sweeps.reading import Sweep
from sweeps.search import SearchSource
from sweeps.study import begin_study
from sweeps.wanted import Wanted

SPACE: dict[str, Any] = {
    "optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "model.attention.kind": {"choices": ["mha", "mqa"]},
}


def search(**fields: Any) -> dict[str, Any]:
    return {"trials": 6, "space": SPACE, "sampler": "random", **fields}


def source_of(
    sweep: Sweep, batch: int = 2, *, folder: str = "study", storage: str | None = None, **how: bool
) -> SearchSource:
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    study = begin_study(sweep, first_runs(sweep, Request())[0], storage, path)
    return SearchSource(sweep, study, path, batch, **how)


def retrying(sweep: Sweep) -> SearchSource:
    return source_of(sweep, retry_failed=True)


def ended(run: Wanted, **summary: Any) -> Known:
    loss = abs(math.log(run.config.optimizer.peak_lr / 1e-2))
    return Known(run.key, "done", None, "id", {"final_val_loss": loss} | summary)


def exhaust(source: SearchSource) -> list[Wanted]:
    runs = []
    while batch := source.refill():
        runs += batch
        for run in batch:
            source.settled(run, ended(run))
    return runs
