"""The kernels of attention against the plain sum, values and gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scaling.model.attend import BLOCK, BlockedAttention, attend, square_flops
from scaling.model.position import alibi_slopes

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "window": {"window": 24},
    "wide window": {"window": 100},
    "slopes": {"slopes": alibi_slopes(4)},
    "slopes and window": {"slopes": alibi_slopes(4), "window": 70},
    "softcap": {"softcap": 1.5},
    "scale": {"scale": 0.3},
}


def plain(q: Tensor, k: Tensor, v: Tensor, **kind: Any) -> Tensor:
    """`[N, T, H, d]` each, in the textbook's way."""
    length = q.shape[1]
    scores = torch.einsum("nthd,nshd->nhts", q, k) * kind.get("scale", q.shape[-1] ** -0.5)
    if "softcap" in kind:
        scores = kind["softcap"] * torch.tanh(scores / kind["softcap"])
    behind = torch.arange(length)[:, None] - torch.arange(length)
    if "slopes" in kind:
        scores = scores - kind["slopes"][:, None, None] * behind
    hidden = (behind < 0) | (behind >= kind.get("window", length))
    p = scores.masked_fill(hidden, float("-inf")).softmax(-1)
    return torch.einsum("nhts,nshe->nthe", p, v)


def draw(length: int, dtype: torch.dtype, e: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, length, 4, width, generator=generator).to(dtype).requires_grad_()
        for width in (8, 8, e)
    ]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("e", [8, 16])
def test_fp32_is_the_plain_sum(name: str, e: int) -> None:
    inputs = draw(96, torch.float32, e)
    expected = plain(*inputs, **KINDS[name])
    out = attend(*inputs, **KINDS[name])
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    weight = torch.randn_like(out)
    for one, two in zip(
        torch.autograd.grad(out, inputs, weight),
        torch.autograd.grad(expected, inputs, weight),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("e", [8, 16])
def test_the_blocked_kernel_is_the_plain_sum_within_bf16(
    name: str, e: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = 3 * BLOCK
    inputs = draw(length, torch.bfloat16, e)
    wide = [x.detach().float().requires_grad_() for x in inputs]
    out = attend(*inputs, **KINDS[name])
    if name != "softcap":
        assert "Blocked" in str(out.grad_fn.next_functions[0][0])  # type: ignore[union-attr]
    expected = plain(*wide, **KINDS[name])
    torch.testing.assert_close(out.float(), expected, rtol=0.03, atol=0.03)
    weight = torch.randn_like(expected)
    for one, two in zip(
        torch.autograd.grad(out, inputs, weight.bfloat16()),
        torch.autograd.grad(expected, wide, weight),
        strict=True,
    ):
        torch.testing.assert_close(one.float(), two, rtol=0.05, atol=0.06)


@pytest.mark.parametrize("window", [None, 100, 24])
def test_the_blocked_kernel_is_exact_in_double(window: int | None) -> None:
    """The same code without rounding, where tolerance hides nothing."""
    inputs = [x.transpose(1, 2) for x in draw(3 * BLOCK, torch.float64)]
    out = BlockedAttention.apply(*inputs, 0.3, window, None)
    kind: dict[str, Any] = {"scale": 0.3} | ({"window": window} if window else {})
    expected = plain(*[x.transpose(1, 2) for x in inputs], **kind).transpose(1, 2)
    torch.testing.assert_close(out, expected)
    weight = torch.randn_like(out)
    for one, two in zip(
        torch.autograd.grad(out, inputs, weight),
        torch.autograd.grad(expected, inputs, weight),
        strict=True,
    ):
        torch.testing.assert_close(one, two)


def test_a_group_shares_keys() -> None:
    q, k, v = (x.detach() for x in draw(20, torch.float32))
    k, v = k[:, :, :2], v[:, :, :2]
    expected = plain(q, k.repeat_interleave(2, 2), v.repeat_interleave(2, 2))
    torch.testing.assert_close(attend(q, k, v), expected)


def test_flops_grow_evenly_with_the_window() -> None:
    windows = [None, 24, 25, 32, 47, 48, 90, 96, 200]
    assert [square_flops(96, w) for w in windows] == [96, 48, 50, 64, 94, 96, 96, 96, 96]


@pytest.mark.parametrize("window", [1, 7, 24, 25, 31, 32])
def test_a_window_is_computed_in_chunks_where_they_pay(
    window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaling.model.attend.NARROW", False)  # the way of other processors
    q, k, v = (x.detach() for x in draw(96, torch.float32))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        found = attend(q, k, v, window=window)
    torch.testing.assert_close(found, plain(q, k, v, window=window))
    full = 2 * q.numel() * 2 * 96
    counted = full * square_flops(96, window) / 96
    assert counted <= counter.get_total_flops() <= counted * (1 + window / 96)


def test_alibi_slopes_are_the_papers() -> None:
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    twelve = [2.0**-i for i in range(1, 9)] + [2.0**-0.5, 2.0**-1.5, 2.0**-2.5, 2.0**-3.5]
    torch.testing.assert_close(alibi_slopes(12), torch.tensor(twelve))
