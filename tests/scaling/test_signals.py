"""Being asked to stop."""

import os
import signal
import subprocess
import sys

from scaling.signals import Stop


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
