"""The record reaches the store whole and once, and never hurts the run."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.runs import find_run
from scaling.tracking import sender as sender_module
from scaling.tracking.address import is_missing, tracking_uri
from scaling.tracking.folder import RunFolder, run_folders
from scaling.tracking.sent import Sent
from scaling.tracking.store import client, sync
from scaling.tracking.tracker import Tracker, Tracking
from scaling.training import resume, train
from tests.scaling.trained_run import record

Tiny = Callable[..., RunConfig]
Call = Callable[..., subprocess.CompletedProcess[str]]


def store_of(place: Path) -> MlflowClient:
    return client(f"sqlite:///{place}/mlflow.db")


def runs_in(place: Path) -> list[Run]:
    store = store_of(place)
    experiment = store.get_experiment_by_name("tinyscale")
    return [] if experiment is None else list(store.search_runs([experiment.experiment_id]))


def history(place: Path, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in store_of(place).get_metric_history(run_id, key)]


@pytest.mark.usefixtures("figures")
def test_what_a_run_leaves_in_the_store(tiny: Tiny, workplace: Path) -> None:
    config = tiny("--evaluation.prompts", "[the cat]")
    (result,) = train([config], say=lambda _: None, progress=lambda _: None)
    (run,) = runs_in(workplace)
    assert run.info.status == "FINISHED"
    params, tags = run.data.params, run.data.tags
    assert params["model.d_model"] == "16"
    assert params["optimizer.lr"] == "0.01"
    assert params["seed"] == "42"
    assert int(params["parameters.total"]) == result.summary["parameters_total"]
    assert {
        "resolved.steps",
        "resolved.tokens",
        "resolved.epochs",
        "resolved.flops",
        "resolved.tokens_per_param",
        "parameters.non_embedding",
        "unique_tokens",
        "device",
        "precision",
    } <= set(params)
    assert tags["tinyscale.identity"] == result.summary["identity"]
    assert {
        "tinyscale.group",
        "tinyscale.training",
        "tinyscale.seed",
        "tinyscale.version.torch",
    } <= set(tags)
    assert run.inputs is not None and run.inputs.dataset_inputs[0].dataset.digest
    logged = {
        row.step: row.metrics["val/loss"]
        for row in result.folder.rows()
        if "val/loss" in row.metrics
    }
    assert dict(history(workplace, run.info.run_id, "val/loss")) == logged
    store = store_of(workplace)
    names = {f.path for f in store.list_artifacts(run.info.run_id)}
    assert {
        "config.yaml",
        "tokenizer.json",
        "metrics.csv",
        "summary.json",
        "samples.md",
        "figures",
    } <= names
    (model,) = store.search_logged_models([run.info.experiment_id])
    assert model.source_run_id == run.info.run_id
    assert model.status == "READY"


def test_a_launchers_run_is_used_and_its_parameters_do_not_collide(
    tiny_yaml: Path, workplace: Path, tinyscale_here: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(workplace)
    launched = store.create_run(store.create_experiment("tinyscale"))
    store.log_param(launched.info.run_id, "optimizer.lr", "1e-3")  # as MLflow spells it
    store.log_param(launched.info.run_id, "model", "tiny.yaml")
    monkeypatch.setenv("MLFLOW_RUN_ID", launched.info.run_id)
    done = tinyscale_here("train", "tiny.yaml", "--optimizer.lr", "1e-3", "--budget.steps", "3")
    assert done.returncode == 0, done.stderr
    (run,) = runs_in(workplace)
    assert run.info.run_id == launched.info.run_id
    assert (run.info.run_name, run.info.status) == ("tiny", "FINISHED")
    assert run.data.params["optimizer.lr"] == "1e-3"
    assert run.data.params["model.d_model"] == "16"


def test_syncing_again_changes_nothing(tiny: Tiny, workplace: Path) -> None:
    folder = record(tiny())
    tracker = Tracker(folder)
    store = store_of(workplace)
    for step in range(5):
        tracker.log(step, {"a": float(step), "b": -step})
    sync(folder, store)
    noted = (folder.path / "sent.json").read_text()
    tracker.log(5, {"a": 5.0})
    sync(folder, store)
    (folder.path / "sent.json").write_text(noted)  # as if killed between sending and noting
    sync(folder, store)
    sync(folder, store)
    run_id = Sent.read(folder).run_id
    assert run_id is not None
    assert history(workplace, run_id, "a") == [(s, float(s)) for s in range(6)]
    assert len(runs_in(workplace)) == 1


def test_a_lost_answer_to_the_runs_creation_makes_no_second_run(
    tiny: Tiny, workplace: Path
) -> None:
    folder = record(tiny())
    sync(folder, store_of(workplace))
    (folder.path / "sent.json").unlink()
    sync(folder, store_of(workplace))
    assert len(runs_in(workplace)) == 1


def test_nothing_that_is_not_finite_is_logged(tiny: Tiny) -> None:
    tracker = Tracker(record(tiny()))
    tracker.log(1, {"a": float("nan"), "b": float("inf"), "c": 1.0})
    assert [row.metrics for row in tracker.folder.rows()] == [{"c": 1.0}]


def test_a_step_is_recorded_once(tiny: Tiny) -> None:
    tracker = Tracker(record(tiny()))
    tracker.log(1, {"a": 1.0})
    tracker.log(1, {"a": 2.0, "b": 3.0})
    again = Tracker(tracker.folder)
    again.log(1, {"a": 4.0})
    assert [row.metrics for row in tracker.folder.rows()] == [{"a": 1.0}, {"b": 3.0}]


def test_a_line_cut_by_a_crash_is_mended(tiny: Tiny) -> None:
    tracker = Tracker(record(tiny()))
    tracker.log(1, {"a": 1.0})
    with tracker.folder.log.open("a") as stream:
        stream.write('{"step": 2, "ti')
    tracker.folder.mend_log()
    tracker.log(2, {"a": 2.0})
    assert [row.step for row in tracker.folder.rows()] == [1, 2]


def test_a_store_that_is_down_costs_nothing_but_lateness(
    tiny: Tiny, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers nobody; the run finishes, and doctor's sync delivers each point once."""
    monkeypatch.setattr(sender_module.Sender, "interval", 0.05)
    monkeypatch.setattr(sender_module.Sender, "deadline", 2.0)
    said: list[str] = []
    config = tiny("--tracking.uri", "http://127.0.0.1:9", "--budget.steps", "5")
    (result,) = train([config], say=said.append, progress=lambda _: None)
    assert result.status == "FINISHED"
    assert any("run folder has it all" in line for line in said)
    assert result.folder.read_record().status == "FINISHED"
    sync(result.folder, store_of(workplace))  # the store is back
    (run,) = runs_in(workplace)
    assert run.info.status == "FINISHED"
    assert len(history(workplace, run.info.run_id, "train/loss")) == 5


