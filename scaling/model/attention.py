"""Attention with its projections and its cache: multi-head, grouped-query, multi-query."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scaling.config import ModelConfig
from scaling.model.attend import attend
from scaling.model.layers import Linear, fold
from scaling.model.position import RotaryPosition


@dataclass
class KeyValueCache:
    """The keys and values of the tokens so far, `[M B, max_length, G, d]` each."""

    keys: Tensor
    values: Tensor
    length: int = 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add `[M B, T, G, d]` of new tokens; returns all so far."""
        end = self.length + keys.shape[1]
        self.keys[:, self.length : end] = keys
        self.values[:, self.length : end] = values
        self.length = end
        return self.keys[:, :end], self.values[:, :end]


class Attention(nn.Module):
    """Causal self-attention in which groups of query heads share keys and values.

    As many groups as heads is multi-head attention (arXiv:1706.03762), fewer is grouped-query
    (arXiv:2305.13245), one is multi-query (arXiv:1911.02150).
    """

    def __init__(self, members: int, config: ModelConfig, max_length: int) -> None:
        super().__init__()
        assert config.n_heads is not None and config.head_dim is not None
        self.heads, self.groups, self.dim = config.n_heads, config.n_kv_heads, config.head_dim
        width = self.heads * self.dim
        self.qkv = Linear(members, config.d_model, width + 2 * self.groups * self.dim)
        self.out = Linear(members, width, config.d_model, residual=True)
        self.position = RotaryPosition(self.dim, max_length, config.position.theta)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """`[M, B, T, C]` to the same; with a cache, x continues the tokens in it."""
        members, batch, length, _ = x.shape
        qkv = fold(self.qkv(x)).view(members * batch, length, -1, self.dim)
        start = cache.length if cache else 0
        turned = self.position(qkv[:, :, : self.heads + self.groups], start)
        q, k = turned.split([self.heads, self.groups], dim=2)
        v = qkv[:, :, self.heads + self.groups :]
        if cache is not None:
            k, v = cache.extend(k, v)
        return self.out(attend(q, k, v).reshape(members, batch, length, -1))

    def new_cache(self, sequences: int, length: int, dtype: torch.dtype) -> KeyValueCache:
        """An empty cache for `sequences` (members times batch) of at most `length` tokens."""
        shape = (sequences, length, self.groups, self.dim)
        device = self.qkv.weight.device
        return KeyValueCache(
            torch.empty(shape, dtype=dtype, device=device),
            torch.empty(shape, dtype=dtype, device=device),
        )

    def flops_per_token(self, context: int) -> int:
        """Forward FLOPs for one token of a sequence of `context`, the whole square counted."""
        square = 2 * 2 * context * self.heads * self.dim  # scores, and their sum over values
        return self.qkv.flops_per_token() + self.out.flops_per_token() + square
