"""What power cuts and full disks leave of a run, and which processes count as alive."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from scaling.commands.doctor import mark_killed
from scaling.config import RunConfig
from scaling.runs import find_run
from scaling.tracking.folder import (
    BOOT,
    is_run_folder,
    process_is_alive,
    process_start,
    run_folders,
    write_whole,
)
from scaling.tracking.sent import Sent
from scaling.tracking.store import client, sync
from scaling.tracking.tracker import Tracker, Tracking
from tests.scaling.trained_run import record

Tiny = Callable[..., RunConfig]
# As file systems leave what had no time to reach the disk.
TORN = [
    pytest.param("", id="empty"),
    pytest.param("\0" * 64, id="zeros"),
    pytest.param('{"id": "', id="half"),
]


def test_a_small_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_whole(path, "old")
    seen: list[tuple[str, int]] = []
    fsync = os.fsync

    def noted(number: int) -> None:
        seen.append((path.read_text(), os.fstat(number).st_size))
        fsync(number)

    monkeypatch.setattr(os, "fsync", noted)
    write_whole(path, "new text")
    assert seen == [("old", len("new text"))]
    assert path.read_text() == "new text"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("left", TORN)
def test_a_torn_record_hides_its_own_run_only(tiny: Tiny, workplace: Path, left: str) -> None:
    whole, torn = record(tiny()), record(tiny("--name", "other"))
    (torn.path / "run.json").write_text(left)
    Path("runs/notes.txt").write_text("no run folder")
    assert is_run_folder(torn.path)
    assert [folder.path for folder in run_folders(Path("runs"))] == [whole.path]
    assert find_run("tiny").path == whole.path.resolve()


def test_doctor_does_its_work_beside_a_torn_record(
    tiny: Tiny, workplace: Path, tinyscale_here: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    stale, torn = record(tiny()), record(tiny())
    stale.update(process_started="long ago")
    (torn.path / "run.json").write_text("")
    done = tinyscale_here("doctor")
    assert done.returncode == 0, done.stderr
    assert f"{stale.path.name}: its process is gone; marked KILLED" in done.stdout


def test_a_full_disk_leaves_no_sender_behind(
    tiny: Tiny, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    tracking = Tracking([record(tiny())], print)
    monkeypatch.setattr("scaling.tracking.tracker.write_whole", full)
    with pytest.raises(OSError, match="No space left"), tracking:
        raise RuntimeError("boom")
    assert not any(thread.name == "mlflow-sender" for thread in threading.enumerate())


@pytest.mark.parametrize("left", TORN)
def test_a_torn_note_of_what_was_sent_sends_it_again_once(
    tiny: Tiny, workplace: Path, left: str
) -> None:
    folder, store = record(tiny()), client(f"sqlite:///{workplace}/mlflow.db")
    Tracker(folder).log(1, {"a": 1.0})
    sync(folder, store)
    first = Sent.read(folder).run_id
    (folder.path / "sent.json").write_text(left)
    assert Sent.read(folder) == Sent()
    sync(folder, store)
    assert first is not None
    assert Sent.read(folder).run_id == first
    assert [(m.step, m.value) for m in store.get_metric_history(first, "a")] == [(1, 1.0)]


def test_a_clock_that_is_set_leaves_a_living_run_alone(
    tiny: Tiny, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = record(tiny())
    booted = psutil.boot_time()
    for step in (-3600.0, 5.0):  # seconds
        monkeypatch.setattr("psutil._psplatform.boot_time", lambda step=step: booted + step)
        assert abs(psutil.boot_time() - booted - step) < 1e-6
        assert folder.is_training()
        assert not mark_killed(folder)


@pytest.mark.skipif(not BOOT.exists(), reason="no name of the boot")
def test_another_boots_process_of_the_same_number_and_age_is_another(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = process_start(os.getpid())
    Path("boot_id").write_text("another")
    monkeypatch.setattr("scaling.tracking.folder.BOOT", Path("boot_id"))
    assert not process_is_alive(os.getpid(), started)


def test_a_process_that_only_waits_to_be_counted_is_dead(tiny: Tiny, workplace: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_start(child.pid)
    assert process_is_alive(child.pid, started)
    child.kill()
    deadline = time.monotonic() + 10
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not process_is_alive(child.pid, started)
    folder = record(tiny())
    folder.update(pid=child.pid, process_started=started)
    assert mark_killed(folder)
    child.communicate()