def test_a_store_that_hangs_holds_no_step_up(
    tiny: Tiny, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call to the store blocks for ever: only the sender's thread ever makes one."""
    callers: set[str] = set()
    never = threading.Event()

    def hang(folder: RunFolder, store: object) -> None:
        callers.add(threading.current_thread().name)
        never.wait()

    monkeypatch.setattr(sender_module, "client", lambda uri: object())
    monkeypatch.setattr(sender_module, "sync", hang)
    monkeypatch.setattr(sender_module.Sender, "deadline", 0.2)
    config = tiny("--evaluation.every", "null")
    (result,) = train([config], say=lambda _: None, progress=lambda _: None)
    assert callers == {"mlflow-sender"}
    assert result.status == "FINISHED"
    logged = [row.step for row in result.folder.rows() if "train/loss" in row.metrics]
    assert logged == list(range(1, 31))
    never.set()


def test_a_raising_run_is_failed_and_keeps_its_traceback(tiny: Tiny, workplace: Path) -> None:
    def stumble(trainer: object) -> None:
        raise ValueError("stumbled")

    with pytest.raises(ValueError, match="stumbled"):
        train([tiny()], say=lambda _: None, progress=stumble)
    (run,) = runs_in(workplace)
    assert run.info.status == "FAILED"
    store = store_of(workplace)
    names = {f.path for f in store.list_artifacts(run.info.run_id)}
    assert "traceback.txt" in names
    (folder,) = run_folders(Path("runs"))
    resume([folder], say=lambda _: None, progress=lambda _: None)
    assert store.get_run(run.info.run_id).info.status == "FINISHED"
    names = {f.path for f in store.list_artifacts(run.info.run_id)}
    assert "summary.json" in names and "traceback.txt" not in names


def test_what_a_launcher_begins_is_in_its_experiment_unless_another_is_named(
    tiny: Tiny, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, said = store_of(workplace), list[str]()
    place = store.create_experiment("launched")

    def launch(*configs: RunConfig) -> str:
        launched = store.create_run(place).info.run_id
        monkeypatch.setenv("MLFLOW_RUN_ID", launched)
        train(configs, say=said.append, progress=lambda _: None)
        return str(launched)

    short = ("--budget.steps", "3")
    both = launch(tiny(*short, "--seed", "1"), tiny(*short, "--seed", "2"))
    found = {run.info.run_id: run for run in store.search_runs([place])}
    assert len(found) == 2 and both in found
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert not any("launcher" in line for line in said)

    launched = launch(tiny(*short, "--tracking.experiment", "mine"))
    mine = store.get_experiment_by_name("mine")
    assert mine is not None
    (run,) = store.search_runs([mine.experiment_id])
    assert run.info.run_id != launched
    assert not store.get_run(launched).data.params
    assert any("tracking.experiment is mine" in line for line in said)


def test_one_runs_trouble_with_the_store_is_not_the_others(
    tiny: Tiny, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module.Sender, "interval", 0.05)
    wrong: list[Path] = []

    def send(folder: RunFolder, store: MlflowClient) -> None:
        if folder.path in wrong:
            raise RuntimeError("its run is deleted")
        sync(folder, store)

    monkeypatch.setattr(sender_module, "sync", send)
    said: list[str] = []
    configs = [tiny("--seed", seed, "--budget.steps", "9") for seed in ("1", "2")]
    begun = lambda folders: wrong.append(folders[0].path)  # noqa: E731
    train(configs, say=said.append, progress=lambda _: None, begun=begun)
    (there,) = runs_in(workplace)
    assert (there.data.tags["tinyscale.seed"], there.info.status) == ("2", "FINISHED")
    assert any("its run is deleted" in line for line in said)


@pytest.mark.drill
def test_a_signal_saves_marks_killed_and_says_how_to_resume(
    tiny_yaml: Path, workplace: Path
) -> None:
    """By Ctrl-C here; by SIGTERM, which goes the same way, runs of `test_training` are stopped."""
    words = [sys.executable, "-m", "scaling.cli", "train", "tiny.yaml", "--budget.steps", "100000"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    wait_for_rows(process, Path("runs"), 3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    folder = find_run("tiny")
    assert f"Go on with: tinyscale train --resume {folder.path.name}" in said
    assert folder.read_record().status == "KILLED"
    (run,) = runs_in(workplace)
    assert run.info.status == "KILLED"


@pytest.mark.drill
def test_doctor_finds_runs_whose_process_is_gone(
    tiny_yaml: Path, workplace: Path, tinyscale_here: Call
) -> None:
    words = [sys.executable, "-m", "scaling.cli", "train", "tiny.yaml", "--budget.steps", "100000"]
    words += ["--tracking.log_every", "5"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    wait_for_rows(process, Path("runs"), 3)
    deadline = time.monotonic() + 60
    while not runs_in(workplace) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()
    assert runs_in(workplace)[0].info.status == "RUNNING"
    done = tinyscale_here("doctor")
    assert done.returncode == 0, done.stderr
    assert "its process is gone; marked KILLED" in done.stdout
    assert runs_in(workplace)[0].info.status == "KILLED"
    assert "marked KILLED" not in tinyscale_here("doctor").stdout


def wait_for_rows(
    process: "subprocess.Popen[str] | subprocess.Popen[bytes]", place: Path, count: int
) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        logs = list(place.glob("*/metrics.jsonl"))
        if logs and len(logs[0].read_text().splitlines()) >= count:
            return
        assert process.poll() is None
        time.sleep(0.02)
    raise AssertionError("the run logged nothing")


def test_the_default_store_is_a_file_here_by_an_absolute_name(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking_uri() == f"sqlite:///{workplace}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:1")
    assert tracking_uri() == "http://host:1"
    assert tracking_uri("sqlite:///other.db") == f"sqlite:///{workplace}/other.db"
    with pytest.raises(UserError, match=r"as a store it is sqlite:///other\.db"):
        tracking_uri("other.db")
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://host:1"


@pytest.mark.parametrize("options", ["", "?timeout=60"])
def test_a_sqlite_store_is_missing_as_long_as_its_file_is(workplace: Path, options: str) -> None:
    uri = f"sqlite:///{workplace}/new.db{options}"
    assert is_missing(uri)
    (workplace / "new.db").touch()
    assert not is_missing(uri)
    assert not is_missing("sqlite:///file:other.db?uri=true")
    assert not is_missing("http://localhost:5000")


@pytest.mark.parametrize("again", [3, 40])
def test_a_log_that_a_power_cut_has_shortened_is_sent_on(
    tiny: Tiny, workplace: Path, again: int
) -> None:
    folder, store = record(tiny()), store_of(workplace)
    for step in range(20):
        folder.append(step, {"train/loss": 3.0 + step / 7})
    sync(folder, store)
    lines = folder.log.read_bytes()
    folder.log.write_bytes(lines[: len(lines) // 2])
    Tracking([folder], lambda _: None)
    kept = len(folder.rows())
    for step in range(kept, kept + again):
        folder.append(step, {"val/loss": 2.0})
    sync(folder, store)
    (run,) = runs_in(workplace)
    steps = [step for step, _ in history(workplace, run.info.run_id, "val/loss")]
    assert steps == list(range(kept, kept + again))
