"""Muon: momentum made orthogonal (Jordan, 2024), for many matrices and members at a time."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from scaling.runtime import has_fast_bf16

# The quintic of Jordan's Muon: its slope at zero is large, and it ends near one, not at it.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
EPS = 1e-7

Rate = float | Tensor  # 0-d, on the weights' device, where recorded steps are to see it change
Part = tuple[Tensor, Tensor, Rate]


class Muon(torch.optim.Optimizer):
    """`m = mu m + (1 - mu) g`, then `w -= lr (scale O(m) + decay w)`, O by Newton and Schulz.

    With `nesterov`, O is of `(1 - mu) g + mu m`. A step's scale is `sqrt(max(1, rows / columns))`,
    which gives steps of one spectral norm, or `.2 sqrt(max(rows, columns))`, which gives those of
    AdamW's rms (Liu et al., arXiv:2502.16982). As torch's own Muon, which takes a matrix at a
    time; its state has torch's names.
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        ns_steps: int,
        scale: Literal["spectral", "rms"],
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": 0.0})
        self.momentum, self.nesterov, self.ns_steps = momentum, nesterov, ns_steps
        self.scale = scale

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; a closure is not called."""
        step_together([self])

    def advance(self) -> list[Part]:
        """Take in the gradients and decay: each matrix, what to make orthogonal, and its rate."""
        found: list[Part] = []
        for group in self.param_groups:
            params = group["params"]
            grads = [p.grad for p in params]
            for p in params:
                if "momentum_buffer" not in self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            momenta = [self.state[p]["momentum_buffer"] for p in params]
            torch._foreach_lerp_(momenta, grads, 1 - self.momentum)
            ahead = (
                torch._foreach_lerp(grads, momenta, self.momentum) if self.nesterov else momenta
            )
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            rates = {
                shape: group["lr"] * self._factor(*shape) for shape in {p.shape for p in params}
            }
            found += [(p, x, rates[p.shape]) for p, x in zip(params, ahead, strict=True)]
        return found

    def _factor(self, rows: int, columns: int) -> float:
        if self.scale == "spectral":
            return math.sqrt(max(1, rows / columns))
        return 0.2 * math.sqrt(max(rows, columns))


@torch.no_grad()
def step_together(optimizers: Sequence[Muon]) -> None:
    """One update of each; all matrices of one shape, lying or standing, are one batch.

    The iteration runs in bf16, as Jordan's does, but in fp32 where bf16 is only emulated.
    """
    batches: dict[tuple[int, int, int], list[Part]] = {}
    for optimizer in optimizers:
        for matrix, ahead, rate in optimizer.advance():
            # Lying, so that the products of Newton and Schulz are of the shorter side.
            if matrix.shape[0] > matrix.shape[1]:
                matrix, ahead = matrix.T, ahead.T
            key = (optimizer.ns_steps, *matrix.shape)
            batches.setdefault(key, []).append((matrix.detach(), ahead, rate))
    for (ns_steps, _, _), rows in batches.items():
        matrices, ahead_of, rates = zip(*rows, strict=True)
        device = matrices[0].device
        dtype = torch.bfloat16 if has_fast_bf16(device) else torch.float32
        updates = orthogonal(torch.stack([x.to(dtype) for x in ahead_of]), ns_steps).float()
        updates *= _column(rates, device)
        torch._foreach_sub_(list(matrices), list(updates.unbind()))


def _column(rates: Sequence[Rate], device: torch.device) -> Tensor:
    """The rates, `[K, 1, 1]`; those that are on the device do not leave it."""
    there = [rate for rate in rates if isinstance(rate, Tensor)]
    column = torch.stack(there) if there else torch.tensor(rates, device=device)
    return column.view(-1, 1, 1)


def orthogonal(x: Tensor, steps: int) -> Tensor:
    """Nearly the nearest orthogonal of each matrix of `x [K, R, C]`, R at most C; overwrites x.

    Singular values end between about .7 and 1.2, not at one. Computed in the dtype of `x`.
    """
    a, b, c = COEFFICIENTS
    # A singular value is at most the norm; the iteration needs those of at most one.
    x /= torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=EPS)
    for _ in range(steps):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x
