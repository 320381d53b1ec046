"""On a CUDA card: the recorded step is the plain one, waits for nothing, and hides nothing."""

import math
import os
import signal
import warnings
from collections.abc import Callable

import pytest
import torch

from scaling.checkpoint import Checkpoints
from scaling.cohort import Cohort
from scaling.config import RunConfig
from scaling.data.cache import default_cache
from scaling.data.prepare import prepare
from scaling.graph import PLAIN_CALLS
from scaling.model import head
from scaling.runtime import resolve
from scaling.tracking.folder import RunFolder
from scaling.trainer import Trainer
from scaling.training import RunResult, resume, train
from tests.variants import MODEL, OPTIMIZERS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card"),
]
Tiny = Callable[..., RunConfig]


@pytest.fixture
def on_card(tiny: Tiny) -> Tiny:
    """The tiny config on the card, in fp32 and without the compiler."""
    flags = ("--runtime.device", "cuda", "--runtime.compile", "false")
    return lambda *more: tiny(*flags, *more)


def run(*configs: RunConfig) -> list[RunResult]:
    return train(configs, say=lambda _: None, progress=lambda _: None)


def cohort_of(*configs: RunConfig) -> Cohort:
    data = prepare(configs[0].data)
    return Cohort(configs, [data] * len(configs), resolve(configs[0].runtime), default_cache())


def walk(cohort: Cohort, steps: int, recorded: bool) -> torch.Tensor:
    cohort.step._recorded._able = recorded
    losses = []
    for step in range(steps):
        cohort.step(step, [1 / (step + 1)] * cohort.members)
        losses.append(cohort.step.loss.clone())
    assert cohort.step.recorded == recorded
    return torch.stack(losses)


def assert_recording_changes_nothing(config: RunConfig) -> None:
    other = config.model_copy(update={"seed": 7})
    plain, graph = cohort_of(config, other), cohort_of(config, other)
    expected = walk(plain, 10, recorded=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = walk(graph, 10, recorded=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    for one, two in zip(plain.model.parameters(), graph.model.parameters(), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_recorded_step_is_the_plain_one(name: str, on_card: Tiny) -> None:
    parts = ("--evaluation.ema", "0.9", "--model.dropout", "0.1", "--batch.micro_size", "2")
    assert_recording_changes_nothing(on_card(*parts, *OPTIMIZERS[name].split()))


@pytest.mark.parametrize("name", MODEL)
def test_every_variant_can_be_recorded(name: str, on_card: Tiny) -> None:
    assert_recording_changes_nothing(on_card("--model.n_heads", "4", *MODEL[name].split()))


@pytest.mark.parametrize("compiled", ["true", "false"])
def test_bf16_compiled_or_not_can_be_recorded(compiled: str, on_card: Tiny) -> None:
    cohort = cohort_of(on_card("--runtime.precision", "bf16", "--runtime.compile", compiled))
    losses = walk(cohort, 30, recorded=True)
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_waits_for_the_device(name: str, on_card: Tiny) -> None:
    parts = ("--evaluation.ema", "0.9", "--model.dropout", "0.1")
    configs = [on_card(*parts, *OPTIMIZERS[name].split(), "--seed", seed) for seed in "12"]
    trainer = Trainer(cohort_of(*configs), [], lambda _: None)
    for _ in range(PLAIN_CALLS + 1):
        trainer.train_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            trainer.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(trainer.progress.loss_sum).all()


def test_a_cohort_equals_its_solo_runs(on_card: Tiny) -> None:
    flags = [
        ("--seed", "1"),
        ("--seed", "2", "--optimizer.lr", "3e-3"),
        ("--seed", "3", "--data.fraction", "0.5", "--schedule.warmup", "0.3"),
    ]
    together = run(*[on_card(*f) for f in flags])
    for member, f in zip(together, flags, strict=True):
        (solo,) = run(on_card(*f))
        assert member.summary["final_val_loss"] == pytest.approx(
            solo.summary["final_val_loss"], rel=1e-3
        )


def test_a_resumed_run_goes_on_as_the_unbroken_one(on_card: Tiny) -> None:
    (unbroken,) = run(on_card())

    def kill_at_17(trainer: Trainer) -> None:
        if trainer.step == 17:
            os.kill(os.getpid(), signal.SIGTERM)

    (killed,) = train([on_card()], say=lambda _: None, progress=kill_at_17)
    (resumed,) = resume([killed.folder], say=lambda _: None, progress=lambda _: None)
    assert resumed.status == "FINISHED"
    for name, value in weights(unbroken.folder).items():
        torch.testing.assert_close(weights(resumed.folder)[name], value, rtol=1e-3, atol=1e-5)


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return Checkpoints(folder.path / "checkpoints").at("last").load_weights()


def test_a_branch_leaves_its_stem_as_it_would_have_been(on_card: Tiny) -> None:
    stem = ("--schedule.kind", "wsd", "--schedule.decay", "5", "--schedule.warmup", "2")
    (plain,) = run(on_card(*stem))
    branched, *_ = run(on_card(*stem, "--schedule.branches", "[0.5]"))
    assert branched.summary["final_val_loss"] == pytest.approx(
        plain.summary["final_val_loss"], rel=1e-3
    )


def test_a_diverging_member_is_seen_and_leaves_the_others_alone(on_card: Tiny) -> None:
    wild = on_card("--seed", "2", "--optimizer.lr", "1e30", "--optimizer.grad_clip", "null")
    calm, diverged = run(on_card("--seed", "1"), wild)
    assert diverged.summary["diverged"] is True
    assert math.isfinite(calm.summary["final_val_loss"])


def test_a_padded_head_is_the_head(on_card: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    config = on_card("--model.logit_softcap", "15")
    with_padding = walk(cohort_of(config), 8, recorded=True)
    monkeypatch.setattr(head, "PAD", {})
    without = walk(cohort_of(config), 8, recorded=True)
    torch.testing.assert_close(with_padding, without, rtol=1e-4, atol=0)
