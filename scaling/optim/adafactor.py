"""Adafactor: second moments by rows and columns, steps relative to the weights' size."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

EPS = torch.finfo(torch.float32).eps
SMALLEST = 1e-3  # rms that weights are taken to have at least


class Adafactor(torch.optim.Optimizer):
    """Shazeer and Stern, arXiv:1804.04235, without momentum; as torch's, whose sums it makes.

    With V the mean of squared gradients, kept as its row and column means (whole for vectors) and
    remembered by 1 - t^`beta2_decay`: `w -= min(lr, t^-1/2) max(rms(w), 1e-3) U / max(1, rms(U) /
    d)`, `U = g / sqrt(V)`. torch's (2.13) reads norms back to the host, two a weight; this one
    reads nothing.
    """

    def __init__(self, params: Any, *, lr: float, beta2_decay: float, d: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": 0.0})
        self.beta2_decay, self.d = beta2_decay, d

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; a closure is not called."""
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p] = self.state[p] or self._start(p.grad)
                state["updates"] += 1
                memory = state["updates"] ** self.beta2_decay
                farthest = state["updates"].rsqrt().clamp(max=group["lr"])
                rate = _rms(p).clamp(min=SMALLEST) * farthest
                p.mul_(1 - group["lr"] * group["weight_decay"])
                update = self._variance(state, p.grad, memory).clamp_(min=EPS**2).rsqrt_()
                update.mul_(p.grad)
                p.sub_(update.mul_(rate / (_rms(update) / self.d).clamp(min=1.0)))

    def _start(self, grad: Tensor) -> dict[str, Tensor]:
        updates = grad.new_zeros(())
        if grad.ndim < 2:
            return {"updates": updates, "variance": torch.zeros_like(grad)}
        rows, columns = torch.zeros_like(grad[..., :1]), torch.zeros_like(grad[..., :1, :])
        return {"updates": updates, "row_var": rows, "col_var": columns}

    def _variance(self, state: dict[str, Tensor], grad: Tensor, memory: Tensor) -> Tensor:
        """What is remembered of squared gradients, with these, as the weight's shape."""
        if grad.ndim < 2:
            state["variance"].lerp_(grad.square(), memory)
            return state["variance"].clone()
        rows, columns = state["row_var"], state["col_var"]
        for means, dim in ((rows, -1), (columns, -2)):
            squares = torch.linalg.vector_norm(grad, dim=dim, keepdim=True).square_()
            means.lerp_(squares.div_(grad.shape[dim]), memory)
        return rows @ columns / rows.mean(dim=-2, keepdim=True).clamp(min=EPS)


def _rms(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x) / x.numel() ** 0.5
