"""Branches of a warmup-stable-decay run: each is the smaller run, and the stem knows nothing."""

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from scaling.checkpoint import Checkpoints
from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.recipes import load_config
from scaling.tracking.folder import RunFolder, Status, run_folders
from scaling.tracking.sender import Sender
from scaling.tracking.tracker import Tracker
from scaling.trainer import Trainer
from scaling.training import RunResult, resume, train

Tiny = Callable[..., RunConfig]
WSD = ["--schedule.kind", "wsd", "--schedule.warmup", "3", "--schedule.decay", "0.25"]
WSD += ["--budget.steps", "24", "--evaluation.every", "null"]


@pytest.fixture(autouse=True)
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run folders say it all here; the store would cost seconds a run."""
    monkeypatch.setattr(Sender, "_run", lambda self: None)


def run(*configs: RunConfig) -> list[RunResult]:
    return train(configs, say=lambda _: None, progress=lambda _: None)


def go_on(folders: Sequence[RunFolder | RunResult]) -> None:
    parts = [one.folder if isinstance(one, RunResult) else one for one in folders]
    resume(parts, say=lambda _: None, progress=lambda _: None)


def metrics(folder: RunFolder) -> list[tuple[int, str, float]]:
    clocks = ("seconds", "tokens_per_second", "mfu")
    rows = [(row.step, *item) for row in folder.rows() for item in row.metrics.items()]
    return sorted(
        row for row in rows if row[1].rpartition("/")[2] not in (*clocks, "wall_seconds")
    )


def same_runs(one: list[RunFolder], other: list[RunFolder]) -> bool:
    """Whether two folders hold the same runs, all of them finished."""
    found = []
    for folders in (one, other):
        records = [(folder, folder.read_record()) for folder in folders]
        assert all(record.status == "FINISHED" for _, record in records)
        found.append(sorted((r.name, r.seed, metrics(folder)) for folder, r in records))
    return found[0] == found[1]


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


def test_a_branch_has_the_past_of_its_run_up_to_its_start(tiny: Tiny) -> None:
    flags = [*WSD, "--evaluation.every", "4", "--tracking.log_every", "5"]
    flags += ["--optimizer.lr", "3", "--optimizer.grad_clip", "null"]  # worse than untrained
    run(tiny(*flags, "--schedule.branches", "[0.5]"))  # from step 9
    (branch,) = [f for f in run_folders(Path("runs")) if f.read_record().name == "tiny-0.5"]
    (alone,) = run(tiny(*flags, "--budget.steps", "12"))
    assert alone.summary["best_step"] < 9
    assert metrics(branch) == metrics(alone.folder)
    mine, same = (Checkpoints(f.path / "checkpoints") for f in (branch, alone.folder))
    assert mine.steps == same.steps
    assert mine.best is not None and mine.best.step == alone.summary["best_step"]
    summary = json.loads((branch.path / "summary.json").read_text())
    assert summary["final_train_loss"] == alone.summary["final_train_loss"]


def test_a_branch_that_was_stopped_goes_on_with_its_run(tiny: Tiny) -> None:
    flags = [*WSD, "--schedule.branches", "[0.5]"]
    configs = [tiny(*flags, "--seed", seed, "--tracking.folder", "whole") for seed in "12"]
    run(*configs)

    def stop(trainer: Trainer) -> None:
        if (trainer.total, trainer.step) == (12, 10):
            os.kill(os.getpid(), signal.SIGTERM)

    configs = [tiny(*flags, "--seed", seed) for seed in "12"]
    stopped = train(configs, say=lambda _: None, progress=stop)
    found = run_folders(Path("runs"))
    assert [folder.read_record().status for folder in found] == ["KILLED"] * 4
    go_on(stopped)
    assert same_runs(run_folders(Path("whole")), run_folders(Path("runs")))


def test_a_branch_is_where_its_run_is(
    tiny: Tiny, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(trainer: Trainer) -> None:
        if trainer.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    config = tiny(*WSD, "--schedule.branches", "[0.5]")
    (stopped,) = train([config], say=lambda _: None, progress=stop)
    stem = RunFolder(stopped.folder.path.absolute())
    (workplace / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    resume([stem], say=lambda _: None, progress=lambda _: None)
    records = [folder.read_record() for folder in run_folders(workplace / "runs")]
    assert {record.name for record in records} == {"tiny", "tiny-0.5"}
    assert len({record.uri for record in records}) == 1
    assert not list(Path().iterdir())


def test_a_branch_of_which_but_one_member_was_recorded_is_not_trained_twice(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*WSD, "--schedule.branches", "[0.5]"]
    run(*[tiny(*flags, "--seed", seed, "--tracking.folder", "whole") for seed in "12"])
    whole = Tracker.finish

    def finish(self: Tracker, status: Status, *args: Any, **more: Any) -> None:
        record = self.folder.read_record()
        if (record.name, record.seed, status) == ("tiny-0.5", 2, "FINISHED"):
            raise RuntimeError("power cut")
        whole(self, status, *args, **more)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(Tracker, "finish", finish)
        run(*[tiny(*flags, "--seed", seed) for seed in "12"])
    records = [(folder, folder.read_record()) for folder in run_folders(Path("runs"))]
    assert sorted(r.status for _, r in records) == ["FAILED", "FAILED", "FAILED", "FINISHED"]
    go_on([folder for folder, r in records if r.name == "tiny"])
    assert same_runs(run_folders(Path("whole")), run_folders(Path("runs")))


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
