"""Sweeps under fire: killed drivers and workers, two drivers at once, failing runs."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from scaling.tracking.folder import run_folders
from scaling.tracking.store import client, tracking_uri

pytestmark = pytest.mark.drill
Write = Callable[..., Path]
RATES = [0.001, 0.003, 0.01, 0.03, 0.05]


def start(*words: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "scaling.cli", "sweep", *words, "--no-timing"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def finish(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    process = start(*words, **environment)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def wait_for(check: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)


def losses(name: str) -> dict[tuple[str, str], str]:
    with Path(f"runs/sweeps/{name}/leaderboard.csv").open() as stream:
        return {(r["lr"], r["seed"]): r["final_val_loss"] for r in csv.DictReader(stream)}


def children() -> list[str]:
    store = client(tracking_uri())
    ids = [experiment.experiment_id for experiment in store.search_experiments()]
    runs = store.search_runs(ids, max_results=1000)
    return [r.info.status for r in runs if r.data.tags.get("tinyscale.kind") != "sweep"]


def test_five_kills_lose_nothing_and_double_nothing(write_sweep: Write) -> None:
    fields = {"seeds": [1, 2, 3, 4], "budget": {"steps": 200}, "grid": {"optimizer.lr": RATES}}
    write_sweep("broken", **fields)
    draw = random.Random(5)
    for _ in range(5):
        driver = start("broken")
        time.sleep(3 + 12 * draw.random())
        driver.kill()
        driver.communicate()
    assert finish("broken").returncode == 0
    assert children() == ["FINISHED"] * 20
    assert len(run_folders(Path("runs"))) == 20
    broken = losses("broken")

    write_sweep("whole", **fields)
    assert (
        finish("whole", "--tracking.folder", "others", "--tracking.experiment", "o").returncode
        == 0
    )
    (table,) = Path("others/sweeps").glob("whole-*/leaderboard.csv")
    with table.open() as stream:
        whole = {(r["lr"], r["seed"]): r["final_val_loss"] for r in csv.DictReader(stream)}
    assert len(whole) == 20
    assert broken == whole


def test_stopped_by_ctrl_c_it_saves_and_goes_on(write_sweep: Write) -> None:
    write_sweep(budget={"steps": 1500}, grid={"optimizer.lr": [0.001, 0.01]})
    driver = start("s")
    wait_for(lambda: any(f.log.exists() for f in run_folders(Path("runs"))))
    driver.send_signal(signal.SIGINT)
    out, _ = driver.communicate(timeout=60)
    assert driver.returncode == 128 + signal.SIGINT
    assert "Go on with the same command" in out
    assert {f.read_record().status for f in run_folders(Path("runs"))} == {"KILLED"}
    assert finish("s", "--budget.steps", "1500").returncode == 0
    assert children() == ["FINISHED"] * 2


def test_a_second_driver_says_so_or_joins(write_sweep: Write) -> None:
    write_sweep(seeds=[1, 2, 3], budget={"steps": 1500}, grid={"optimizer.lr": [0.01]}, cohort=1)
    first = start("s")
    wait_for(lambda: bool(run_folders(Path("runs"))))
    second = finish("s")
    assert second.returncode == 2
    assert "another driver works on s now" in second.stderr
    status = subprocess.run(
        [sys.executable, "-m", "scaling.cli", "sweep", "s", "--status"],
        capture_output=True,
        text=True,
    )
    assert "the driver: " in status.stdout
    helper = finish("s", "--join")
    assert helper.returncode == 0, helper.stderr
    assert "helped" in helper.stdout
    first.communicate(timeout=120)
    assert first.returncode == 0
    assert children() == ["FINISHED"] * 3


def test_a_killed_worker_costs_one_retry(write_sweep: Write) -> None:
    write_sweep(budget={"steps": 3000}, grid={"optimizer.lr": [0.01]})
    driver = start("s")
    wait_for(lambda: any(len(f.rows()) > 20 for f in run_folders(Path("runs"))))
    (folder,) = run_folders(Path("runs"))
    psutil.Process(folder.read_record().pid).kill()
    _, err = driver.communicate(timeout=120)
    assert driver.returncode == 0
    assert "ended by SIGKILL; trying once more" in err
    assert children() == ["FINISHED"]


BROKEN_STEP = """
from pathlib import Path

import scaling.trainer

step = scaling.trainer.Trainer.train_step

def failing(self):
    if any(c.optimizer.lr == 0.02 for c in self.cohort.configs) and not Path("mended").exists():
        raise RuntimeError("boom")
    return step(self)

scaling.trainer.Trainer.train_step = failing
"""


def test_a_failing_run_keeps_its_traceback_and_the_rest_goes_on(write_sweep: Write) -> None:
    Path("inject").mkdir()
    Path("inject/sitecustomize.py").write_text(BROKEN_STEP)
    paths = os.pathsep.join([str(Path("inject").resolve()), *filter(None, sys.path)])
    write_sweep(budget={"steps": 20}, grid={"optimizer.lr": [0.01, 0.02, 0.03]})
    done = finish("s", PYTHONPATH=paths)
    assert done.returncode == 1
    assert "RuntimeError: boom" in done.stderr
    assert sorted(children()) == ["FAILED", "FINISHED", "FINISHED"]
    (failed,) = [f for f in run_folders(Path("runs")) if f.read_record().status == "FAILED"]
    assert "boom" in (failed.path / "traceback.txt").read_text()

    assert finish("s", PYTHONPATH=paths).returncode == 1  # unasked, it is not tried again
    Path("mended").touch()
    assert finish("s", "--retry", "failed", PYTHONPATH=paths).returncode == 0
    assert children() == ["FINISHED"] * 3
