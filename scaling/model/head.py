"""The output head and the loss, together and in chunks: the logits never exist all at once."""

from typing import Any

import torch
from torch import Tensor

IGNORE = -100  # a target that is not counted
# Logits at a time: what stays in a processor's cache, or keeps a card busy.
CHUNK = {"cpu": 2**22, "cuda": 2**28}
# Rows of the head are a multiple of this in its products: tensor cores want whole tiles, and bf16
# rows of an odd length are not aligned. What is added has no weights, no probability, no gradient.
PAD = {"cuda": 128}


def head_loss(
    hidden: Tensor, weight: Tensor, targets: Tensor, softcap: float | None = None
) -> Tensor:
    """Summed cross-entropy of each member, in nats: `[M]`, fp32.

    `hidden [M, B, T, C]`, `weight [M, V, C]` in fp32 (products run in the dtype of `hidden`),
    `targets [M, B, T]`, of which those that are -100 are left out. Logits are capped by `softcap`.
    """
    members, width = hidden.shape[0], hidden.shape[-1]
    rows, flat = hidden.reshape(members, -1, width), targets.reshape(members, -1)
    # Asked here: inside, autograd is off, and an input needs its gradient also under no_grad.
    training = torch.is_grad_enabled() and (rows.requires_grad or weight.requires_grad)
    out: Tensor = _HeadLoss.apply(rows, weight, flat, softcap, training)  # type: ignore[no-untyped-call]
    return out


def cap(logits: Tensor, softcap: float | None) -> Tensor:
    """`softcap tanh(logits / softcap)` (Gemma 2, arXiv:2408.00118); as they are without one."""
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


def padded(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """`weight [M, V, C]` in `dtype`, with rows of zeros up to the device's multiple."""
    more = -weight.shape[1] % PAD.get(weight.device.type, 1)
    if not more:
        return weight.to(dtype)
    members, vocabulary, width = weight.shape
    out = weight.new_zeros(members, vocabulary + more, width, dtype=dtype)
    out[:, :vocabulary] = weight
    return out


def chunks(rows: int, weight: Tensor) -> range:
    """Where the chunks of `rows` rows start, each about `CHUNK` logits."""
    members, vocabulary, _ = weight.shape
    chunk = CHUNK.get(weight.device.type, CHUNK["cpu"])
    return range(0, rows, max(16, chunk // (members * vocabulary)))


def probabilities(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax of logits `[M, N, V]`, and the log of the wanted entries of it, `[M, N, 1]`.

    One pass over memory does it, and sums are fp32 inside. Of logits in bf16 the softmax is bf16
    too: the loss of a token is then off by a random 2^-9 at most, that of a step of some thousand
    tokens by 1e-4; the gradient would be rounded to bf16 anyway. A wanted entry below 1.2e-38
    counts as that, 87.3 nats.
    """
    p = torch.softmax(logits, dim=-1)
    least = torch.finfo(torch.float32).tiny  # p may underflow where its log is still finite
    return p, p.gather(-1, wanted).float().clamp_min_(least).log_()


def _less_one(p: Tensor, wanted: Tensor) -> Tensor:
    """`p [M, N, V]` with 1 taken from the wanted entry of each row, in place.

    By flat index: a scatter in bf16 on a CPU copies all of p to fp32 and back (torch 2.13).
    """
    flat = p.view(-1)
    places = torch.arange(0, p.numel(), p.shape[-1], device=p.device) + wanted.flatten()
    flat.index_copy_(0, places, flat[places] - 1)
    return p


class _HeadLoss(torch.autograd.Function):
    """Computes the gradient on the way forward, a chunk of rows at a time, and keeps only it.

    For V = 4,096 this spares writing and reading back 4,096 logits a token in each pass.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weight: Tensor,
        targets: Tensor,
        softcap: float | None,
        training: bool,
    ) -> Tensor:
        """`rows [M, N, C]`, `weight [M, V, C]` in fp32, `targets [M, N]`; returns `[M]`."""
        members, count, _ = rows.shape
        loss = torch.zeros(members, dtype=torch.float32, device=rows.device)
        if training:
            grad_rows, grad_weight = torch.empty_like(rows), torch.zeros_like(weight)
        vocabulary = weight.shape[1]
        weight = padded(weight, rows.dtype)
        # A CPU takes members one by one: the sums of a run are then those of it alone, to the bit.
        apart = rows.device.type == "cpu"
        groups = [slice(k, k + 1) for k in range(members)] if apart else [slice(None)]
        cast = torch.empty_like(grad_weight[groups[0]]) if training and apart else None
        for own in groups:
            starts = chunks(count, weight[own])
            for start in starts:
                part = (own, slice(start, start + starts.step))
                logits = torch.bmm(rows[part], weight[own].transpose(1, 2))
                logits = cap(logits, softcap)
                logits[..., vocabulary:].fill_(float("-inf"))
                counted = (targets[part] != IGNORE).unsqueeze(-1)
                wanted = targets[part].unsqueeze(-1).clamp_min(0)
                p, log_p = probabilities(logits, wanted)
                loss[own] -= (log_p * counted).sum(dim=(1, 2))
                if training:
                    grad_logits = _less_one(p, wanted)
                    if softcap is not None:
                        grad_logits *= 1 - (logits / softcap).square()  # the slope of the cap
                        grad_logits[..., vocabulary:].zero_()
                    grad_logits = grad_logits.to(rows.dtype)
                    grad_rows[part] = torch.bmm(grad_logits, weight[own]) * counted
                    whole = torch.bmm(grad_logits.transpose(1, 2), rows[part] * counted)
                    whole = whole[:, :vocabulary]
                    # A CPU would cast it in memory that is new each time.
                    grad_weight[own].add_(whole if cast is None else cast.copy_(whole))
        if training:
            ctx.save_for_backward(grad_rows, grad_weight)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """The kept gradients, scaled by each member's own."""
        (grad,) = grads
        grad_rows, grad_weight = ctx.saved_tensors
        scale = grad[:, None, None]
        return grad_rows * scale.to(grad_rows.dtype), grad_weight * scale, None, None, None
