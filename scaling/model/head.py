"""The output head and the loss, together and in chunks: the logits never exist all at once."""

from typing import Any

import torch
from torch import Tensor

IGNORE = -100  # a target that is not counted
# Logits at a time, all members together: what stays in a processor's cache, or keeps a card busy.
CHUNK = {"cpu": 2**21, "cuda": 2**28}


def head_loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Summed cross-entropy of each member, in nats: `[M]`, fp32.

    `hidden [M, B, T, C]`, `weight [M, V, C]` in fp32 (products run in the dtype of `hidden`),
    `targets [M, B, T]`, of which those that are -100 are left out.
    """
    members, width = hidden.shape[0], hidden.shape[-1]
    rows = hidden.reshape(members, -1, width)
    out: Tensor = _HeadLoss.apply(rows, weight, targets.reshape(members, -1))  # type: ignore[no-untyped-call]
    return out


def chunks(rows: int, weight: Tensor) -> range:
    """Where the chunks of `rows` rows start, each about `CHUNK` logits."""
    members, vocabulary, _ = weight.shape
    return range(0, rows, max(16, CHUNK.get(weight.device.type, 2**21) // (members * vocabulary)))


class _HeadLoss(torch.autograd.Function):
    """Computes the gradient on the way forward, a chunk of rows at a time, and keeps only it.

    For V = 4,096 this spares writing and reading back 4,096 logits a token in each pass.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        """`rows [M, N, C]`, `weight [M, V, C]` in fp32, `targets [M, N]`; returns `[M]`."""
        members, count, _ = rows.shape
        training = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        loss = torch.zeros(members, dtype=torch.float32, device=rows.device)
        if training:
            grad_rows, grad_weight = torch.empty_like(rows), torch.zeros_like(weight)
        weight = weight.to(rows.dtype)
        starts = chunks(count, weight)
        for start in starts:
            part = slice(start, start + starts.step)
            logits = torch.bmm(rows[:, part], weight.transpose(1, 2))
            log_p = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
            counted = (targets[:, part] != IGNORE).unsqueeze(-1)
            wanted = targets[:, part].unsqueeze(-1).clamp_min(0)
            loss -= (log_p.gather(-1, wanted) * counted).sum(dim=(1, 2))
            if training:
                grad_logits = log_p.exp_()  # softmax less one at the target
                grad_logits.scatter_add_(-1, wanted, torch.full_like(log_p[..., :1], -1.0))
                grad_logits = grad_logits.to(rows.dtype)
                grad_rows[:, part] = torch.bmm(grad_logits, weight) * counted
                grad_weight += torch.bmm(grad_logits.transpose(1, 2), rows[:, part] * counted)
        if training:
            ctx.save_for_backward(grad_rows, grad_weight)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        """The kept gradients, scaled by each member's own."""
        (grad,) = grads
        grad_rows, grad_weight = ctx.saved_tensors
        scale = grad[:, None, None]
        return grad_rows * scale.to(grad_rows.dtype), grad_weight * scale, None
