"""Lion: the sign of an interpolated momentum (Chen et al., arXiv:2302.06675, Algorithm 2)."""

from collections.abc import Callable
from typing import Any

import torch


class Lion(torch.optim.Optimizer):
    """`w -= lr (sign(beta1 m + (1 - beta1) g) + decay w)`, then `m = beta2 m + (1 - beta2) g`.

    Its only state is m, a number a weight. torch has no Lion (2.13).
    """

    def __init__(self, params: Any, *, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; a closure is not called."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params]
            for p in params:
                if "momentum" not in self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
            momenta = [self.state[p]["momentum"] for p in params]
            beta1, beta2 = group["betas"]
            signs = torch._foreach_sign(torch._foreach_lerp(momenta, grads, 1 - beta1))
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_mul_(signs, group["lr"])  # which may be a tensor on the device
            torch._foreach_sub_(params, signs)
            torch._foreach_lerp_(momenta, grads, 1 - beta2)
