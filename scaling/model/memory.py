"""How much memory training takes, estimated from shapes before anything is allocated."""

import torch

from scaling.config import MixtureOfExperts, ModelConfig, SwiGLU
from scaling.model.attention.scoring import Scoring
from scaling.model.decoder import Decoder


def activation_bytes(model: Decoder, dtype: torch.dtype, device: torch.device) -> int:
    """Bytes that one sequence of one member keeps for the backward pass, computed in `dtype`.

    Counted from what each operation saves: the fp32 residual stream and norms, the projections'
    inputs in `dtype`, and attention's scores or probabilities where its kernel keeps them.
    """
    config, context, small = model.config, model.context_length, dtype.itemsize
    assert config.n_heads is not None and config.head_dim is not None
    heads = (config.n_heads + config.n_kv_heads) * config.head_dim
    token = 8 * 4 * config.d_model + small * (3 * config.d_model + 6 * heads)
    token += small * _feedforward_numbers(config)
    if config.dropout:
        token += 2 * (4 + 1) * config.d_model  # what fell, and what is scaled
    scorings = [part for part in model.modules() if isinstance(part, Scoring)]
    pairs = sum(scoring.kept_bytes(context, dtype, device) for scoring in scorings)
    return pairs + (config.n_layers * token + 8 * 4 * config.d_model) * context


def _feedforward_numbers(config: ModelConfig) -> int:
    """Numbers that a token's feedforward keeps."""
    match config.feedforward:
        case SwiGLU():
            return 5 * config.d_ff
        case MixtureOfExperts(activation=kind, capacity_factor=factor, top_k=top_k):
            each = (5 if kind == "swiglu" else 3) * config.d_ff + 4 * config.d_model
            return round(factor * top_k * each) + 4 * top_k * config.d_model
    return 3 * config.d_ff


def weight_bytes(parameters: int) -> int:
    """Bytes of weights, gradients and Adam's two moments, all fp32."""
    return 16 * parameters
