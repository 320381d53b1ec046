"""The training step from buffers that stay in place: what a CUDA graph of it rests on.

On a CPU the step is called plainly, or from a tape of its operations, which remembers what a graph
would; `tests/scaling/test_gpu.py` holds the graph itself against it.
"""

import gc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from scaling.cohort import Cohort
from scaling.config import RunConfig
from scaling.data.cache import default_cache
from scaling.data.prepare import prepare
from scaling.data.windows import Windows
from scaling.graph import PLAIN_CALLS, Recorded
from scaling.optim import MemberOptimizers
from scaling.runtime import resolve
from scaling.step import TrainingStep
from tests.tape import Taped
from tests.variants import MODEL, OPTIMIZERS

Tiny = Callable[..., RunConfig]
PARTS = ("--evaluation.ema", "0.9", "--model.dropout", "0.1", "--batch.micro_size", "2")


def cohort_of(*configs: RunConfig) -> Cohort:
    data = {config.data: prepare(config.data) for config in configs}
    runtime = resolve(configs[0].runtime)
    return Cohort(configs, [data[c.data] for c in configs], runtime, default_cache())


def rates_on_device(cohort: Cohort) -> Cohort:
    """As on a GPU: rates, averages and keys come from tensors alone."""
    configs = [config.optimizer for config in cohort.configs]
    cohort.optimizers = MemberOptimizers(cohort.model, configs, on_device=True)
    cohort.step = TrainingStep(
        cohort.model,
        cohort.optimizers,
        cohort.average,
        cohort.step.windows,
        seeds=[config.seed for config in cohort.configs],
        micro_size=cohort.micro_size,
    )
    return cohort


def walk(cohort: Cohort, steps: int, first: int = 0) -> list[Tensor]:
    losses = []
    for step in range(first, first + steps):
        cohort.step(step, [1 / (step + 1), 0.5][: cohort.members])
        losses.append(cohort.step.loss.clone())
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rates_in_a_tensor_train_as_numbers_do(name: str, tiny: Tiny) -> None:
    flags = (*PARTS, *OPTIMIZERS[name].split())
    configs = [tiny(*flags, "--seed", "1"), tiny(*flags, "--seed", "2")]
    plain, buffered = cohort_of(*configs), rates_on_device(cohort_of(*configs))
    # Muon's steps are of bf16: a last bit of a gradient may turn one of a step's eight.
    near, same = (1e-3, 1e-4) if name == "muon" else (1e-6, 1e-5)
    for one, other in zip(walk(plain, 6), walk(buffered, 6), strict=True):
        torch.testing.assert_close(other, one, rtol=same, atol=0)
    for one_weight, other_weight in zip(
        plain.model.parameters(), buffered.model.parameters(), strict=True
    ):
        torch.testing.assert_close(other_weight, one_weight, rtol=1e-4, atol=near)
    assert plain.average is not None and buffered.average is not None
    for one, other in zip(plain.average.averages, buffered.average.averages, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=near)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_everything_that_a_step_reads_and_writes_stays_where_it_is(name: str, tiny: Tiny) -> None:
    flags = (*PARTS, *OPTIMIZERS[name].split())
    cohort = rates_on_device(cohort_of(tiny(*flags), tiny(*flags, "--seed", "2")))
    walk(cohort, 1)  # the optimizers' state comes to be
    before = {name: tensor.data_ptr() for name, tensor in tensors(cohort).items()}
    walk(cohort, 3, first=1)
    assert {name: tensor.data_ptr() for name, tensor in tensors(cohort).items()} == before


def assert_a_recording_is_the_step(*configs: RunConfig) -> None:
    plain, taped = rates_on_device(cohort_of(*configs)), rates_on_device(cohort_of(*configs))
    taped.step._recorded = Taped()  # type: ignore[assignment]
    for one, other in zip(walk(plain, 6), walk(taped, 6), strict=True):
        torch.testing.assert_close(other, one)
    for one_weight, other_weight in zip(
        plain.model.parameters(), taped.model.parameters(), strict=True
    ):
        torch.testing.assert_close(other_weight, one_weight)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizers_step_can_be_recorded(name: str, tiny: Tiny) -> None:
    flags = (*PARTS, *OPTIMIZERS[name].split())
    assert_a_recording_is_the_step(tiny(*flags), tiny(*flags, "--seed", "2"))


@pytest.mark.parametrize("name", MODEL)
def test_every_variants_step_can_be_recorded(name: str, tiny: Tiny) -> None:
    assert_a_recording_is_the_step(tiny("--model.n_heads", "4", *MODEL[name].split()))


def tensors(cohort: Cohort) -> dict[str, Tensor]:
    step, found = cohort.step, dict[str, Tensor]()
    found |= {"loss": step.loss, "figures": step.figures, "norms": step.norms}
    found["windows"] = step.windows.tokens
    for name, parameter in cohort.model.named_parameters():
        assert parameter.grad is not None
        found |= {name: parameter, f"grad {name}": parameter.grad}
    for i, tensor in enumerate(cohort.average.averages if cohort.average else []):
        found[f"average {i}"] = tensor
    for k, member in enumerate(cohort.optimizers.members):
        for j, part in enumerate(member.parts):
            for i, group in enumerate(part.param_groups):
                if isinstance(group["lr"], Tensor):
                    found[f"rate {k} {j} {i}"] = group["lr"]
            for i, entries in enumerate(part.state.values()):
                found |= {
                    f"state {k} {j} {i} {key}": value
                    for key, value in entries.items()
                    if isinstance(value, Tensor) and value.ndim
                }
    return found


