"""Branches of a warmup-stable-decay run: each is the smaller run, and the stem knows nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.recipes import load_config
from scaling.tracking.folder import RunFolder, run_folders
from scaling.tracking.sender import Sender
from scaling.training import RunResult, train

Tiny = Callable[..., RunConfig]
WSD = ["--schedule.kind", "wsd", "--schedule.warmup", "3", "--schedule.decay", "0.25"]
WSD += ["--budget.steps", "24", "--evaluation.every", "null"]


@pytest.fixture(autouse=True)
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run folders say it all here; the store would cost seconds a run."""
    monkeypatch.setattr(Sender, "_run", lambda self: None)


def run(*configs: RunConfig) -> list[RunResult]:
    return train(configs, say=lambda _: None, progress=lambda _: None)


def curve(folder: RunFolder) -> list[tuple[int, float]]:
    return [(r.step, r.metrics["train/loss"]) for r in folder.rows() if "train/loss" in r.metrics]


def final(folder: RunFolder) -> float:
    (loss,) = (r.metrics["final/val_loss"] for r in folder.rows() if "final/val_loss" in r.metrics)
    return loss


def test_a_branch_is_the_run_of_its_budget(tiny: Tiny) -> None:
    flags = [*WSD, "--optimizer.kind", "muon", "--evaluation.ema", "0.9"]
    branched = tiny(*flags, "--schedule.branches", "[0.75, 0.5]")
    (stem,) = run(branched)
    folders = {f.read_record().name: f for f in run_folders(Path("runs"))}
    assert set(folders) == {"tiny", "tiny-0.5", "tiny-0.75"}
    for name, steps in (("tiny-0.5", 12), ("tiny-0.75", 18)):
        (alone,) = run(tiny(*flags, "--budget.steps", str(steps)))
        branch = folders[name]
        record, same = branch.read_record(), alone.folder.read_record()
        assert record.status == "FINISHED"
        assert record.identity == same.identity
        assert record.tags["tinyscale.branch_of"] == stem.folder.read_record().id
        assert record.params["resolved.tokens"] == same.params["resolved.tokens"]
        assert curve(branch) == curve(alone.folder)
        assert final(branch) == final(alone.folder)
    (without,) = run(tiny(*flags))
    assert curve(stem.folder) == curve(without.folder)
    assert final(stem.folder) == final(without.folder)
    assert branched.identity == tiny(*flags).identity


def test_a_cohorts_branches_are_each_members(tiny: Tiny) -> None:
    flags = [*WSD, "--schedule.branches", "[0.5]"]
    run(tiny(*flags, "--seed", "1"), tiny(*flags, "--seed", "2"))
    found = [f.read_record() for f in run_folders(Path("runs"))]
    assert sorted((r.name, r.seed) for r in found) == [
        ("tiny", 1), ("tiny", 2), ("tiny-0.5", 1), ("tiny-0.5", 2),
    ]  # fmt: skip


def test_a_sweeps_branches_belong_to_it(tiny: Tiny) -> None:
    tags = {"mlflow.parentRunId": "abc", "tinyscale.sweep": "s", "tinyscale.point": "{}"}
    config = tiny(*WSD, "--schedule.branches", "[0.5]")
    train([config], say=lambda _: None, progress=lambda _: None, tags=[tags])
    (branch,) = [r for f in run_folders(Path("runs")) if (r := f.read_record()).name == "tiny-0.5"]
    assert branch.tags["tinyscale.sweep"] == "s"
    assert branch.tags["mlflow.parentRunId"] == "abc"


def test_a_branch_has_one_step_at_least(tiny: Tiny) -> None:
    run(tiny(*WSD, "--schedule.branches", "[0.01]"))
    (branch,) = [f for f in run_folders(Path("runs")) if f.read_record().name == "tiny-0.01"]
    (alone,) = run(tiny(*WSD, "--budget.steps", "1"))
    assert curve(branch) == curve(alone.folder)
    assert final(branch) == final(alone.folder)


def test_branches_need_a_warmup_in_steps(tiny: Tiny) -> None:
    with pytest.raises(UserError, match=r"schedule\.branches needs schedule\.warmup in steps"):
        load_config("baseline", ["--schedule.kind", "wsd", "--schedule.branches", "[0.5]"])
    with pytest.raises(UserError, match="too few for"):
        run(tiny(*WSD, "--schedule.decay", "20", "--schedule.branches", "[0.5]"))
    assert not run_folders(Path("runs"))
