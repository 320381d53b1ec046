"""A sweep's runs are those that it wants, whichever sweep has made them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.runs import Selection, read_runs
from scaling.branches import branch_config
from scaling.errors import UserError
from scaling.tracking.members import Members
from sweeps.conduct import Request, conduct
from sweeps.progress import Board
from sweeps.reading import Sweep
from sweeps.wanted import members_of, wanted_runs
from tests.sweeps.fakes import finished_run

SweepOf = Callable[..., Sweep]


def test_a_sweep_is_read_with_what_another_has_made(sweep_of: SweepOf) -> None:
    first = sweep_of(name="first", grid={"optimizer.lr": [0.01, 0.02, 0.03]})
    for run in wanted_runs(first):
        finished_run(run, tags={"tinyscale.sweep": "first"})
    for name, rates in (
        ("first", [0.01, 0.02, 0.03]),
        ("second", [0.02, 0.03]),  # it made none of them
        ("first", [0.01]),  # its file has changed: others keep its tag
    ):
        sweep = sweep_of(name=name, grid={"optimizer.lr": rates})
        assert conduct(sweep, Request(), Board()).exit_code == 0
        found = read_runs(Selection(sweep=name))
        assert set(found.runs["identity"]) == {run.key[0] for run in wanted_runs(sweep)}
        assert len(found.runs) == len(rates) and found.apart.empty
        assert set(found.runs["sweep"]) == {name}
    with pytest.raises(UserError, match="no sweep 'third'"):
        read_runs(Selection(sweep="third"))


def test_branches_belong_to_the_sweep_of_their_run(sweep_of: SweepOf, tmp_path: Path) -> None:
    wsd = {"schedule.kind": "wsd", "schedule.warmup": 2, "schedule.branches": [0.5]}
    sweep = sweep_of(budget={"steps": 20}, seeds=[1, 2], fields=wsd, grid={"batch.size": [4]})
    runs = wanted_runs(sweep)
    members_of(runs, grows=False).write(tmp_path)
    ends = {(branch_config(run.config, 0.5).identity, run.config.seed) for run in runs}
    assert set(Members.read(tmp_path / "wanted.json").labels) == ends | {run.key for run in runs}
    assert len(ends) == 2
