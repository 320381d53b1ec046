"""A sweep from the command line: two by two runs, their parent, and the second time."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from scaling.tracking.address import tracking_uri
from scaling.tracking.folder import run_folders
from scaling.tracking.store import client
from sweeps.conduct import Request, look, plan_only
from sweeps.ledger import Ledger
from sweeps.progress import Board
from sweeps.reading import Sweep
from sweeps.showing import plan_json
from sweeps.wanted import wanted_runs
from tests.sweeps.fakes import finished_run

Tinyscale = Callable[..., CompletedProcess[str]]


def test_two_by_two(
    write_sweep: Callable[..., Path], tinyscale: Tinyscale, tinyscale_here: Tinyscale
) -> None:
    grid = {"optimizer.lr": [0.001, 0.01]}
    write_sweep(seeds=[1, 2], budget={"steps": 12}, grid=grid, workers=1)
    done = tinyscale("sweep", "s.yaml", "--no-timing")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 runs done" in done.stdout

    store = client(tracking_uri())
    experiment = store.get_experiment_by_name("tinyscale")
    assert experiment is not None
    runs = store.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags.get("tinyscale.kind") == "sweep"]
    children = [run for run in runs if run is not parent]
    assert len(children) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert json.loads(children[0].data.tags["tinyscale.point"]).keys() == {"lr", "seed"}
    assert {"group/val_loss_mean", "group/val_loss_sd"} <= parent.data.metrics.keys()
    names = {item.path for item in store.list_artifacts(parent.info.run_id)}
    assert {"spec.yaml", "plan.csv", "leaderboard.csv", "sweep_summary.json"} <= names

    folder = Path("runs/sweeps/s")
    board = list(csv.DictReader((folder / "leaderboard.csv").open()))
    losses = [float(row["final_val_loss"]) for row in board]
    assert losses == sorted(losses)
    summary = json.loads((folder / "sweep_summary.json").read_text())
    assert [(run["lr"], run["seed"]) for run in summary["runs"]] == [
        (row["lr"], int(row["seed"])) for row in board
    ]
    mean = sum(float(row["final_val_loss"]) for row in board if row["lr"] == "0.01") / 2
    group = next(group for group in summary["groups"] if group["lr"] == "0.01")
    assert abs(group["final_val_loss_mean"] - mean) < 1e-9

    again = tinyscale("sweep", "s.yaml", PYTHONPROFILEIMPORTTIME="1")
    assert again.returncode == 0
    assert "all 4 runs are done" in again.stdout
    imported = {line.split("|")[-1].strip() for line in again.stderr.splitlines()}
    assert "sweeps.conduct" in imported
    assert not imported & {"torch", "mlflow", "optuna"}  # seconds each, and nothing is to be done
    assert len(run_folders(Path("runs"))) == 4
    status = tinyscale_here("sweep", "s.yaml", "--status")
    assert "4 runs, 4 done" in status.stdout
    assert "no driver works on it" in status.stdout


def test_the_plan_trains_nothing(sweep_of: Callable[..., Sweep]) -> None:
    sweep = sweep_of(budget={"epochs": 6}, grid={"model.d_model": [16, 32]})
    Path("mlflow.db").unlink()
    plan = plan_json(plan_only(sweep, Request(measure=False), Board()).plan, price=None)
    assert [run["state"] for run in plan["runs"]] == ["missing", "missing"]
    assert {"parameters_total", "tokens", "flops", "memory_bytes"} <= plan["runs"][0].keys()
    told = " ".join(plan["warnings"])
    for part in ("order of magnitude", "one seed", "one learning rate", "6.0 epochs"):
        assert part in told
    assert not Path("mlflow.db").exists()


def test_the_plan_tells_of_programs_without_room(
    sweep_of: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweep_of(budget={"steps": 12}, grid={"optimizer.lr": [0.01, 0.02]}, cohort=1)

    def warnings(free: float) -> list[str]:
        monkeypatch.setattr("sweeps.machine.available_bytes", lambda: free)
        plan = plan_only(sweep, Request(measure=False), Board()).plan
        return [warning for warning in plan.warnings if "MB" in warning]

    assert warnings(1e9) == []
    (told,) = warnings(1e5)
    assert "side by side have 0 MB: fewer `workers`" in told


@pytest.mark.parametrize("d_ff", [24, None])
def test_the_plan_tells_of_inner_widths_that_mup_does_not_scale(
    sweep_of: Callable[..., Sweep], d_ff: int | None
) -> None:
    fields = {"model.parametrization.kind": "mup", "model.feedforward.d_ff": d_ff}
    sweep = sweep_of(budget={"steps": 12}, fields=fields, grid={"model.d_model": [16, 32]})
    told = " ".join(plan_only(sweep, Request(measure=False), Board()).plan.warnings)
    assert ("feedforward.d_ff is 24 at widths from 16 to 32" in told) == (d_ff is not None)


@pytest.mark.parametrize(
    ("every", "test_share", "told"), [(1, 0.0, True), (None, 0.0, False), (None, 0.1, True)]
)
def test_the_plan_tells_of_more_validation_than_training(
    sweep_of: Callable[..., Sweep], every: int | None, test_share: float, told: bool
) -> None:
    fields: dict[str, Any] = {"evaluation.every": every, "evaluation.tokens": 300}
    fields["data.test_share"] = test_share
    sweep = sweep_of(budget={"steps": 12}, fields=fields, grid={"optimizer.lr": [0.01, 0.02]})
    found = plan_only(sweep, Request(measure=False), Board()).plan.warnings
    # 13 or 2 evaluations of 300 tokens, some 6,000 of the test, and 12 steps of 4 x 32.
    said = "3,900" if every else r"[5-9],\d{3}"
    pattern = f"{said} tokens are validated or tested .* 1,536"
    assert any(re.match(pattern, warning) for warning in found) == told


def test_a_stores_options_do_not_hide_what_it_has(
    sweep_of: Callable[..., Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Ledger, "ask_store", lambda self: asked.append(self.uri))
    (run,) = wanted_runs(sweep_of(grid={"optimizer.lr": [0.01]}))
    for store in (f"{tracking_uri()}?timeout=60", "sqlite:///none.db"):
        look(Ledger(Path("runs"), store, "tinyscale"), [run])
    assert asked == [f"{tracking_uri()}?timeout=60"]


def test_a_mistake_ends_it_before_anything_is_trained(
    write_sweep: Callable[..., Path], tinyscale: Tinyscale
) -> None:
    write_sweep(grid={"model.d_modle": [16]})
    done = tinyscale("sweep", "s.yaml")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "did you mean model.d_model" in done.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("sweep s.yaml --dry-run --no-timing", 0, "2 runs, 2 to make: "),
        ("sweep s.yaml --dry-run --no-timing --json", 0, '"to_make": 2,'),
        ("plan s.yaml --no-timing", 0, "time: not measured for these shapes"),
        ("plan s.yaml --no-timing --json", 0, '"to_make": 2,'),
        ("plan s.yaml --no-timing --json --price 9", 0, '"cost": null,'),
        ("plan s.yaml --price much", 2, "'much' is not a valid float"),
        ("sweep s.yaml --seeds 1,x", 2, "--seeds is '1,x', but it is numbers like 1,2,3."),
        ("plan s.yaml --seeds 1,x", 2, "--seeds is '1,x', but it is numbers like 1,2,3."),
    ],
)
def test_what_only_looks_makes_no_run(
    words: str, code: int, said: str, write_sweep: Callable[..., Path], tinyscale_here: Tinyscale
) -> None:
    write_sweep(grid={"optimizer.lr": [0.01, 0.02]}, question="Does it only look?")
    done = tinyscale_here(*words.split())
    assert done.returncode == code
    assert said in (done.stderr if code else done.stdout)
    if code:
        assert not done.stdout
    elif "--json" in words:
        assert len(json.loads(done.stdout)["runs"]) == 2
    else:
        assert done.stdout.startswith("Does it only look?\n")
    assert not run_folders(Path("runs"))


def test_the_answer_is_json_where_asked_for_and_the_rest_is_beside_it(
    sweep_of: Callable[..., Sweep], tinyscale_here: Tinyscale
) -> None:
    for run in wanted_runs(sweep_of(grid={"optimizer.lr": [0.01, 0.02]})):
        finished_run(run)
    done = tinyscale_here("sweep", "s.yaml", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer == json.loads(Path("runs/sweeps/s/sweep_summary.json").read_text())
    assert sorted(run["lr"] for run in answer["runs"]) == ["0.01", "0.02"]
    assert "all 2 runs are done" in done.stderr
    assert len(run_folders(Path("runs"))) == 2


def test_the_status_is_json_where_asked_for(
    sweep_of: Callable[..., Sweep], tinyscale_here: Tinyscale
) -> None:
    done, bad, _ = wanted_runs(sweep_of(seeds=[1, 2, 3], grid={"optimizer.lr": [0.01]}))
    finished_run(done)
    finished_run(bad, "FAILED")
    told = tinyscale_here("sweep", "s.yaml", "--status", "--json")
    failed = {"name": bad.config.name, "seed": 2, "error": "RuntimeError: boom"}
    assert json.loads(told.stdout) == {
        "sweep": "s",
        "begun": False,
        "of_trials": None,
        "trials": {},
        "runs": {"done": 1, "failed": 1, "missing": 1},
        "failed": [failed],
        "driver": None,
    }


def test_a_place_that_cannot_be_written_is_said_before_anything_is_made(
    write_sweep: Callable[..., Path], tinyscale_here: Tinyscale
) -> None:
    write_sweep(grid={"optimizer.lr": [0.01]})
    adaptations = {"kind": "adaptation", "baselines": ["tiny"], "tasks": {"file": "none.jsonl"},
                   "edits": ["verbatim"], "inner_steps": [1], "rank": [1]}  # fmt: skip
    Path("a.yaml").write_text(yaml.safe_dump(adaptations))
    for words in (["sweep", "s.yaml", "--no-timing"], ["adapt", "a.yaml"]):
        done = tinyscale_here(*words, "--tracking.folder", "s.yaml/x")
        assert done.returncode == 2
        assert "cannot be written" in done.stderr and "s.yaml/x" in done.stderr
