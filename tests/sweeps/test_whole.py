"""Whole sweeps that train, in this process: a search with its pruning, a failing run, times told
and taken, and a changed file."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from mlflow.entities import Run
from optuna.trial import TrialState

from scaling.tracking.address import tracking_uri
from scaling.tracking.folder import run_folders
from scaling.tracking.store import client
from scaling.trainer import Trainer
from sweeps.conduct import Request, first_runs
from sweeps.machine import Others
from sweeps.reading import read_sweep
from sweeps.study import begin_study

Write = Callable[..., Path]
Call = Callable[..., CompletedProcess[str]]
pytestmark = pytest.mark.usefixtures("trains_here")


@pytest.fixture(autouse=True)
def _without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds to draw."""
    monkeypatch.setattr("sweeps.pictures.write_search", lambda *_: None)


def stored() -> list[Run]:
    """The store's runs but for the sweep's own."""
    store = client(tracking_uri())
    ids = [experiment.experiment_id for experiment in store.search_experiments()]
    runs = store.search_runs(ids, max_results=1000)
    return [run for run in runs if run.data.tags.get("tinyscale.kind") != "sweep"]


def summary() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("runs/sweeps/s/sweep_summary.json").read_text())
    return found


def test_a_search_trains_prunes_and_ends(write_sweep: Write, tinyscale_here: Call) -> None:
    rates = {"optimizer.lr": {"low": 1e-5, "high": 0.03, "log": True}}
    pruner = {"kind": "median", "options": {"n_startup_trials": 1}}
    search = {"sampler": "random", "seed": 3, "trials": 6, "space": rates, "pruner": pruner}
    write_sweep(budget={"tokens": 30 * 4 * 32}, seeds=[1], search=search)
    done = tinyscale_here("sweep", "s", "--no-timing")
    assert done.returncode == 0, done.stderr

    sweep = read_sweep("s")
    study = begin_study(sweep, first_runs(sweep, Request())[0], None, Path("runs/sweeps/s"))
    trials = study.trials
    assert len(trials) == 6
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    assert 0 < len(pruned) < 6
    # A pruned run has ended early, and says where.
    killed = [run for run in stored() if run.info.status == "KILLED"]
    assert len(killed) == len(pruned)
    assert {int(run.data.tags["tinyscale.pruned_step"]) for run in killed} <= {10, 20}
    losses = [
        run.data.metrics["final/val_loss"] for run in stored() if run.info.status == "FINISHED"
    ]
    assert len(losses) == 6 - len(pruned)
    assert math.isclose(study.best_value, min(losses))
    (best,) = summary()["search"]["best"]
    assert best["trial"] == study.best_trial.number

    again = tinyscale_here("sweep", "s", "--no-timing")
    assert again.returncode == 0
    assert len(run_folders(Path("runs"))) == 6


def test_a_failing_run_keeps_its_traceback_and_the_rest_goes_on(
    write_sweep: Write, tinyscale_here: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.train_step

    def failing(self: Trainer) -> None:
        if any(config.optimizer.lr == 0.02 for config in self.cohort.configs):
            raise RuntimeError("boom")
        step(self)

    monkeypatch.setattr(Trainer, "train_step", failing)
    write_sweep(budget={"steps": 20}, grid={"optimizer.lr": [0.01, 0.02, 0.03]})
    done = tinyscale_here("sweep", "s", "--no-timing")
    assert done.returncode == 1
    assert "RuntimeError: boom" in done.stderr
    assert sorted(run.info.status for run in stored()) == ["FAILED", "FINISHED", "FINISHED"]
    (failed,) = [f for f in run_folders(Path("runs")) if f.read_record().status == "FAILED"]
    assert "boom" in (failed.path / "traceback.txt").read_text()

    monkeypatch.setattr(Trainer, "train_step", step)
    assert tinyscale_here("sweep", "s", "--no-timing").returncode == 1  # unasked, not tried again
    assert tinyscale_here("sweep", "s", "--no-timing", "--retry", "failed").returncode == 0
    assert [run.info.status for run in stored()] == ["FINISHED"] * 3
    store = client(tracking_uri())
    for run in stored():  # of a failure that is overcome nothing stays
        names = {item.path for item in store.list_artifacts(run.info.run_id)}
        assert "summary.json" in names and "traceback.txt" not in names


def test_a_timed_sweep_says_what_it_was_to_take_and_what_it_took(
    write_sweep: Write, tinyscale_here: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TINYSCALE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Others, "share", lambda self: 0.0)  # what is timed on a busy machine goes
    grid = {"optimizer.lr": [0.01, 0.02]}
    write_sweep(seeds=[1, 2], budget={"steps": 20}, grid=grid, workers=1)
    done = tinyscale_here("sweep", "s")
    assert done.returncode == 0, done.stderr
    assert "timing shape 1 of 1" in done.stderr
    assert "estimated" in done.stdout
    timed = json.loads((tmp_path / "cache" / "calibration.json").read_text())
    assert any(key.startswith("shape ") for key in timed)
    times = summary()["time"]
    assert times["estimated_seconds"] > 0 and times["wall_seconds"] > 0
    # The store has the summary with the whole command's time too.
    store = client(tracking_uri())
    (parent,) = store.search_runs(["1"], "tags.`tinyscale.kind` = 'sweep'")
    place = store.download_artifacts(parent.info.run_id, "sweep_summary.json", str(tmp_path))
    assert json.loads(Path(place).read_text()) == summary()


def test_what_a_changed_file_asks_of_the_same_runs_is_answered(
    write_sweep: Write, tinyscale_here: Call
) -> None:
    grid = {"model.d_model": [16], "optimizer.lr": [0.001, 0.01, 0.1]}
    write_sweep(budget={"steps": 12}, grid=grid)
    assert tinyscale_here("sweep", "s", "--no-timing").returncode == 0
    rates = {"low": 0.001, "high": 0.1, "points": 3}
    write_sweep(budget={"steps": 12}, grid={"model.d_model": [16]}, lr_per_size=rates)
    done = tinyscale_here("sweep", "s", "--no-timing")
    assert "all 3 runs are done" in done.stdout
    assert "best rate" in done.stdout
    assert "lr_per_size" in Path("runs/sweeps/s/spec.yaml").read_text()
    assert len(run_folders(Path("runs"))) == 3
