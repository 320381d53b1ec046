"""Optimizers and schedules: torch's own optimizers, one a member, on views of stacked weights."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scaling.config import AdamW, Cosine, OptimizerConfig, ScheduleConfig


class MemberOptimizers:
    """One optimizer for each member of a model, each with its own learning rate and decay.

    Each holds views `parameter[k]` into the stacked parameters and into their gradients, which
    stay where they are for the whole run: a backward pass adds to them, `zero_grad` clears them.
    """

    def __init__(self, model: nn.Module, configs: Sequence[OptimizerConfig]) -> None:
        self.configs = list(configs)
        self.names = [name for name, _ in model.named_parameters()]
        self.stacked = list(model.parameters())
        for parameter in self.stacked:
            parameter.grad = torch.zeros_like(parameter)
        self.members = [self._member(k, config) for k, config in enumerate(configs)]
        self.grads = [_grad(p)[k] for k in range(len(configs)) for p in self.stacked]
        limits = [math.inf if c.grad_clip is None else c.grad_clip for c in configs]
        self.limits = torch.tensor(limits, device=self.stacked[0].device)

    def _member(self, k: int, config: OptimizerConfig) -> torch.optim.Optimizer:
        decayed: list[Tensor] = []
        free: list[Tensor] = []
        for parameter in self.stacked:
            view = nn.Parameter(parameter.data[k])
            view.grad = _grad(parameter)[k]
            (decayed if view.ndim >= 2 else free).append(view)
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ]
        return make_optimizer(groups, config)

    def clip(self) -> Tensor:
        """Scale each member's gradient to its limit; returns the norms before, `[M, P]`.

        Row k holds the norm of member k's gradient of each parameter, in the order of `names`.
        """
        norms = torch.stack(torch._foreach_norm(self.grads)).view(len(self.members), -1)
        total = torch.linalg.vector_norm(norms, dim=1)
        scale = (self.limits / (total + 1e-6)).clamp(max=1.0)
        for parameter in self.stacked:
            _grad(parameter).mul_(scale.view(-1, *[1] * (parameter.ndim - 1)))
        return norms

    def step(self, factors: Sequence[float]) -> None:
        """One update of every member at its peak rate times `factors[k]`."""
        for optimizer, config, factor in zip(self.members, self.configs, factors, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = config.lr * factor
            optimizer.step()

    def zero_grad(self) -> None:
        """Clear the gradients in place, so that the views of them hold."""
        torch._foreach_zero_([_grad(parameter) for parameter in self.stacked])


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def make_optimizer(
    groups: list[dict[str, object]], config: OptimizerConfig
) -> torch.optim.Optimizer:
    """The optimizer that a config names, over groups with their own weight decay."""
    match config:
        case AdamW():
            betas = (config.beta1, config.beta2)
            return torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.eps, fused=True)


def lr_factor(schedule: ScheduleConfig, step: int, total: int) -> float:
    """The rate of update `step` (from 0, of `total`) over the peak rate.

    The last update of the warmup is at the peak, the last of the run at `final` times it.
    """
    warmup = warmup_steps(schedule.warmup, total)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step + 1 - warmup) / max(1, total - warmup)
    match schedule:
        case Cosine(final=final):
            return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


def warmup_steps(warmup: float, total: int) -> int:
    """A warmup of a config (a share of the run below 1, else steps) in whole steps."""
    return round(warmup * total) if warmup < 1 else int(warmup)
