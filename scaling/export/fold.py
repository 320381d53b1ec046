"""A model rewritten as a plain one that computes the same.

What scales a branch, the scores or the output can be multiplied into the weights next to it, so
muP, depth-scaled and learned residuals need no code of their own in another library.
"""

from torch import Tensor

from scaling.config import (
    DepthResidual,
    DifferentialAttention,
    LatentAttention,
    LearnedResidual,
    MaximalUpdate,
    ModelConfig,
    PlainResidual,
    StandardParametrization,
)

Weights = dict[str, Tensor]


def fold(config: ModelConfig, weights: Weights) -> tuple[ModelConfig, Weights]:
    """The plain model; what cannot be folded is left as it is."""
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    match config.residual:
        case DepthResidual(power=power):
            for layer in range(config.n_layers):
                for branch in _branches(layer):
                    _scale(weights, branch, config.n_layers**-power)
            config = config.model_copy(update={"residual": PlainResidual()})
        case LearnedResidual():
            for layer in range(config.n_layers):
                for branch, gain in zip(_branches(layer), _gains(layer), strict=True):
                    _scale(weights, branch, weights.pop(gain))
            config = config.model_copy(update={"residual": PlainResidual()})
    odd = isinstance(config.attention, LatentAttention | DifferentialAttention)
    if isinstance(config.parametrization, MaximalUpdate) and config.norm_placement == "pre":
        if odd:
            return config, weights
        _fold_mup(config, config.parametrization, weights)
        config = config.model_copy(update={"parametrization": StandardParametrization()})
    return config, weights


def _fold_mup(config: ModelConfig, mup: MaximalUpdate, weights: Weights) -> None:
    assert config.n_heads is not None and config.head_dim is not None
    for name in ("norm.weight", "norm.bias"):  # the output's scale
        if name in weights:
            weights[name] /= config.width_ratio
    # Others divide scores by the root of the head's width; muP by the width itself.
    ratio = (mup.base_head_dim / config.head_dim) ** 0.5
    for layer in range(config.n_layers):
        attention = f"blocks.{layer}.attention"
        if config.attention.qk_norm:
            weights[f"{attention}.scoring.q_norm.weight"] *= ratio
            continue
        for name in (f"{attention}.qkv.weight", f"{attention}.qkv.bias"):
            if name in weights:
                weights[name][: config.n_heads * config.head_dim] *= ratio


def _branches(layer: int) -> tuple[str, str]:
    """The products that end a block's branches."""
    return f"blocks.{layer}.attention.out", f"blocks.{layer}.feedforward.down"


def _gains(layer: int) -> tuple[str, str]:
    return f"blocks.{layer}.attention_gain.weight", f"blocks.{layer}.feedforward_gain.weight"


def _scale(weights: Weights, product: str, factor: float | Tensor) -> None:
    """Multiply what a product gives, channel by channel."""
    column = factor[:, None] if isinstance(factor, Tensor) else factor
    weights[f"{product}.weight"] *= column
    if f"{product}.bias" in weights:
        weights[f"{product}.bias"] *= factor
