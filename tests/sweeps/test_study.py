"""A search's study: torn journals, what may change before anything is asked, where it is kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.errors import UserError
from sweeps.conduct import Request, first_runs, plan_only
from sweeps.progress import Board
from sweeps.reading import Sweep
from sweeps.status import read_status
from sweeps.study import JOURNAL
from tests.sweeps.searches import ended, exhaust, search, source_of

SweepOf = Callable[..., Sweep]
HERE = "runs/sweeps/s"
DATABASE = "sqlite:///trials.db"
WITH_OPTIONS = f"{DATABASE}?timeout=60"
AS_FILE = "sqlite:///file:trials.db?uri=true"


@pytest.mark.parametrize("torn", ['{"op_code":4,"wor', "\0" * 8, '{"op_code":4,"wor\n'])
def test_a_search_goes_on_after_a_torn_line(sweep_of: SweepOf, torn: str) -> None:
    sweep = sweep_of(search=search())
    source = source_of(sweep, folder=HERE)
    for run in source.refill():
        source.settled(run, ended(run))
    with Path(HERE, JOURNAL).open("a") as stream:
        stream.write(torn)
    assert read_status(sweep, Request()).trials == {"complete": 2}
    exhaust(source_of(sweep, folder=HERE))
    assert read_status(sweep, Request()).trials == {"complete": 6}


def test_a_search_that_has_asked_for_nothing_may_change(sweep_of: SweepOf) -> None:
    source_of(sweep_of(search=search()))
    space = {"optimizer.lr": {"low": 1e-3, "high": 1e-1, "log": True}}
    objectives = [{"metric": "final/val_loss"}, {"metric": "flops"}]
    sweep = sweep_of(search=search(space=space, objectives=objectives))
    for run in (source := source_of(sweep)).refill():
        source.settled(run, ended(run, flops=1.0))
    assert source.states() == ["complete"] * 2
    with pytest.raises(UserError, match="was begun with another space"):
        source_of(sweep_of(search=search()))


def test_looking_at_a_search_writes_nothing(sweep_of: SweepOf) -> None:
    sweep = sweep_of(search=search())
    plan_only(sweep, Request(storage=DATABASE, measure=False), Board())
    plan_only(sweep, Request(measure=False), Board())
    assert read_status(sweep, Request()).trials == {}
    assert not Path(HERE, JOURNAL).exists() and not Path("trials.db").exists()
    source_of(sweep, folder=HERE).refill()
    before = Path(HERE, JOURNAL).read_bytes()
    assert read_status(sweep, Request()).trials == {"left": 2}
    plan_only(sweep, Request(measure=False), Board())
    assert Path(HERE, JOURNAL).read_bytes() == before


def test_a_search_is_begun_in_one_storage(sweep_of: SweepOf) -> None:
    sweep = sweep_of(search=search())
    exhaust(source_of(sweep, folder=HERE, storage=DATABASE))
    for other in (None, "sqlite:///other.db"):
        with pytest.raises(UserError, match=f"was begun with --storage {DATABASE}: give that"):
            read_status(sweep, Request(storage=other))
        with pytest.raises(UserError, match=f"was begun with --storage {DATABASE}: give that"):
            source_of(sweep, folder=HERE, storage=other)
    assert read_status(sweep, Request(storage=DATABASE)).trials == {"complete": 6}
    in_folder = sweep_of(name="in_folder", search=search())
    source_of(in_folder, folder="runs/sweeps/in_folder").refill()
    with pytest.raises(UserError, match="was begun without --storage"):
        read_status(in_folder, Request(storage=DATABASE))


@pytest.mark.parametrize("storage", [DATABASE, WITH_OPTIONS, AS_FILE])
def test_a_study_is_found_and_kept_whatever_its_url_asks_for(
    sweep_of: SweepOf, storage: str
) -> None:
    sweep = sweep_of(search=search())
    exhaust(source_of(sweep, folder=HERE, storage=storage))
    assert Path("trials.db").exists()
    other = sweep_of(search=search(objectives=[{"metric": "final/val_loss"}, {"metric": "flops"}]))
    with pytest.raises(UserError, match="was begun with another objectives"):
        source_of(other, folder=HERE, storage=storage)
    assert read_status(sweep, Request(storage=storage)).trials == {"complete": 6}


def test_a_grid_has_no_study_to_store(sweep_of: SweepOf) -> None:
    with pytest.raises(UserError, match="--storage is for a search"):
        first_runs(sweep_of(grid={"optimizer.lr": [0.1]}), Request(storage=DATABASE))
