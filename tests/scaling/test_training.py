"""Training as a user relies on it: it learns, it resumes exactly, cohorts equal solo runs."""

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from scaling.checkpoint import Checkpoints
from scaling.cohort import Cohort
from scaling.config import RunConfig
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.model.decoder import outline
from scaling.model.memory import activation_bytes, weight_bytes
from scaling.runs import find_run
from scaling.tracking.folder import RunFolder, run_folders
from scaling.trainer import Trainer
from scaling.training import RunResult, resume, train

Tiny = Callable[..., RunConfig]
Call = Callable[..., subprocess.CompletedProcess[str]]


def run(*configs: RunConfig) -> list[RunResult]:
    return train(configs, say=lambda _: None, progress=lambda _: None)


def metrics(folder: RunFolder, *, timed: bool = False) -> list[tuple[int, str, float]]:
    clocks = ("seconds", "tokens_per_second", "mfu", "final/tokens_per_second")
    return sorted(
        (row.step, key, value)
        for row in folder.rows()
        for key, value in row.metrics.items()
        if timed or key not in (*clocks, "final/wall_seconds")
    )


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return Checkpoints(folder.path / "checkpoints").at("last").load_weights()


@pytest.mark.usefixtures("figures")
def test_a_run_learns_and_leaves_its_record(tiny: Tiny) -> None:
    (result,) = run(tiny("--evaluation.prompts", "[the cat]"))
    assert result.status == "FINISHED"
    folder, summary = result.folder.path, result.summary
    assert summary["final_val_loss"] < math.log(257) - 1.5
    assert summary["best_val_loss"] <= summary["final_val_loss"]
    assert summary["steps"] == 30
    assert summary["tokens"] == 30 * 4 * 32
    assert summary["final_val_perplexity"] == pytest.approx(math.exp(summary["final_val_loss"]))
    # One byte a token, but for the end of each text, which is a token of no bytes.
    assert summary["final_val_bpb"] >= summary["final_val_loss"] / math.log(2)
    for name in (
        "config.yaml",
        "tokenizer.json",
        "metrics.csv",
        "summary.json",
        "samples.md",
        "figures/loss.png",
        "figures/throughput.png",
        "run.json",
        "metrics.jsonl",
    ):
        assert (folder / name).stat().st_size > 0, name
    steps = [row.step for row in result.folder.rows() if "val/loss" in row.metrics]
    assert steps == [0, 10, 20, 30]
    logged = {key for row in result.folder.rows() for key in row.metrics}
    assert {
        "train/loss",
        "val/loss",
        "val/bpb",
        "val/perplexity",
        "test/loss",
        "test/bpb",
        "lr",
        "tokens",
        "seconds",
        "tokens_per_second",
        "mfu",
        "grad_norm",
        "grad_norm/blocks.0",
        "weight_norm/embedding",
        "final/val_loss",
        "best/val_loss",
    } <= logged


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tiny: Tiny) -> None:
    (unbroken,) = run(tiny())
    assert not (unbroken.folder.path / "samples.md").exists()  # the tiny config asks for none

    def kill_at_17(trainer: object) -> None:
        if trainer.step == 17:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGTERM)

    (killed,) = train([tiny()], say=lambda _: None, progress=kill_at_17)
    assert killed.status == "KILLED"
    assert Checkpoints(killed.folder.path / "checkpoints").steps[-1] == 17
    (resumed,) = resume([killed.folder], say=lambda _: None, progress=lambda _: None)
    assert resumed.status == "FINISHED"
    assert metrics(resumed.folder) == metrics(unbroken.folder)
    for name, value in weights(unbroken.folder).items():
        assert torch.equal(weights(resumed.folder)[name], value), name
    with pytest.raises(UserError, match="is finished; there is nothing to resume"):
        resume([resumed.folder], say=lambda _: None, progress=lambda _: None)