def test_a_loaded_state_keeps_the_rates_where_they_are(tiny: Tiny) -> None:
    cohort = rates_on_device(cohort_of(tiny(), tiny("--seed", "2")))
    walk(cohort, 2)
    member = cohort.optimizers.members[1]
    rate = member.parts[0].param_groups[0]["lr"]
    saved = member.state_dict()
    assert all(isinstance(group["lr"], float) for group in saved["param_groups"])
    member.load_state_dict(saved)
    assert member.parts[0].param_groups[0]["lr"] is rate
    cohort.optimizers.set_rates([0.25, 0.125])
    assert rate.item() == pytest.approx(0.125 * cohort.configs[1].optimizer.peak_lr)


def test_windows_are_the_members_batches_whatever_they_read(tiny: Tiny) -> None:
    configs = [tiny("--seed", "1"), tiny("--data.fraction", "0.5"), tiny("--seed", "3")]
    cohort = cohort_of(*configs)
    windows = Windows(cohort.batches, cohort.device)
    for step in (0, 5, 40):
        windows.fill(step)
        for k, batches in enumerate(cohort.batches):
            inputs, targets = batches.batch(step)
            assert torch.equal(windows.inputs[k], inputs)
            assert torch.equal(windows.targets[k], targets)


def test_a_dead_cohort_leaves_its_memory_at_once(tiny: Tiny) -> None:
    cohort = cohort_of(tiny())
    walk(cohort, 2)
    model = weakref.ref(cohort.model)
    gc.collect()
    gc.disable()
    try:
        del cohort
        assert model() is None  # no cycle holds it until the next collection
    finally:
        gc.enable()


class _Fails:
    """Stands in for the stream and the graph of a card that has no more memory."""

    def __init__(self, *_: Any, **__: Any) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_: Any) -> None: ...


@pytest.mark.parametrize(
    ("said", "raised"), [("CUDA out of memory.", True), ("operation not permitted", False)]
)
def test_a_recording_that_lacks_memory_is_not_one_that_cannot_be(
    said: str, raised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Stream", "CUDAGraph", "graph", "stream"):
        monkeypatch.setattr(torch.cuda, name, _Fails)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    recorded = Recorded(torch.device("cuda"))
    recorded._plain = PLAIN_CALLS
    calls = []

    def call() -> None:
        calls.append(0)
        if len(calls) == 1:
            raise RuntimeError(said)

    assert not recorded.settled
    if raised:
        with pytest.raises(RuntimeError, match=said):
            recorded(call)
    else:
        with pytest.warns(UserWarning, match=f"cannot be recorded .* slower: {said}"):
            recorded(call)
        assert len(calls) == 2 and recorded.settled


def test_members_of_one_text_share_its_stream(tiny: Tiny) -> None:
    cohort = cohort_of(tiny("--seed", "1"), tiny("--seed", "2"))
    assert cohort.batches[0].stream is cohort.batches[1].stream


@pytest.mark.slow
def test_a_shape_is_compiled_once_in_a_process_and_the_ninth_as_well(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default torch gives up compiling a function at its eighth shape, of two for a model.

    The first is compiled as for users; of the others torch only reads the code, which is what is
    counted: to write and build a shape's program takes ten seconds.
    """
    from torch import _dynamo
    from torch._dynamo.utils import counters

    _dynamo.reset()
    counters.clear()
    quick = partial(torch.compile, backend="eager")
    widths = range(8, 48, 8)
    for width in widths:
        flags = ("--model.d_model", str(width), "--runtime.compile", "true")
        for seed in ("1", "2"):
            cohort = cohort_of(tiny(*flags, "--model.n_heads", "1", "--seed", seed))
            walk(cohort, 2)
            cohort.validate()
        monkeypatch.setattr(torch, "compile", quick)
    frames = counters["frames"]
    assert frames["ok"] == frames["total"] == 2 * len(widths)  # to train and to evaluate


def test_a_step_minimises_the_penalty_and_reports_means_of_its_parts(tiny: Tiny) -> None:
    experts = ("--model.feedforward.kind", "moe", "--model.feedforward.n_experts", "4")
    whole, parts = cohort_of(tiny(*experts)), cohort_of(tiny(*experts, "--batch.micro_size", "2"))
    inputs, targets = whole.batches[0].batch(0)
    result = whole.model.training_loss(inputs[None], targets[None], None)
    assert result.penalty is not None
    ((result.loss + result.penalty) / inputs.numel()).sum().backward()
    norms = torch.stack([gradient.norm() for gradient in whole.optimizers.grads])
    whole.optimizers.zero_grad()
    walk(whole, 1)
    walk(parts, 1)
    torch.testing.assert_close(whole.step.norms[0], norms)
    torch.testing.assert_close(parts.step.figures, whole.step.figures)


def test_every_step_drops_something_else(tiny: Tiny) -> None:
    cohort = cohort_of(tiny("--model.dropout", "0.1"))
    walk(cohort, 1)
    assert cohort.step._keys is not None
    first = cohort.step._keys.clone()
    walk(cohort, 1, first=1)
    assert not torch.equal(first, cohort.step._keys)


def test_mfu_is_of_all_members(tiny: Tiny) -> None:
    one, two = cohort_of(tiny()), cohort_of(tiny("--seed", "1"), tiny("--seed", "2"))
    one.peak = two.peak = 1e9
    assert one.mfu(10.0) == pytest.approx(10 * 3 * one.model.flops_per_token() / 1e9)
    assert two.mfu(10.0) == pytest.approx(2 * one.mfu(10.0))
