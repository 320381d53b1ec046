"""What a run's record and checkpoints are when something goes wrong, and when norms are logged."""

import io
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from scaling import cohort, training
from scaling.checkpoint import Checkpoints
from scaling.config import RunConfig
from scaling.console import Console
from scaling.data.batches import evaluation_batches
from scaling.data.cache import default_cache
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.optim import lr_factor
from scaling.runtime import resolve
from scaling.signals import Stop, stop_here
from scaling.step import TrainingStep
from scaling.tracking.folder import RunFolder, process_start, run_folders
from scaling.tracking.sender import Sender
from scaling.trainer import Trainer
from scaling.training import RunResult, resume, train

Tiny = Callable[..., RunConfig]
Call = Callable[..., subprocess.CompletedProcess[str]]

SGD = ("--optimizer.kind", "sgd", "--optimizer.grad_clip", "null", "--budget.steps", "20")
CALM = (*SGD, "--seed", "1", "--optimizer.lr", "0.1")
WILD = (*SGD, "--seed", "2", "--optimizer.lr", "5")  # its loss is not finite from about step 7 on
HELD = ("--schedule.kind", "constant", "--schedule.warmup", "0", "--budget.steps", "9")
WORSE = (*HELD, "--optimizer.lr", "3", "--optimizer.grad_clip", "null")  # than untrained
CLOCKS = ("seconds", "tokens_per_second", "mfu", "final/tokens_per_second", "final/wall_seconds")


@pytest.fixture(autouse=True)
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run folders say it all here; the store would cost seconds a run."""
    monkeypatch.setattr(Sender, "_run", lambda self: None)


def run(*configs: RunConfig, progress: Callable[[Any], None] = lambda _: None) -> list[RunResult]:
    return train(configs, say=lambda _: None, progress=progress)


def go_on(*folders: RunFolder) -> list[RunResult]:
    return resume(folders, say=lambda _: None, progress=lambda _: None)


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next loop that comes to a step stop there, as Ctrl-C does."""
    whole = Trainer.train_step

    def stepping(self: Trainer) -> None:
        whole(self)
        if self.step == step:
            monkeypatch.setattr(Trainer, "train_step", whole)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "train_step", stepping)


def metrics(folder: RunFolder) -> list[tuple[int, str, float]]:
    rows = [(row.step, *item) for row in folder.rows() for item in row.metrics.items()]
    return sorted(row for row in rows if row[1] not in CLOCKS)


def untimed(summary: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in summary.items() if k.replace("final_", "final/") not in CLOCKS}


def saved(result: RunResult) -> Checkpoints:
    return Checkpoints(result.folder.path / "checkpoints")


# ---------------------------------------------------------------- what is logged, and when


