"""Attention with its projections and its cache, a module a family."""

from torch import nn

from scaling.config import DifferentialAttention, LatentAttention, ModelConfig
from scaling.model.attention.differential import DifferenceOfHeads
from scaling.model.attention.heads import Heads
from scaling.model.attention.latent import LatentHeads


def make_attention(members: int, config: ModelConfig, max_length: int, layer: int) -> nn.Module:
    """The attention that a config names, for block `layer` (from 0)."""
    match config.attention:
        case DifferentialAttention():
            return DifferenceOfHeads(members, config, max_length, layer)
        case LatentAttention():
            return LatentHeads(members, config, max_length)
    return Heads(members, config, max_length, layer)
