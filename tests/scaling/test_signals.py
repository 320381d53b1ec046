"""Being asked to stop."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.checkpoint import Checkpoints
from scaling.signals import Stop
from scaling.tracking.folder import run_folders


def test_the_first_signal_is_noted_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_second_ctrl_c_leaves_at_once() -> None:
    code = """
import os, signal
from scaling.signals import Stop
with Stop():
    os.kill(os.getpid(), signal.SIGINT)
    print("saving", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("never")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "saving\n"
    assert done.returncode == 128 + signal.SIGINT


def test_a_sigterm_after_a_ctrl_c_is_the_same_wish() -> None:
    code = """
import os, signal
from scaling.signals import Stop
with Stop() as stop:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
        os.kill(os.getpid(), number)
    print(stop.signal == signal.SIGINT, flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("never")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (128 + signal.SIGINT, "True\n")


@pytest.mark.drill
def test_a_ctrl_c_that_mlflows_launcher_passes_on_as_sigterm_saves_the_run(
    tiny_yaml: Path, tinyscale_here: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    code = """
import time
from scaling.cli import main
from scaling.cohort import Cohort

def slowly(*words, save=Cohort.save, **more):
    time.sleep(0.6)
    save(*words, **more)

Cohort.save = slowly
main()
"""
    words = ["train", "tiny.yaml", "--budget.steps", "400", "--evaluation.every", "null"]
    words += ["--checkpoint.save_every", "400"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not (folders := run_folders(Path("runs"))) or len(folders[0].rows()) < 3:
        time.sleep(0.01)
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.25)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGINT
    (folder,) = folders
    assert folder.read_record().status == "KILLED"
    last = Checkpoints(folder.path / "checkpoints").last
    assert last is not None and 0 < last.step == folder.rows()[-1].step < 400
    done = tinyscale_here("train", "--resume", folder.path.name)
    assert done.returncode == 0, done.stderr
    steps = [row.step for row in folder.rows() if "train/loss" in row.metrics]
    assert steps == list(range(1, 401))


def test_a_stop_from_within_and_one_from_outside_let_a_run_save() -> None:
    code = """
import os, signal
from scaling.signals import Stop, stop_here
for first, second in ((stop_here, os.kill), (os.kill, stop_here)):
    with Stop() as stop:
        for ask in (first, second):
            ask(*([os.getpid()] if ask is os.kill else []), signal.SIGTERM)
    print(stop.signal == signal.SIGTERM, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "True\nTrue\n")
