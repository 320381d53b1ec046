"""The sweep's own run: what it is of, where it is, and what becomes of it when things change."""

import json
from collections.abc import Callable
from pathlib import Path

from sweeps.conduct import Request, conduct
from sweeps.progress import Board
from sweeps.reading import Sweep
from sweeps.wanted import wanted_runs
from tests.sweeps.fakes import finished_run

SweepOf = Callable[..., Sweep]
FOLDER = Path("runs/sweeps/s")


def test_a_sweep_is_told_its_own_outcome_after_a_part_of_another_of_its_name(
    sweep_of: SweepOf,
) -> None:
    small = sweep_of(grid={"optimizer.lr": [0.01, 0.02]})
    for run in wanted_runs(small):
        finished_run(run)
    assert len(conduct(small, Request(), Board()).summary["runs"]) == 2
    large = sweep_of(grid={"optimizer.lr": [0.01, 0.02, 0.03]})
    assert len(conduct(large, Request(only=["lr=0.01"]), Board()).summary["runs"]) == 3
    assert len(conduct(small, Request(), Board()).summary["runs"]) == 2
    assert len(json.loads((FOLDER / "sweep_summary.json").read_text())["runs"]) == 2
