"""How much memory training takes, estimated from shapes before anything is allocated."""

import torch

from scaling.config import ModelConfig


def activation_bytes(config: ModelConfig, context: int, dtype: torch.dtype) -> int:
    """Bytes that one sequence of one member keeps for the backward pass.

    Counted from what each operation saves: the fp32 residual stream and norms, the projections'
    inputs in `dtype`, and attention's probabilities where the blocked kernel keeps them.
    """
    small = torch.finfo(dtype).bits // 8
    assert config.n_heads is not None and config.head_dim is not None
    d_ff = config.feedforward.width(config.d_model)
    heads = (config.n_heads + config.n_kv_heads) * config.head_dim
    token = 8 * 4 * config.d_model + small * (3 * config.d_model + 6 * heads + 5 * d_ff)
    square = small * config.n_heads * context * context
    return config.n_layers * (token * context + square) + 8 * 4 * config.d_model * context


def weight_bytes(parameters: int) -> int:
    """Bytes of weights, gradients and Adam's two moments, all fp32."""
    return 16 * parameters
