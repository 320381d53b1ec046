"""Causal attention without weights: torch's fused kernel, and ours, faster on some CPUs."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 64  # query rows at a time; a block attends to the keys up to its own end
NARROW = torch.backends.cpu.get_cpu_capability() == "AVX2"  # what torch's kernels use here
LONGEST = 1024  # beyond it the kept probabilities cost more memory than the time is worth


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None = None,
    window: int | None = None,
    slopes: Tensor | None = None,
    softcap: float | None = None,
) -> Tensor:
    """Causal softmax attention of queries `[N, T, H, d]` over `[N, S, G, d]` and `[N, S, G, e]`.

    G divides H: head h reads keys of head h // (H / G). The last query stands at the last key; T
    is S in training, and less where earlier keys come from a cache. Scores are scaled by `scale`
    (d^-1/2 unless given). A query sees `window` keys, its own the last; scores fall by `slopes
    [H]` a step of distance; scores s become `softcap` tanh(s / softcap). Returns `[N, T, H, e]`.
    """
    length, keys = q.shape[1], k.shape[1]
    groups = q.shape[2] // k.shape[2]
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    # An exported program serves every length: no way there that only some lengths can take.
    known = not torch.compiler.is_exporting()
    if known and window is not None and window >= keys:
        window = None
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    if softcap is not None:
        out = _capped(q, repeat(k, groups), repeat(v, groups), scale, softcap, window, slopes)
    elif known and length == keys and _blocks_pay(length, q.dtype, q.device):
        k, v = repeat(k, groups), repeat(v, groups)
        out = BlockedAttention.apply(q, k, v, scale, window, slopes)  # type: ignore[no-untyped-call]
    elif (
        known
        and window is not None
        and slopes is None
        and length == keys
        and _chunks_pay(length, window)
    ):
        out = _local(q, repeat(k, groups), repeat(v, groups), scale, window)
    elif window is None and slopes is None and length in (1, keys):
        causal = bool(length == keys)  # of a symbol too
        if q.is_cuda and q.dtype == torch.float32:  # the one fused kernel there takes no groups
            k, v, groups = repeat(k, groups), repeat(v, groups), 1
        out = F.scaled_dot_product_attention(
            q, k, v, is_causal=causal, scale=scale, enable_gqa=groups > 1
        )
    else:
        # Torch's fused kernels take masks of two or four dimensions, and with them no groups.
        mask = _visible(length, keys, window, q.device)
        if slopes is not None:
            mask = _bias(length, keys, slopes, q.dtype).masked_fill(~mask, float("-inf"))[None]
        out = F.scaled_dot_product_attention(
            q, repeat(k, groups), repeat(v, groups), attn_mask=mask, scale=scale
        )
    return out.transpose(1, 2)


def repeat(x: Tensor, groups: int) -> Tensor:
    """A copy of each key head for each of its query heads: `[N, G, S, d] -> [N, H, S, d]`."""
    return x if groups == 1 else x.repeat_interleave(groups, dim=1)


def square_flops(context: int, window: int | None) -> int:
    """Keys that a query's products are made with, of a sequence of `context`, seen or not.

    With a window those of two windows, so that FLOPs grow evenly with it: what fills up a last
    chunk, or all keys where chunks would not pay, is a way of computing and not counted.
    """
    return context if window is None else min(context, 2 * window)


def kept_bytes(
    context: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    widths: tuple[int, int],
    window: int | None,
    slopes: bool,
    capped: bool,
) -> int:
    """Bytes a head that `attend` keeps for the backward pass of what is between two tokens.

    Torch's fused kernels keep nothing of it. `widths`: of a query and of a value.
    """
    if capped:
        return 3 * 4 * context**2  # in fp32: before the cap, capped, and their softmax
    if _blocks_pay(context, dtype, device):
        firsts = ((start, _first_key(start, window)) for start in range(0, context, BLOCK))
        return dtype.itemsize * BLOCK * sum(start + BLOCK - first for start, first in firsts)
    if slopes:
        return dtype.itemsize * context**2  # their mask; all sequences have one
    if device.type == "cpu" and widths[0] != widths[1]:
        return 4 * context**2  # no fused kernel there takes these
    return 0


def _visible(length: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    """Which of `keys` each of the last `length` tokens sees, `[T, S]`."""
    seen = torch.ones(length, keys, dtype=torch.bool, device=device).tril(keys - length)
    return seen if window is None else seen.triu(keys - length - window + 1)


def _bias(length: int, keys: int, slopes: Tensor, dtype: torch.dtype) -> Tensor:
    """What distance takes from the scores, `[H, T, S]`."""
    places = torch.arange(keys, device=slopes.device, dtype=torch.float32)
    behind = places - places[keys - length :, None]
    return (slopes[:, None, None] * behind).to(dtype)


def _capped(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    cap: float,
    window: int | None,
    slopes: Tensor | None,
) -> Tensor:
    """Attention with capped scores, `[N, H, T, d]` each; no fused kernel of torch's has them."""
    length, keys = q.shape[2], k.shape[2]
    scores = torch.matmul(q * scale, k.transpose(2, 3)).float()
    scores = cap * torch.tanh(scores / cap)
    if slopes is not None:
        scores = scores + _bias(length, keys, slopes, scores.dtype)
    scores = scores.masked_fill(~_visible(length, keys, window, q.device), float("-inf"))
    return torch.matmul(torch.softmax(scores, dim=-1).to(v.dtype), v)


