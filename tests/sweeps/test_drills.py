"""Sweeps under fire: killed drivers and workers, two drivers at once."""

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

from scaling.tracking.address import tracking_uri
from scaling.tracking.folder import run_folders
from scaling.tracking.sent import Sent
from scaling.tracking.store import client

pytestmark = pytest.mark.drill
Write = Callable[..., Path]
Call = Callable[..., "subprocess.CompletedProcess[str]"]
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


def wait_for_more(count: Callable[[], int], than: int) -> None:
    wait_for(lambda: count() > than)


def losses(table: Path) -> dict[tuple[str, str], str]:
    with table.open() as stream:
        return {(r["lr"], r["seed"]): r["final_val_loss"] for r in csv.DictReader(stream)}


def children() -> list[str]:
    store = client(tracking_uri())
    ids = [experiment.experiment_id for experiment in store.search_experiments()]
    runs = store.search_runs(ids, max_results=1000)
    return [r.info.status for r in runs if r.data.tags.get("tinyscale.kind") != "sweep"]


def begun() -> int:
    return len(run_folders(Path("runs")))


def logged() -> int:
    return sum(len(folder.rows()) for folder in run_folders(Path("runs")))


def ended() -> int:
    return sum((folder.path / "summary.json").exists() for folder in run_folders(Path("runs")))


def sent() -> int:
    return sum(Sent.read(folder).status == "FINISHED" for folder in run_folders(Path("runs")))


def test_five_kills_and_ctrl_c_lose_nothing_and_double_nothing(
    write_sweep: Write, trains_here: None, tinyscale_here: Call
) -> None:
    fields = {"seeds": [1, 2, 3, 4], "budget": {"steps": 200}, "grid": {"optimizer.lr": RATES}}
    write_sweep("broken", **fields)
    draw = random.Random(5)
    for number, moment in enumerate((begun, logged, logged, ended, sent, begun)):
        before = moment()
        driver = start("broken")
        wait_for_more(moment, before)
        time.sleep(0.5 * draw.random())
        assert driver.poll() is None
        if number == 2:
            driver.send_signal(signal.SIGINT)
            out, _ = driver.communicate(timeout=60)
            assert driver.returncode == 128 + signal.SIGINT
            assert "Go on with the same command" in out
            statuses = {folder.read_record().status for folder in run_folders(Path("runs"))}
            assert "KILLED" in statuses and statuses <= {"KILLED", "FINISHED"}
        else:
            driver.kill()
            driver.communicate()
    assert finish("broken").returncode == 0
    assert children() == ["FINISHED"] * 20
    assert begun() == 20

    write_sweep("whole", **fields)
    elsewhere = ("--tracking.folder", "others", "--tracking.experiment", "o")
    assert tinyscale_here("sweep", "whole", *elsewhere, "--no-timing").returncode == 0
    (table,) = Path("others/sweeps").glob("whole-*/leaderboard.csv")
    whole = losses(table)
    assert len(whole) == 20
    assert losses(Path("runs/sweeps/broken/leaderboard.csv")) == whole


def test_a_second_driver_says_so_or_joins(
    write_sweep: Write, trains_here: None, tinyscale_here: Call
) -> None:
    grid = {"optimizer.lr": [0.01]}
    write_sweep(seeds=[1, 2, 3, 4, 5], budget={"steps": 1000}, grid=grid, cohort=1)
    first = start("s")
    wait_for_more(begun, 0)
    second = tinyscale_here("sweep", "s", "--no-timing")
    assert second.returncode == 2
    assert "another driver works on s now" in second.stderr
    assert "the driver: " in tinyscale_here("sweep", "s", "--status").stdout
    helper = tinyscale_here("sweep", "s", "--join", "--no-timing")
    assert helper.returncode == 0, helper.stderr
    assert "helped" in helper.stdout
    _, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    assert children() == ["FINISHED"] * 5


def test_a_killed_worker_costs_one_retry(write_sweep: Write) -> None:
    write_sweep(budget={"steps": 1000}, grid={"optimizer.lr": [0.01]})
    driver = start("s")
    wait_for(lambda: any(len(f.rows()) > 20 for f in run_folders(Path("runs"))))
    (folder,) = run_folders(Path("runs"))
    psutil.Process(folder.read_record().pid).kill()
    _, err = driver.communicate(timeout=120)
    assert driver.returncode == 0
    assert "ended by SIGKILL; trying once more" in err
    assert children() == ["FINISHED"]
