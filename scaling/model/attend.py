"""Causal attention without weights: torch's fused kernel, and a faster one for bf16 on a CPU."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 64  # query rows at a time; a block attends to the keys up to its own end
LONGEST = 1024  # beyond it the kept probabilities cost more memory than the time is worth


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal softmax attention over `[N, T, H, d]` queries and `[N, S, G, d]` keys and values.

    G divides H: head h reads keys of head h // (H / G). The last query stands at the last key; T
    is S in training, and less where earlier keys come from a cache. Returns `[N, T, H, d]`.
    """
    length, keys = q.shape[1], k.shape[1]
    groups = q.shape[2] // k.shape[2]
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    if _blocks_pay(q) and length == keys:
        k, v = repeat(k, groups), repeat(v, groups)
        out: Tensor = BlockedAttention.apply(q, k, v)  # type: ignore[no-untyped-call]
    elif length == keys:
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=groups > 1)
    elif length == 1:
        out = F.scaled_dot_product_attention(q, k, v, enable_gqa=groups > 1)
    else:
        mask = torch.ones(length, keys, dtype=torch.bool, device=q.device).tril(keys - length)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=groups > 1)
    return out.transpose(1, 2)


def repeat(x: Tensor, groups: int) -> Tensor:
    """A copy of each key head for each of its query heads: `[N, G, S, d] -> [N, H, S, d]`."""
    return x if groups == 1 else x.repeat_interleave(groups, dim=1)


def _blocks_pay(q: Tensor) -> bool:
    """On a CPU torch's fused kernel is slow in bf16, above all its backward pass."""
    length = q.shape[2]
    return (
        q.device.type == "cpu"
        and q.dtype == torch.bfloat16
        and length % BLOCK == 0
        and length <= LONGEST
    )


class BlockedAttention(torch.autograd.Function):
    """Attention by blocks of queries, each against the keys it may see, as batched products.

    Two fifths of the square are never computed. The probabilities of each block are kept for the
    backward pass: N H T (T + BLOCK) / 2 numbers of the input's dtype.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """`[N, H, T, d]` each; returns `[N, H, T, d]`."""
        n, heads, length, dim = q.shape
        q, k, v = (x.reshape(n * heads, length, dim) for x in (q * dim**-0.5, k, v))
        hidden = torch.full((BLOCK, BLOCK), float("-inf"), dtype=q.dtype).triu_(1)
        out = torch.empty_like(q)
        kept = []
        for start in range(0, length, BLOCK):
            end = start + BLOCK
            scores = torch.bmm(q[:, start:end], k[:, :end].transpose(1, 2))
            scores[:, :, start:] += hidden
            weights = torch.softmax(scores, dim=-1)
            out[:, start:end] = torch.bmm(weights, v[:, :end])
            kept.append(weights)
        ctx.save_for_backward(q, k, v, *kept)
        return out.view(n, heads, length, dim)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of q, k and v."""
        (grad,) = grads
        q, k, v, *kept = ctx.saved_tensors
        n, heads, length, dim = grad.shape
        grad = grad.reshape(n * heads, length, dim)
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        # From the last block back: it is the one that sees all keys, so it can write, not add.
        for start in range(length - BLOCK, -1, -BLOCK):
            end = start + BLOCK
            weights = kept[start // BLOCK]
            grad_out = grad[:, start:end]
            grad_weights = torch.bmm(grad_out, v[:, :end].transpose(1, 2))
            grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, q.dtype)
            grad_q[:, start:end] = torch.bmm(grad_scores, k[:, :end])
            block_v = torch.bmm(weights.transpose(1, 2), grad_out)
            block_k = torch.bmm(grad_scores.transpose(1, 2), q[:, start:end])
            if end == length:
                grad_v.copy_(block_v)
                grad_k.copy_(block_k)
            else:
                grad_v[:, :end] += block_v
                grad_k[:, :end] += block_k
        grad_q *= dim**-0.5
        shape = (n, heads, length, dim)
        return grad_q.view(shape), grad_k.view(shape), grad_v.view(shape)
