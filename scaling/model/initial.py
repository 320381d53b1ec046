"""The weights that a model starts with."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scaling.config import ModelConfig
from scaling.model.layers import (
    Embedding,
    ExpertLinear,
    Gain,
    LayerNorm,
    Linear,
    RMSNorm,
    Table,
)


@torch.no_grad()
def init_weights(model: nn.Module, config: ModelConfig, seeds: Sequence[int]) -> None:
    """Draw member k's weights from `seeds[k]` alone, so that it starts as its solo run does.

    Matrices are N(0, init_std); those that write to the residual stream are as `residual_init`
    says, by default smaller by sqrt(2 layers) (GPT-2's rule); gains are one and biases zero. In
    muP a matrix from width to width is smaller by the root of the width's ratio to the base.
    """
    std = config.init_std
    assert std is not None  # derived where it is not given
    for k, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        for module in model.modules():
            match module:
                case Linear() | ExpertLinear():
                    own = std / math.sqrt(config.width_ratio) if module.role == "matrix" else std
                    if module.residual:
                        own *= _residual_factor(config)
                    _fill_normal(module.weight[k], own, generator)
                    if module.bias is not None:
                        module.bias[k].zero_()
                case Embedding():
                    _fill_normal(module.weight[k], std, generator)
                case Table():
                    _fill_normal(module.weight[k], module.std, generator)
                case RMSNorm():
                    module.weight[k].fill_(1.0)
                case LayerNorm():
                    module.weight[k].fill_(1.0)
                    if module.bias is not None:
                        module.bias[k].zero_()
                case Gain():
                    module.weight[k].fill_(module.start)
                case _ if any(True for _ in module.parameters(recurse=False)):
                    raise NotImplementedError(f"how a {type(module).__name__} starts is not said")


def _residual_factor(config: ModelConfig) -> float:
    assert config.residual_init is not None  # derived where it is not given
    match config.residual_init:
        case "scaled":
            return 1 / math.sqrt(2 * config.n_layers)
        case "same":
            return 1.0
        case "zero":
            return 0.0


def _fill_normal(out: Tensor, std: float, generator: torch.Generator) -> None:
    """Drawn on the CPU whatever the device, so that a seed means the same weights everywhere."""
    out.copy_(torch.empty(out.shape).normal_(0.0, std, generator=generator))