def test_a_resumed_run_keeps_the_micro_batch_that_it_began_with(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("--budget.steps", "12")
    (unbroken,) = run(config)
    assert unbroken.folder.read_record().params["micro_size"] == "4"
    shapes = outline(config.model, vocab_size=1, context_length=config.data.context_length)
    need = 4 * activation_bytes(shapes, torch.float32, torch.device("cpu"))
    need += weight_bytes(int(unbroken.folder.read_record().params["parameters.total"]))

    def resumed(available: int) -> tuple[RunFolder, list[str]]:
        said: list[str] = []
        (killed,) = train([config], say=lambda _: None, progress=kill_at_7)
        with monkeypatch.context() as patch:
            memory = SimpleNamespace(available=available)
            patch.setattr("psutil.virtual_memory", lambda: memory)
            (result,) = resume([killed.folder], say=said.append, progress=lambda _: None)
        return result.folder, [text for text in said if "micro-batch" in text]

    def kill_at_7(trainer: Trainer) -> None:
        if trainer.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    folder, said = resumed(need + 1000)  # of which half would not do
    assert not said
    assert metrics(folder) == metrics(unbroken.folder)
    folder, said = resumed(1)
    assert said == [
        "micro-batches of 1, since those of 4 do not fit in the free memory: sums are rounded"
        " differently from here on"
    ]
    assert folder.read_record().tags["tinyscale.micro_size"] == "1"


def test_a_resumed_run_keeps_the_precision_that_it_began_in(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill_at_7(trainer: Trainer) -> None:
        if trainer.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    config = tiny("--budget.steps", "12", "--runtime.precision", "auto")
    monkeypatch.setattr("scaling.runtime.has_fast_bf16", lambda _: False)
    (unbroken,) = run(config)
    (killed,) = train([config], say=lambda _: None, progress=kill_at_7)
    monkeypatch.setattr("scaling.runtime.has_fast_bf16", lambda _: True)
    (resumed,) = resume([killed.folder], say=lambda _: None, progress=lambda _: None)
    assert metrics(resumed.folder) == metrics(unbroken.folder)
    assert resumed.summary["identity"] == unbroken.summary["identity"]


def test_a_run_that_is_stopped_as_soon_as_it_has_a_folder_is_a_stopped_run(tiny: Tiny) -> None:
    (killed,) = train(
        [tiny()],
        say=lambda _: None,
        progress=lambda _: None,
        begun=lambda _: os.kill(os.getpid(), signal.SIGTERM),
    )
    assert killed.folder.read_record().status == "KILLED"
    (resumed,) = resume([killed.folder], say=lambda _: None, progress=lambda _: None)
    assert metrics(resumed.folder) == metrics(run(tiny())[0].folder)


def test_no_step_is_logged_twice_after_a_crash_between_checkpoints(tiny: Tiny) -> None:
    (unbroken,) = run(tiny())

    def crash_at_17(trainer: object) -> None:
        if trainer.step == 17:  # type: ignore[attr-defined]
            raise RuntimeError("power cut")

    config = tiny("--checkpoint.save_every", "5")
    with pytest.raises(RuntimeError, match="power cut"):
        train([config], say=lambda _: None, progress=crash_at_17)
    folder = run_folders(Path("runs"))[-1]
    record = folder.read_record()
    assert record.status == "FAILED"
    assert "power cut" in (folder.path / "traceback.txt").read_text()
    assert Checkpoints(folder.path / "checkpoints").steps[-1] == 15  # steps 16 and 17 are logged
    (resumed,) = resume([folder], say=lambda _: None, progress=lambda _: None)
    assert not (folder.path / "traceback.txt").exists()
    assert metrics(resumed.folder) == metrics(unbroken.folder)


# Without instructions for it bf16 is emulated, at a tenth of the speed.
@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
def test_a_cohorts_runs_are_its_solo_runs_bit_for_bit(tiny: Tiny, precision: str) -> None:
    shape = ["--runtime.precision", precision, "--budget.steps", "12"]
    shape += ["--model.d_model", "64", "--data.context_length", "64"]
    flags = [
        (*shape, "--seed", "1"),
        (*shape, "--seed", "2", "--optimizer.lr", "3e-3"),
        (*shape, "--seed", "3", "--data.fraction", "0.5", "--schedule.warmup", "0.3"),
    ]
    together = run(*[tiny(*f) for f in flags])
    assert {r.folder.read_record().cohort[0] for r in together} == {
        together[0].folder.read_record().id
    }
    for member, f in zip(together, flags, strict=True):
        (solo,) = run(tiny(*f))
        assert member.summary["final_val_loss"] == solo.summary["final_val_loss"]
        for name, value in weights(solo.folder).items():
            assert torch.equal(weights(member.folder)[name], value)


def test_a_diverging_member_is_a_result_and_leaves_the_others_alone(tiny: Tiny) -> None:
    wild = tiny("--seed", "2", "--optimizer.lr", "1e30", "--optimizer.grad_clip", "null")
    calm, diverged = run(tiny("--seed", "1"), wild)
    assert diverged.status == "FINISHED"
    assert diverged.summary["diverged"] is True
    assert diverged.folder.read_record().tags["tinyscale.diverged"] == "true"
    assert "final_val_loss" not in diverged.summary
    assert all(math.isfinite(value) for _, _, value in metrics(diverged.folder, timed=True))
    beside, _ = run(tiny("--seed", "1"), tiny("--seed", "2"))
    assert metrics(calm.folder) == metrics(beside.folder)


def test_accumulation_changes_nothing_but_rounding(tiny: Tiny) -> None:
    (whole,) = run(tiny())
    (parts,) = run(tiny("--batch.micro_size", "1"))
    assert parts.summary["final_val_loss"] == pytest.approx(
        whole.summary["final_val_loss"], rel=1e-4
    )


def test_the_floor_is_that_of_the_text_a_run_is_judged_on(tiny: Tiny) -> None:
    stories = ("--data.corpus.kind", "stories", "--data.corpus.documents", "200")
    config = tiny(*stories, "--budget.steps", "1")
    split = prepare(config.data).validation

    def recorded(tokens: str) -> tuple[float, float]:
        (result,) = run(tiny(*stories, "--budget.steps", "1", "--evaluation.tokens", tokens))
        params = result.folder.read_record().params
        return float(params["floor_nats_per_token"]), float(params["floor_bits_per_byte"])

    two = split.prefix(2)
    assert two.floor_per_token not in (None, split.floor_per_token)
    for part in (two, split):
        floors = part.floor_per_token, part.floor_bits_per_byte
        assert 0.15 < (part.floor_per_token or 0) < 0.4  # of bytes: half a bit, times ln 2
        assert recorded(str(part.predictions)) == pytest.approx(floors, rel=1e-9)
    one = split.prefix(1)
    assert one.floor_nats is not None and two.floor_nats is not None
    between = (one.predictions + two.predictions) // 2
    found = split.floor_of(between)
    assert found is not None
    assert one.floor_nats < found * between < two.floor_nats


def test_the_speed_is_that_of_the_steps_however_slow_the_disk(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepping = []

    def timed_step(self: Trainer, step: Callable[[Trainer], None] = Trainer.train_step) -> None:
        start = time.perf_counter()
        step(self)
        stepping.append(time.perf_counter() - start)

    def slow_save(*args: Any, save: Callable[..., None] = Cohort.save, **more: Any) -> None:
        time.sleep(slow)
        save(*args, **more)

    slow = 0.3
    monkeypatch.setattr(Trainer, "train_step", timed_step)
    monkeypatch.setattr(Cohort, "save", slow_save)
    (result,) = run(tiny("--budget.steps", "12"))
    tokens, seconds = result.summary["tokens"], sum(stepping)
    # Beside the steps there is what is logged of them, and not even one of the saves.
    speed = result.summary["final_tokens_per_second"]
    assert tokens / (seconds + slow) < speed <= tokens / seconds
    assert result.summary["final_wall_seconds"] > seconds + slow


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tracking.folder", "tiny.yaml/x"), "tiny.yaml/x cannot be written"),
        (("--tracking.uri", "mlflow.db"), "as a store it is sqlite:///mlflow.db."),
    ],
)
def test_a_place_that_cannot_be_written_is_said_before_the_data_are_prepared(
    tiny_yaml: Path,
    tinyscale_here: Call,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setattr("scaling.training.prepare", lambda *_, **__: pytest.fail("prepared"))
    done = tinyscale_here("train", "tiny.yaml", *words)
    assert done.returncode == 2 and said in done.stderr


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError(f"I/O error: {os.strerror(errno.ENOSPC)}"),  # as safetensors words it
    ],
    ids=["system", "library"],
)
def test_a_full_disk_is_one_sentence(
    error: Exception, tiny_yaml: Path, tinyscale_here: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Cohort, "save", no_room)
        done = tinyscale_here("train", "tiny.yaml")
    assert done.returncode == 2
    assert "tinyscale: the disk is full (" in done.stderr
    assert "make room, and --resume goes on from the last checkpoint." in done.stderr


