"""One optimizer for each member of a model, on views of the stacked weights."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scaling.config import (
    SGD,
    Adafactor,
    Adam,
    AdamW,
    Lion,
    Muon,
    OptimizerConfig,
)
from scaling.model.decoder import Decoder
from scaling.model.layers import Weight, weights_of
from scaling.optim import adafactor, lion, muon
from scaling.runtime import to_device

Group = dict[str, Any]
OURS = ("lr", "capturable")  # of a group: what is this process's, and not a checkpoint's


class MemberOptimizers:
    """Optimizers of all members, each with its own learning rates and decay.

    Each holds views `parameter[k]` into the stacked parameters and into their gradients, which
    stay where they are for the whole run: a backward pass adds to them, `zero_grad` clears them.
    Parameters that want no gradient are none of theirs.
    """

    def __init__(
        self, model: Decoder, configs: Sequence[OptimizerConfig], *, on_device: bool = False
    ) -> None:
        """`on_device`: rates are in a tensor on the device, so that a recorded update finds new
        ones there."""
        self.configs = list(configs)
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.names = [name for name, _ in trained]
        self.stacked = [parameter for _, parameter in trained]
        for parameter in self.stacked:
            parameter.grad = torch.zeros_like(parameter)
        self.members = [MemberOptimizer(model, k, config) for k, config in enumerate(configs)]
        self.grads = [_grad(p)[k] for k in range(len(configs)) for p in self.stacked]
        limits = [math.inf if c.grad_clip is None else c.grad_clip for c in configs]
        self.limits = torch.tensor(limits, device=self.stacked[0].device)
        self._rates: Tensor | None = None
        if on_device:
            parts = [part for member in self.members for part in member.parts]
            groups = [group for part in parts for group in part.param_groups]
            self._rates = self.limits.new_zeros(len(groups))
            for group, rate in zip(groups, self._rates.unbind(), strict=True):
                group["lr"] = rate
                if "capturable" in group:  # Adam's; says that its own counts are on the device
                    group["capturable"] = rate.is_cuda

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
        """One update of every member at its peak rates times `factors[k]`."""
        self.set_rates(factors)
        self.update()

    def set_rates(self, factors: Sequence[float]) -> None:
        """Member k's rates are its peak rates times `factors[k]` from here on."""
        wanted = [
            (group, group["peak_lr"] * factor)
            for member, factor in zip(self.members, factors, strict=True)
            for part in member.parts
            for group in part.param_groups
        ]
        if self._rates is not None:
            rates = torch.tensor([rate for _, rate in wanted])
            self._rates.copy_(to_device(rates, self._rates.device))
            return
        for group, rate in wanted:
            group["lr"] = rate

    def update(self) -> None:
        """One update of every member at the rates that are set."""
        together: list[muon.Muon] = []
        for optimizer in self.members:
            for part in optimizer.parts:
                if isinstance(part, muon.Muon):
                    together.append(part)
                else:
                    part.step()
        muon.step_together(together)

    def zero_grad(self) -> None:
        """Clear the gradients in place, so that the views of them hold."""
        torch._foreach_zero_([_grad(parameter) for parameter in self.stacked])