def test_norms_are_in_the_first_log_after_each_of_their_intervals(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("--tracking.log_every", "4", "--tracking.norms_every", "7")

    def at(folder: RunFolder) -> list[int]:
        return [r.step for r in folder.rows() if "grad_norm/blocks.0" in r.metrics]

    (whole,) = run(config)
    assert at(whole.folder) == [8, 16, 24, 28, 30]
    stop_at(15, monkeypatch)
    (stopped,) = run(config)
    (resumed,) = go_on(stopped.folder)
    assert metrics(resumed.folder) == metrics(whole.folder)


def test_measuring_the_machine_is_no_training(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = []

    def slow_peak(*_: Any) -> float:
        time.sleep(0.5)
        moments.append(time.perf_counter())
        return 1e9

    def finish(trainer: Trainer, stop: Stop) -> list[dict[str, Any]]:
        moments.append(time.perf_counter())
        moments.append(trainer.clock.seconds)
        return ended(trainer, stop)

    ended = Trainer.finish
    monkeypatch.setattr(Trainer, "finish", finish)
    monkeypatch.setattr(cohort, "peak_flops", slow_peak)
    (result,) = run(tiny())
    before, after, wall = moments
    speeds = [r.metrics.get("tokens_per_second", math.inf) for r in result.folder.rows()]
    assert sum(4 * 32 / speed for speed in speeds) < after - before
    assert wall == pytest.approx(after - before, abs=0.1)


def test_waiting_for_an_answer_to_an_evaluation_is_no_training(tiny: Tiny) -> None:
    waited: list[int] = []

    def wait(trainer: Trainer) -> None:
        if trainer.progress.evaluated_at == trainer.step and trainer.step not in waited:
            waited.append(trainer.step)
            time.sleep(0.5)

    start = time.perf_counter()
    (result,) = run(tiny(), progress=wait)
    assert waited == [0, 10, 20, 30]
    stepping = result.summary["tokens"] / result.summary["final_tokens_per_second"]
    assert stepping < time.perf_counter() - start - 0.5 * len(waited)


def test_a_stop_is_heard_within_an_evaluation_which_is_made_when_the_run_goes_on(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = run(tiny())
    calls: list[None] = []

    def stopping(*words: Any) -> Any:
        calls.append(None)
        for number, batch in enumerate(evaluation_batches(*words)):
            if (len(calls), number) == (3, 1):  # in the midst of the third, at step 20
                stop_here(signal.SIGINT)
            yield batch

    monkeypatch.setattr("scaling.evaluation.evaluation_batches", stopping)
    (stopped,) = run(tiny())
    last = saved(stopped).last
    assert (stopped.status, last and last.step) == ("KILLED", 20)
    assert not any(row.step == 20 and "val/loss" in row.metrics for row in stopped.folder.rows())
    (resumed,) = go_on(stopped.folder)
    assert metrics(resumed.folder) == metrics(whole.folder)


def test_a_stop_is_heard_within_a_step_which_is_made_when_the_run_goes_on(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--batch.micro_size", "1", "--model.dropout", "0.1", "--evaluation.ema", "0.9")
    config = tiny(*words, "--budget.steps", "12", "--checkpoint.save_every", "7")
    (whole,) = run(config)
    passes, one = list[None](), Decoder.training_loss

    def stopping(self: Decoder, *words: Any) -> Any:
        passes.append(None)
        if len(passes) == 7 * 4 + 2:
            os.kill(os.getpid(), signal.SIGINT)
        return one(self, *words)

    monkeypatch.setattr(Decoder, "training_loss", stopping)
    (stopped,) = run(config)
    last = saved(stopped).last
    assert (stopped.status, last and last.step, len(passes)) == ("KILLED", 7, 7 * 4 + 2)
    (resumed,) = go_on(stopped.folder)
    assert metrics(resumed.folder) == metrics(whole.folder)
    ends = [saved(result).at("last").load_weights() for result in (whole, resumed)]
    for name, tensor in ends[0].items():
        assert torch.equal(tensor, ends[1][name]), name


def test_a_stop_while_the_ended_run_is_tested_loses_nothing(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("--data.test_share", "0.1")
    (whole,) = run(config)
    judge = cohort.Cohort.test

    def stopping(self: cohort.Cohort, stopped: Callable[[], bool]) -> Any:
        monkeypatch.setattr(cohort.Cohort, "test", judge)
        stop_here(signal.SIGINT)
        return self.test(stopped)

    monkeypatch.setattr(cohort.Cohort, "test", stopping)
    (stopped,) = run(config)
    assert stopped.status == "KILLED"
    (resumed,) = go_on(stopped.folder)
    assert untimed(resumed.summary) == untimed(whole.summary)


def test_figures_of_a_log_are_what_they_say(tiny: Tiny) -> None:
    config = tiny("--evaluation.ema", "0.99", "--tracking.norms_every", "30")
    (result,) = run(config)
    at: dict[int, dict[str, float]] = {}
    for row in result.folder.rows():
        at.setdefault(row.step, {}).update(row.metrics)
    for step in range(1, 31):
        rate = config.optimizer.peak_lr * lr_factor(config.schedule, step - 1, 30)
        assert at[step]["lr"] == pytest.approx(rate)
    end, last = at[30], saved(result).last
    assert last is not None
    norm = float(last.load_weights()["embedding.weight"].norm())
    assert end["weight_norm/embedding"] == pytest.approx(norm)
    parts = [value for key, value in end.items() if key.startswith("grad_norm/")]
    assert end["grad_norm"] == pytest.approx(sum(part**2 for part in parts) ** 0.5, rel=1e-5)
    data, runtime = prepare(config.data), resolve(config.runtime)
    averaged = cohort.Cohort([config], [data], runtime, default_cache())
    with torch.no_grad():
        for name, parameter in averaged.model.named_parameters():
            parameter[0].copy_(last.load_average()[name])
    (lagging,) = averaged.validate()
    assert lagging.loss > end["val/loss"] + 0.01
    assert end["val_ema/loss"] == pytest.approx(lagging.loss, rel=1e-6)
    assert result.summary["final_val_ema_loss"] == end["val_ema/loss"]
    assert result.summary["final_test_bpb"] == end["test/bpb"] != end["test/loss"]


def test_the_last_train_loss_is_of_an_interval_at_least(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("--tracking.log_every", "4", "--budget.steps", "21")
    (whole,) = run(config)
    logged = {
        row.step: row.metrics["train/loss"]
        for row in whole.folder.rows()
        if "train/loss" in row.metrics
    }
    assert list(logged)[-2:] == [20, 21]
    found = whole.summary["final_train_loss"]
    assert found == pytest.approx((4 * logged[20] + logged[21]) / 5)
    stop_at(20, monkeypatch)
    (stopped,) = run(config)
    (resumed,) = go_on(stopped.folder)
    assert resumed.summary["final_train_loss"] == found


def test_the_speed_is_of_all_sessions(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = Trainer.train_step

    def slow(self: Trainer) -> None:
        time.sleep(0.2)
        fast(self)

    monkeypatch.setattr(Trainer, "train_step", slow)
    stop_at(5, monkeypatch)
    (stopped,) = run(tiny())
    monkeypatch.setattr(Trainer, "train_step", fast)
    (resumed,) = go_on(stopped.folder)
    assert resumed.summary["final_tokens_per_second"] <= 30 * 4 * 32 / (5 * 0.2)


def test_compiling_and_recording_are_no_part_of_the_speed(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, steps = Trainer.train_step, 0

    def compiling(self: Trainer) -> None:
        nonlocal steps
        steps += 1
        if steps <= 6:
            time.sleep(0.2)
        fast(self)

    monkeypatch.setattr(Trainer, "train_step", compiling)
    monkeypatch.setattr(TrainingStep, "settled", property(lambda _: steps >= 6))
    (result,) = run(tiny("--tracking.log_every", "4"))
    # Steps 1 to 8 are two laps, of which the first ends, and the second begins, unsettled.
    assert result.summary["final_tokens_per_second"] > 4 * 32 / 0.2 * 2
    steps = 0
    monkeypatch.setattr(TrainingStep, "settled", property(lambda _: True))
    (result,) = run(tiny("--tracking.log_every", "4"))
    assert result.summary["final_tokens_per_second"] <= 30 * 4 * 32 / (6 * 0.2)


def test_a_run_that_is_resumed_but_to_be_judged_has_a_summary_of_numbers(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(30, monkeypatch)
    (stopped,) = run(tiny())
    (judged,) = go_on(stopped.folder)
    text = (judged.folder.path / "summary.json").read_text()
    summary = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no number"))
    assert summary["complete"] and summary["final_tokens_per_second"] > 0


# ---------------------------------------------------------------- runs that do not learn


def test_the_best_of_a_run_that_gets_worse_is_its_start(tiny: Tiny, tinyscale_here: Call) -> None:
    (worse,) = run(tiny(*WORSE, "--evaluation.prompts", "[the cat]"))
    assert (worse.status, worse.summary["best_step"]) == ("FINISHED", 0)
    assert saved(worse).steps == [0, 9]
    assert (worse.folder.path / "samples.md").stat().st_size > 0
    done = tinyscale_here("generate", "tiny", "--max-tokens", "4")
    assert done.returncode == 0, done.stderr


def test_a_validation_that_begins_with_unknown_characters(tiny: Tiny) -> None:
    Path("validation.txt").write_text("ЖЖЖ the cat")
    Path("train.txt").write_text("the cat sat on the mat<|endoftext|>a dog ran to the cat")
    corpus = "{kind: files, files: null, train: train.txt, validation: validation.txt}"
    flags = ("--data.corpus", corpus, "--data.tokenizer.kind", "char", "--evaluation.tokens")
    with pytest.raises(UserError, match="the first 2 tokens of the validation split stand for no"):
        train([tiny(*flags, "2")], say=lambda _: None, progress=lambda _: None)


def test_a_missing_checkpoint_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    with pytest.raises(UserError, match="has no checkpoint best; it has none"):
        checkpoints.at("best")
    checkpoints.save(3, {}, {"state": {}, "param_groups": []}, {})
    with pytest.raises(UserError, match=r"has no checkpoint best; it has last, 3\."):
        checkpoints.at("best")


# ---------------------------------------------------------------- members that diverge


def test_a_diverged_members_record_is_its_solo_runs(tiny: Tiny) -> None:
    _, member = run(tiny(*CALM), tiny(*WILD))
    (solo,) = run(tiny(*WILD))
    at = solo.summary["diverged_step"]
    assert at < 12
    assert (solo.summary["steps"], solo.summary["complete"]) == (at, False)
    assert untimed(member.summary) == untimed(solo.summary)
    assert metrics(member.folder) == metrics(solo.folder)
    for name in ("tinyscale.diverged", "tinyscale.diverged_step"):
        tags = [result.folder.read_record().tags[name] for result in (member, solo)]
        assert tags[0] == tags[1]


def test_what_diverges_at_its_last_step_is_not_complete(tiny: Tiny) -> None:
    (result,) = run(tiny(*WILD, "--budget.steps", "13", "--tracking.log_every", "13"))
    assert (result.summary["diverged_step"], result.summary["complete"]) == (13, False)


def test_a_branch_of_a_diverged_member_is_marked_so(tiny: Tiny) -> None:
    wsd = ("--schedule.kind", "wsd", "--schedule.warmup", "2", "--schedule.branches", "[0.75]")
    run(tiny(*CALM, *wsd), tiny(*WILD, *wsd))
    records = {(r.name, r.seed): r for f in run_folders(Path("runs")) if (r := f.read_record())}
    at = records["tiny", 2].tags["tinyscale.diverged_step"]
    assert int(at) < 12
    branch = records["tiny-0.75", 2].tags
    assert (branch["tinyscale.diverged"], branch["tinyscale.diverged_step"]) == ("true", at)
    assert "tinyscale.diverged" not in records["tiny-0.75", 1].tags


def test_a_cohort_goes_on_after_one_member_has_diverged(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [tiny(*WILD), tiny(*CALM)]
    diverged, calm = run(*configs)
    stop_at(12, monkeypatch)
    stopped = run(*configs)
    assert [result.status for result in stopped] == ["KILLED", "KILLED"]
    resumed = go_on(*[result.folder for result in stopped])
    for one, two in zip(resumed, (diverged, calm), strict=True):
        assert one.status == "FINISHED"
        assert untimed(one.summary) == untimed(two.summary)
        assert metrics(one.folder) == metrics(two.folder)


def test_a_diverged_run_that_is_resumed_alone_is_over(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(12, monkeypatch)
    _, stopped = run(tiny(*CALM), tiny(*WILD))
    monkeypatch.setattr(Trainer, "train_step", lambda self: pytest.fail("it has diverged"))
    (over,) = go_on(stopped.folder)
    assert (over.status, over.summary["diverged"]) == ("FINISHED", True)
    assert over.summary["diverged_step"] < 12


def test_members_are_saved_together_whichever_is_better(tiny: Tiny) -> None:
    def crash(trainer: Trainer) -> None:
        if trainer.step == 5:
            raise RuntimeError("power cut")

    often = ("--evaluation.every", "3", "--checkpoint.save_every", "100")
    configs = [tiny(*HELD, *often), tiny(*WORSE, *often)]
    with pytest.raises(RuntimeError, match="power cut"):
        run(*configs, progress=crash)
    folders = run_folders(Path("runs"))
    assert [f.read_record().status for f in folders] == ["FAILED", "FAILED"]
    resumed = go_on(*folders)
    assert [metrics(result.folder) for result in resumed] == [
        metrics(result.folder) for result in run(*configs)
    ]


# ---------------------------------------------------------------- states that are not finite


UNSEEN = ("--tracking.log_every", "13", "--evaluation.every", "null")  # what happens between


def test_what_is_not_finite_is_not_saved(tiny: Tiny, tinyscale_here: Call) -> None:
    (result,) = run(tiny(*WILD, *UNSEEN, "--checkpoint.save_every", "3"))
    assert result.summary["diverged_step"] == 13
    last = saved(result).last
    assert last is not None and 0 < last.step < 12
    assert all(w.isfinite().all() for w in last.load_weights().values())
    done = tinyscale_here("generate", "tiny", "--checkpoint", "last", "--max-tokens", "4")
    assert done.returncode == 0, done.stderr


def test_a_member_stopped_before_its_divergence_is_seen_resumes_apart_and_exactly(
    tiny: Tiny,
    tiny_yaml: Path,
    tinyscale_here: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = (*UNSEEN, "--checkpoint.save_every", "3")
    wild, calm = tiny(*WILD, *words), tiny(*CALM, *words)
    whole = run(wild, calm)
    stop_at(11, monkeypatch)
    monkeypatch.setattr("scaling.commands.train._seeded", lambda *_: [wild, calm])
    done = tinyscale_here("train", "tiny.yaml", "--seeds", "1,2")
    assert done.returncode == 130
    commands = [line.split("--resume ")[1] for line in done.stderr.splitlines() if "--re" in line]
    folders = run_folders(Path("runs"))[-2:]
    assert sorted(commands) == sorted(folder.path.name for folder in folders)
    for name in commands:
        done = tinyscale_here("train", "--resume", name)
        assert done.returncode == 0, done.stderr
    by_seed = {folder.read_record().seed: folder for folder in folders}
    assert metrics(by_seed[2]) == metrics(whole[0].folder)
    assert metrics(by_seed[1]) == metrics(whole[1].folder)


def test_a_run_that_was_stopped_elsewhere_says_a_command_that_finds_it(
    tiny_yaml: Path, tinyscale_here: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(11, monkeypatch)
    done = tinyscale_here("train", "tiny.yaml", "--tracking.folder", "out, mine")
    assert done.returncode == 130
    (command,) = [
        line.split("--resume ")[1] for line in done.stderr.splitlines() if "--re" in line
    ]
    (folder,) = run_folders(Path("out, mine"))
    assert shlex.split(command) == [str(folder.path)]
    done = tinyscale_here("train", "--resume", *shlex.split(command))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("begun", "cores", "goes_on"), [(1, 2, 1), (2, 2, 2), (3, 2, 2)])
def test_a_resumed_run_keeps_the_threads_that_it_began_with(
    begun: int, cores: int, goes_on: int, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, used, said = torch.get_num_threads(), set(), list[str]()
    try:
        monkeypatch.setattr("scaling.runtime.cpu_count", lambda: begun)
        torch.set_num_threads(begun)
        stop_at(5, monkeypatch)
        (stopped,) = run(tiny("--runtime.threads", "null", "--budget.steps", "9"))
        assert stopped.folder.read_record().params["threads"] == str(begun)
        monkeypatch.setattr("scaling.runtime.cpu_count", lambda: cores)
        torch.set_num_threads(cores)
        resume(
            [stopped.folder],
            say=said.append,
            progress=lambda _: used.add(torch.get_num_threads()),
        )
    finally:
        torch.set_num_threads(before)
    assert used == {goes_on}
    other = stopped.folder.read_record().tags.get("tinyscale.threads")
    told = [sentence for sentence in said if "differently" in sentence]
    assert (other, told) == (
        (None, [])
        if goes_on == begun
        else (
            "2",
            [
                "2 CPU threads, since 3 as before are not to be had here: sums are rounded"
                " differently from here on"
            ],
        )
    )


def test_figures_on_a_prefix_are_said_to_be(tiny: Tiny) -> None:
    said: list[str] = []
    for tokens in ("2000", "all"):
        config = tiny("--budget.steps", "1", "--evaluation.tokens", tokens)
        (result,) = train([config], say=said.append, progress=lambda _: None)
        params = result.folder.read_record().params
        whole = int(params["validation_tokens"]) - 1  # the first has nothing before it
        assert params["judged_tokens"] == ("2000" if tokens == "2000" else str(whole))
    told = [sentence for sentence in said if "judged" in sentence]
    assert told == [f"judged on the first 2,000 of {whole:,} validation tokens"]


class Gone(io.StringIO):
    """A pipe whose reader has left, as that of `| head`."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_who_leaves_ends_no_run(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Gone())
    monkeypatch.setattr(Console, "plain_every", 0.0)
    console = Console()
    (result,) = train([tiny()], say=console.say, progress=console.progress)
    console.result(result)
    sys.stderr.close()  # by now another one
    assert result.status == "FINISHED"


def test_watching_passes_over_what_is_not_finite(tiny: Tiny) -> None:
    watched = (*UNSEEN, "--evaluation.watch_every", "10", "--evaluation.prompts", "[the cat]")
    calm, wild = run(tiny(*CALM, *watched), tiny(*WILD, *watched))
    assert (calm.summary["diverged"], wild.summary["diverged"]) == (False, True)
    seen = [sorted(p.name for p in (r.folder.path / "samples").iterdir()) for r in (calm, wild)]
    assert seen[0] == [f"step-{n:07d}.md" for n in (0, 10, 20)]
    assert seen[1] == seen[0][:1]


def test_a_model_that_is_not_finite_says_so(tiny: Tiny, tinyscale_here: Call) -> None:
    from safetensors.torch import load_file, save_file

    (result,) = run(tiny("--budget.steps", "2"))
    last = saved(result).last
    assert last is not None
    weights = load_file(last.weights)
    save_file({k: torch.full_like(v, math.nan) for k, v in weights.items()}, last.weights)
    for temperature in ("0", "0.8"):
        done = tinyscale_here(
            "generate", "tiny", "--checkpoint", "last", "--temperature", temperature
        )
        assert done.returncode == 2
        assert "scores are not finite" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_run_that_is_being_trained_is_left_to_its_process(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(5, monkeypatch)
    (stopped,) = run(tiny())
    stopped.folder.update(status="RUNNING", pid=os.getpid())
    with pytest.raises(UserError, match="is being trained now"):
        go_on(stopped.folder)
    # Another host alone would know; a while without a word says that nobody trains it there.
    stopped.folder.update(host="elsewhere")
    with pytest.raises(UserError, match=r"is being trained now, by process \d+ on elsewhere"):
        go_on(stopped.folder)
    for file in (stopped.folder.path / "run.json", stopped.folder.log):
        os.utime(file, (0, time.time() - 1000))
    (resumed,) = go_on(stopped.folder)
    assert resumed.status == "FINISHED"


def test_of_two_that_would_go_on_with_a_run_one_does(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(5, monkeypatch)
    (stopped,) = run(tiny())
    begin = training._plan

    def slow(*words: Any) -> Any:
        planned = begin(*words)
        # Meanwhile another process has begun with it.
        stopped.folder.update(status="RUNNING", pid=os.getppid(), process_started=parent)
        return planned

    parent = process_start(os.getppid())
    monkeypatch.setattr(training, "_plan", slow)
    before = stopped.folder.rows()
    with pytest.raises(UserError, match="is being trained now"):
        go_on(stopped.folder)
    assert stopped.folder.read_record().pid == os.getppid()
    assert stopped.folder.rows() == before


def test_what_a_power_cut_left_of_a_tokenizer_does_not_end_a_run(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(5, monkeypatch)
    (stopped,) = run(tiny("--evaluation.prompts", "[the cat]"))
    (stopped.folder.path / "tokenizer.json").write_bytes(bytes(100))
    (resumed,) = go_on(stopped.folder)
    assert resumed.status == "FINISHED"
    assert (resumed.folder.path / "samples.md").exists()


def test_runs_at_different_steps_resume_apart(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for seed, step in (("1", 5), ("2", 7)):
        stop_at(step, monkeypatch)
        folders += [result.folder for result in run(tiny("--seed", seed))]
    with pytest.raises(UserError, match="stand at different steps"):
        go_on(*folders)
    assert [folder.read_record().status for folder in folders] == ["KILLED", "KILLED"]
    folders[1].update(uri="sqlite:////elsewhere/mlflow.db")
    with pytest.raises(UserError, match="in different stores"):
        go_on(*folders)


def test_what_a_killed_process_left_unfinished_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".step-0000002.77").mkdir()
    Checkpoints(tmp_path).save(3, {}, {"state": {}, "param_groups": []}, {})
    assert not list(tmp_path.glob(".step-*"))