def test_kept_checkpoints(tiny: Tiny) -> None:
    (result,) = run(tiny("--checkpoint.every", "5", "--checkpoint.keep", "2"))
    checkpoints = Checkpoints(result.folder.path / "checkpoints")
    best = checkpoints.best
    assert best is not None
    assert set(checkpoints.steps) == {20, 25, 30, best.step}
    with pytest.raises(UserError, match="has no checkpoint 7; it has last, best, 20, 25, 30"):
        checkpoints.at(7)


def test_a_checkpoint_is_kept_however_near_the_end(tiny: Tiny) -> None:
    (result,) = run(tiny("--checkpoint.every", "9", "--checkpoint.keep", "1"))
    assert 27 in Checkpoints(result.folder.path / "checkpoints").steps


def test_runs_of_different_shape_do_not_make_a_cohort(tiny: Tiny) -> None:
    with pytest.raises(UserError, match="differ in shape"):
        run(tiny(), tiny("--model.d_model", "32"))


def test_a_copied_run_folder_is_a_whole_run(tiny: Tiny, workplace: Path) -> None:
    (result,) = run(tiny())
    its_id = result.folder.read_record().id
    copied = workplace / "elsewhere" / result.folder.path.name
    shutil.copytree(result.folder.path, copied)
    shutil.rmtree("runs")
    assert find_run(str(copied)).read_record().id == its_id
    assert weights(find_run(str(copied)))


def test_two_seeds_are_one_group_and_two_runs(tiny_yaml: Path, tinyscale_here: Call) -> None:
    done = tinyscale_here("train", "tiny.yaml", "--seeds", "1,2", "--json", "--budget.steps", "5")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert (first["seed"], second["seed"]) == (1, 2)
    assert first["identity"] == second["identity"]
    assert first["mlflow_run_id"] != second["mlflow_run_id"]


@pytest.mark.drill
def test_a_run_killed_by_sigkill_resumes_to_the_same_numbers(
    tiny_yaml: Path, tiny: Tiny, tinyscale: Call
) -> None:
    (unbroken,) = run(tiny("--budget.steps", "400"))
    words = [sys.executable, "-m", "scaling.cli", "train", "tiny.yaml", "--budget.steps", "400"]
    words += ["--tracking.folder", "killed"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    while not (folders := run_folders(Path("killed"))) or len(folders[0].rows()) < 150:
        time.sleep(0.01)
        assert process.poll() is None
    process.kill()
    process.wait()
    folder = folders[0]
    assert folder.read_record().status == "RUNNING"
    done = tinyscale("train", "--resume", str(folder.path))
    assert done.returncode == 0, done.stderr
    assert metrics(folder) == metrics(unbroken.folder)
