"""Differential attention: what one head of a pair sees, less what the other does."""

import math

import torch
from torch import Tensor, nn

from scaling.config import ModelConfig
from scaling.model.attention.cache import Cache
from scaling.model.attention.scoring import Scoring
from scaling.model.layers import Linear, RMSNorm, Table, fold


class DifferenceOfHeads(nn.Module):
    """`(softmax(Q1 K1) - lambda softmax(Q2 K2)) V` by pairs of heads (arXiv:2410.05258).

    A pair shares values of twice a head's width; lambda is learned by block, from four vectors;
    what a pair gives is normed and scaled by 1 - lambda's first value, as in the paper.
    """

    first: Tensor

    def __init__(self, members: int, config: ModelConfig, max_length: int, layer: int) -> None:
        super().__init__()
        assert config.n_heads is not None and config.head_dim is not None
        self.heads, self.dim = config.n_heads, config.head_dim
        width = self.heads * self.dim
        self.qkv = Linear(
            members, config.d_model, 3 * width, bias=config.bias, sections=(width,) * 3
        )
        self.out = Linear(members, width, config.d_model, bias=config.bias, residual=True)
        self.scoring = Scoring(members, config, max_length, dim=self.dim, value_dim=2 * self.dim)
        self.vectors = Table(members, 4, self.dim, std=0.1)
        self.norm = RMSNorm(members, 2 * self.dim)
        # A buffer, since a number would make torch.compile write a program for each block.
        first = torch.tensor(0.8 - 0.6 * math.exp(-0.3 * layer))
        self.register_buffer("first", first, persistent=False)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """`[M, B, T, C]` to the same; with a cache, x continues the tokens in it."""
        members, batch, _, _ = x.shape
        qkv = torch.unflatten(fold(self.qkv(x)), -1, (-1, self.dim))
        start = cache.length if cache else 0
        qk, v = torch.split(qkv, [2 * self.heads, self.heads], dim=2)
        q, k = self.scoring.place(qk, start)
        v = torch.unflatten(v, 2, (-1, 2)).flatten(-2)
        if cache is not None:
            k, v = cache.extend(k, v)
        seen = self.scoring(q, k, v.repeat_interleave(2, dim=2)).unflatten(2, (-1, 2))
        seen = seen.unflatten(0, (members, batch))  # [M, B, T, pairs, 2, 2 dim]
        weight = self._lambda().to(x.dtype).view(members, 1, 1, 1, 1)
        out = self.norm(seen[..., 0, :] - weight * seen[..., 1, :], x.dtype)
        return self.out((out * (1 - self.first.to(x.dtype))).flatten(-2))

    def _lambda(self) -> Tensor:
        """The weight of each member's second heads, `[M]`."""
        q1, k1, q2, k2 = self.vectors.weight.unbind(1)
        return (q1 * k1).sum(-1).exp() - (q2 * k2).sum(-1).exp() + self.first

    def new_cache(self, sequences: int, length: int, dtype: torch.dtype) -> Cache:
        """An empty cache for `sequences` (members times batch) of at most `length` tokens."""
        shapes = [(self.heads, self.dim), (self.heads // 2, 2 * self.dim)]
        return Cache(sequences, length, shapes, dtype, self.qkv.weight.device)

    def flops_per_token(self, context: int) -> int:
        """Forward FLOPs for one token of a sequence of `context`, the whole square counted."""
        products = self.qkv.flops_per_token() + self.out.flops_per_token()
        return products + self.scoring.flops_per_token(context)
