"""Batches: every window once an epoch, by (seed, step) alone, the same on every road."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data.batches import Batches, evaluation_batches, resident
from scaling.errors import UserError
from scaling.runtime import to_device

T = 8


def stream(length: int) -> np.ndarray:
    """A stream whose tokens are their own places."""
    return np.arange(length, dtype=np.uint16)


def starts(inputs: torch.Tensor) -> list[int]:
    return (inputs[:, 0] // T).tolist()


@settings(max_examples=40, deadline=None)
@given(length=st.integers(T + 1, 400), size=st.integers(1, 40), seed=st.integers(0, 2**63 - 1))
def test_every_window_once_an_epoch_without_a_gap(length: int, size: int, seed: int) -> None:
    batches = Batches(stream(length), T, size, seed)
    assert batches.windows == (length - 1) // T
    assert batches.tokens_per_epoch == batches.windows * T
    epochs = 3
    steps = -(-epochs * batches.windows // size)
    seen = [window for step in range(steps) for window in starts(batches.batch(step)[0])]
    for epoch in range(epochs):
        one = seen[epoch * batches.windows : (epoch + 1) * batches.windows]
        assert sorted(one) == list(range(batches.windows))


def test_inputs_and_targets_are_shifted_by_one() -> None:
    inputs, targets = Batches(stream(100), T, 5, 0).batch(3)
    assert inputs.shape == targets.shape == (5, T)
    assert inputs.dtype == targets.dtype == torch.int64
    assert (targets == inputs + 1).all()
    assert (inputs[:, 1:] == targets[:, :-1]).all()
    assert inputs.is_contiguous()
    assert targets.is_contiguous()


def test_a_step_is_the_same_whatever_came_before() -> None:
    straight = Batches(stream(500), T, 7, 1)
    walked = [straight.batch(step) for step in range(40)]
    for step in (39, 0, 17, 18, 3):
        fresh = Batches(stream(500), T, 7, 1).batch(step)
        again = straight.batch(step)
        for a, b, c in zip(walked[step], fresh, again, strict=True):
            assert torch.equal(a, b)
            assert torch.equal(a, c)


def test_epochs_and_seeds_differ() -> None:
    def epoch(seed: int, number: int) -> list[int]:
        return starts(Batches(stream(801), T, 100, seed).batch(number)[0])

    orders = [epoch(0, 0), epoch(0, 1), epoch(1, 0), epoch(2**62, 0)]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_the_order_is_pinned() -> None:
    """A change here changes every run's data: results made before are not comparable after."""
    assert starts(Batches(stream(81), T, 10, 42).batch(0)[0]) == [4, 8, 1, 9, 3, 6, 0, 7, 2, 5]


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_tokens_on_the_device_give_the_same_batches(dtype: type[np.uint16 | np.uint32]) -> None:
    top = 65_535 if dtype is np.uint16 else 2**31 - 1
    tokens = np.random.default_rng(0).integers(0, top, 300, endpoint=True).astype(dtype)
    tokens[:2] = 0, top
    there = resident(tokens, torch.device("cpu"))
    assert there.element_size() == tokens.itemsize
    a, b = Batches(tokens, T, 6, 3), Batches(there, T, 6, 3)
    for step in range(10):
        for x, y in zip(a.batch(step), b.batch(step), strict=True):
            assert torch.equal(x, y)
    evaluations = zip(
        evaluation_batches(tokens, T, 3), evaluation_batches(there, T, 3), strict=True
    )
    for one, other in evaluations:
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_what_is_on_a_card_is_not_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch refuses to pin what is not on the CPU; a device without memory stands for the card."""
    tokens = torch.zeros(3, device="meta")
    with pytest.raises(RuntimeError, match="cannot pin"):
        tokens.pin_memory()
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: (tensor, device))
    moved: Any = to_device(tokens, torch.device("cuda"))
    assert moved[0] is tokens


def test_a_mapped_file_is_read(tmp_path: object) -> None:
    path = f"{tmp_path}/a.bin"
    stream(200).tofile(path)
    mapped = np.memmap(path, np.uint16, "r")
    inputs, _ = Batches(mapped, T, 4, 0).batch(0)
    assert torch.equal(inputs, Batches(stream(200), T, 4, 0).batch(0)[0])


def test_too_short_for_one_window() -> None:
    assert Batches(stream(T + 1), T, 4, 0).windows == 1
    with pytest.raises(UserError, match="8 tokens are too few for one window of context_length 8"):
        Batches(stream(T), T, 4, 0)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(2, 300), size=st.integers(1, 5), limit=st.none() | st.integers(1, 350))
def test_evaluation_predicts_each_token_once(length: int, size: int, limit: int | None) -> None:
    batches = list(evaluation_batches(stream(length), T, size, limit=limit))
    assert all(part.shape == (size, T) for batch in batches for part in batch)
    inputs = torch.cat([inputs.flatten() for inputs, _ in batches])
    targets = torch.cat([targets.flatten() for _, targets in batches])
    real = targets != -100
    expected = min(length - 1, limit or length)
    assert targets[real].tolist() == list(range(1, expected + 1))
    assert (inputs[real] == targets[real] - 1).all()
    assert real.tolist() == sorted(real.tolist(), reverse=True)  # the padding is at the end
    assert all((targets != -100).any() for _, targets in batches)


def test_evaluation_windows_follow_each_other() -> None:
    windows = [row for inputs, _ in evaluation_batches(stream(50), T, 2) for row in inputs]
    for one, after in pairwise(windows[:6]):
        assert after[0] == one[-1] + 1


@pytest.mark.gpu
def test_on_a_gpu_the_batches_are_the_same() -> None:
    device = torch.device("cuda")
    tokens = np.random.default_rng(0).integers(0, 65_535, 5000).astype(np.uint16)
    here, there = Batches(tokens, T, 6, 3), Batches(tokens, T, 6, 3, device)
    for step in range(20):
        for x, y in zip(here.batch(step), there.batch(step), strict=True):
            assert y.device.type == "cuda"
            assert torch.equal(x, y.cpu())