class MemberOptimizer:
    """What updates one member: one optimizer, or two that share the weights out.

    Groups carry their peak rate as `peak_lr`; the schedule's factor makes `lr` of it.
    """

    def __init__(self, model: Decoder, k: int, config: OptimizerConfig) -> None:
        self.parts = list(_optimizers(model, k, config))

    def state_dict(self) -> dict[str, Any]:
        """The parts' states as one, in the layout of one optimizer of torch's."""
        state: dict[int, Any] = {}
        groups: list[Group] = []
        offset = 0
        for part in self.parts:
            own = part.state_dict()
            state |= {offset + i: value for i, value in own["state"].items()}
            groups += [
                g | {"lr": float(g["lr"]), "params": [offset + i for i in g["params"]]}
                for g in own["param_groups"]
            ]
            offset += sum(len(g["params"]) for g in own["param_groups"])
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, on this device or another; rates stay as they are."""
        groups = list(saved["param_groups"])
        offset = 0
        for part in self.parts:
            own = [groups.pop(0) for _ in part.param_groups]
            count = sum(len(group["params"]) for group in own)
            ours = [{key: g[key] for key in OURS if key in g} for g in part.param_groups]
            part.load_state_dict(
                {
                    "state": {
                        i - offset: value
                        for i, value in saved["state"].items()
                        if offset <= i < offset + count
                    },
                    "param_groups": [
                        g | {"params": [i - offset for i in g["params"]]} for g in own
                    ],
                }
            )
            for group, kept in zip(part.param_groups, ours, strict=True):
                group.update(kept)
            offset += count


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _optimizers(
    model: Decoder, k: int, config: OptimizerConfig
) -> Iterator[torch.optim.Optimizer]:
    """The optimizers that a config means, over member k's weights."""
    lr = config.peak_lr
    match config:
        case Adam() | AdamW():
            kind = torch.optim.AdamW if isinstance(config, AdamW) else torch.optim.Adam
            groups = _groups(model, k, config)
            betas = (config.beta1, config.beta2)
            yield kind(groups, lr=lr, betas=betas, eps=config.eps, fused=True)
        case SGD():
            yield torch.optim.SGD(
                _groups(model, k, config),
                lr=lr,
                momentum=config.momentum,
                nesterov=config.nesterov,
                fused=True,
            )
        case Adafactor():
            yield adafactor.Adafactor(
                _groups(model, k, config),
                lr=lr,
                beta2_decay=config.beta2_decay,
                d=config.clip_threshold,
            )
        case Lion():
            yield lion.Lion(_groups(model, k, config), lr=lr, betas=(config.beta1, config.beta2))
        case Muon():
            yield muon.Muon(
                _matrices(model, k, config),
                lr=lr,
                momentum=config.momentum,
                nesterov=config.nesterov,
                ns_steps=config.ns_steps,
                scale=config.scale,
            )
            groups = _groups(model, k, config, lr=config.adamw_lr, matrices=False)
            betas = (config.beta1, config.beta2)
            yield torch.optim.AdamW(
                groups, lr=config.adamw_lr, betas=betas, eps=config.eps, fused=True
            )


def _views(model: Decoder, k: int) -> Iterator[tuple[Weight, nn.Parameter]]:
    """Member k's part of each parameter, with its gradient, and what it is."""
    facts = weights_of(model)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield facts[name], _view(parameter.data[k], _grad(parameter)[k])


def _view(data: Tensor, grad: Tensor) -> nn.Parameter:
    view = nn.Parameter(data)
    view.grad = grad
    return view


def _groups(
    model: Decoder,
    k: int,
    config: OptimizerConfig,
    *,
    lr: float | None = None,
    matrices: bool = True,
) -> list[Group]:
    """Groups of one rate and decay each: matrices, embeddings and head, vectors.

    Vectors do not decay. In muP the rate of matrices is divided by the width's ratio to the base
    (arXiv:2203.03466, table 8), and their decay multiplied, as it is multiplied by the rate.
    """
    lr = config.peak_lr if lr is None else lr
    ratio = model.config.width_ratio
    tables = config.weight_decay if config.decay_embeddings else 0.0
    groups = {
        "matrix": _group(lr / ratio, config.weight_decay * ratio),
        "table": _group(lr, tables),
        "vector": _group(lr, 0.0),
    }
    for weight, view in _views(model, k):
        if weight.role != "matrix" or matrices:
            own = "table" if weight.role in ("embedding", "head") else weight.role
            groups[own]["params"].append(view)
    return [group for group in groups.values() if group["params"]]


def _group(lr: float, weight_decay: float) -> Group:
    return {"params": [], "lr": lr, "peak_lr": lr, "weight_decay": weight_decay}


def _matrices(model: Decoder, k: int, config: Muon) -> list[Group]:
    """Member k's matrices, each apart: those that are stacked as one weight, and each expert's.

    Steps of one spectral norm fit all widths (muP needs no other rate; Yang et al.,
    arXiv:2310.17813). That of an orthogonal step of AdamW's rms grows with the width's root.
    """
    ratio = model.config.width_ratio**0.5 if config.scale == "rms" else 1.0
    group = _group(config.peak_lr / ratio, config.weight_decay * ratio)
    for weight, view in _views(model, k):
        if weight.role != "matrix":
            continue
        data, grad = view.data, _grad(view)
        pairs = [(data, grad)] if data.ndim == 2 else list(zip(data, grad, strict=True))
        heights = list(weight.sections)
        for pair in pairs:
            apart = [torch.split(whole, heights) for whole in pair]
            group["params"] += [_view(*views) for views in zip(*apart, strict=True)]
    return [group]