def _chunks_pay(length: int, window: int) -> bool:
    return _chunks(length, window) * window * 2 * window < length**2


def _chunks(length: int, window: int) -> int:
    """Chunks of the window's length that hold a sequence, the last one filled up."""
    return -(-length // window)


def _local(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int) -> Tensor:
    """A sliding window by chunks of its length, each against itself and the one before.

    A long sequence costs 2 `window` keys a token in place of all. Chunks run as heads do.
    """
    n, heads, length, _ = q.shape
    chunks = _chunks(length, window)
    if rest := chunks * window - length:  # keys behind all queries: none sees them
        q, k, v = (F.pad(x, (0, 0, 0, rest)) for x in (q, k, v))

    def pairs(x: Tensor) -> Tensor:
        parts = x.reshape(n, heads, chunks, window, -1)
        before = F.pad(parts[:, :, :-1], (0, 0, 0, 0, 1, 0))
        return torch.cat([before, parts], dim=3).flatten(1, 2)

    seen = _visible(window, 2 * window, window, q.device).repeat(chunks, 1, 1)
    seen[0, :, :window] = False  # the first chunk has none before it
    out = F.scaled_dot_product_attention(
        q.reshape(n, heads * chunks, window, -1),
        pairs(k),
        pairs(v),
        attn_mask=seen.repeat(heads, 1, 1)[None],
        scale=scale,
    )
    return out.reshape(n, heads, chunks * window, -1)[:, :, :length]


def _blocks_pay(length: int, dtype: torch.dtype, device: torch.device) -> bool:
    """On a CPU torch's fused kernel is slow in bf16, above all its backward pass.

    In fp32 it is slower than the blocks with AVX2, and as fast with AVX-512 (docs/LOG.md).
    """
    return (
        device.type == "cpu"
        and (dtype == torch.bfloat16 or (dtype == torch.float32 and NARROW))
        and length % BLOCK == 0
        and length <= LONGEST
    )


class BlockedAttention(torch.autograd.Function):
    """Attention by blocks of queries, each against the keys it may see, as batched products.

    Two fifths of the square are never computed, and nothing outside a window. The probabilities
    of each block are kept for the backward pass: N H T (T + BLOCK) / 2 numbers of the input's
    dtype.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        scale: float,
        window: int | None,
        slopes: Tensor | None,
    ) -> Tensor:
        """`[N, H, T, d]` twice and `[N, H, T, e]`; returns `[N, H, T, e]`."""
        n, heads, length, _ = q.shape
        q, k, v = (x.reshape(n * heads, length, -1) for x in (q * scale, k, v))
        hidden = torch.full((BLOCK, BLOCK), float("-inf"), dtype=q.dtype).triu_(1)
        out = torch.empty_like(v)
        kept = []
        for start in range(0, length, BLOCK):
            end, first = start + BLOCK, _first_key(start, window)
            scores = torch.bmm(q[:, start:end], k[:, first:end].transpose(1, 2))
            if slopes is not None:
                bias = _bias(BLOCK, end - first, slopes, q.dtype)
                scores.view(n, heads, BLOCK, -1).add_(bias)
            if window is None:
                scores[:, :, start:] += hidden
            else:
                seen = _visible(BLOCK, end - first, window, q.device)
                scores.masked_fill_(~seen, float("-inf"))
            weights = torch.softmax(scores, dim=-1)
            out[:, start:end] = torch.bmm(weights, v[:, first:end])
            kept.append(weights)
        ctx.save_for_backward(q, k, v, *kept)
        ctx.scale, ctx.window, ctx.shape = scale, window, (n, heads, length, -1)
        return out.view(ctx.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of q, k and v."""
        (grad,) = grads
        q, k, v, *kept = ctx.saved_tensors
        length = q.shape[1]
        grad = grad.reshape(v.shape)
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        # From the last block back: without a window it sees all keys, so it can write, not add.
        if ctx.window is not None:
            grad_k.zero_()
            grad_v.zero_()
        for start in range(length - BLOCK, -1, -BLOCK):
            end, first = start + BLOCK, _first_key(start, ctx.window)
            weights = kept[start // BLOCK]
            grad_out = grad[:, start:end]
            grad_weights = torch.bmm(grad_out, v[:, first:end].transpose(1, 2))
            grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, q.dtype)
            grad_q[:, start:end] = torch.bmm(grad_scores, k[:, first:end])
            block_v = torch.bmm(weights.transpose(1, 2), grad_out)
            block_k = torch.bmm(grad_scores.transpose(1, 2), q[:, start:end])
            if end == length and ctx.window is None:
                grad_v.copy_(block_v)
                grad_k.copy_(block_k)
            else:
                grad_v[:, first:end] += block_v
                grad_k[:, first:end] += block_k
        grad_q *= ctx.scale
        shape = ctx.shape
        return grad_q.view(shape), grad_k.view(shape), grad_v.view(shape), None, None, None


def _first_key(start: int, window: int | None) -> int:
    """The first key that a block of queries from `start` sees, rounded down to a block."""
    return 0 if window is None else max(0, start - window + 1) // BLOCK * BLOCK
