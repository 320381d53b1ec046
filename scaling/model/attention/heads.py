"""Softmax attention by heads: multi-head, grouped, multi-query, sliding window, gated."""

import torch
from torch import Tensor, nn

from scaling.config import GatedAttention, ModelConfig, SlidingWindowAttention
from scaling.model.attention.cache import Cache
from scaling.model.attention.scoring import Scoring
from scaling.model.layers import Linear, fold


class Heads(nn.Module):
    """Causal self-attention in which groups of query heads share keys and values.

    As many groups as heads is multi-head attention (arXiv:1706.03762), fewer is grouped-query
    (arXiv:2305.13245), one is multi-query (arXiv:1911.02150). A sliding window (arXiv:2004.05150)
    hides what is far behind; a gate (arXiv:2505.06708) multiplies what the heads give by the
    sigmoid of a product of the input, a number a channel or a head.
    """

    def __init__(self, members: int, config: ModelConfig, max_length: int, layer: int) -> None:
        super().__init__()
        assert config.n_heads is not None and config.head_dim is not None
        self.heads, self.groups, self.dim = config.n_heads, config.n_kv_heads, config.head_dim
        kind = config.attention
        width, kv = self.heads * self.dim, self.groups * self.dim
        self.gates = 0
        if isinstance(kind, GatedAttention):
            self.gates = width if kind.gate == "channel" else self.heads
        sections = (width, kv, kv, self.gates) if self.gates else (width, kv, kv)
        self.qkv = Linear(
            members, config.d_model, sum(sections), bias=config.bias, sections=sections
        )
        self.out = Linear(members, width, config.d_model, bias=config.bias, residual=True)
        window = None
        if isinstance(kind, SlidingWindowAttention):
            full = kind.full_every is not None and (layer + 1) % kind.full_every == 0
            window = None if full else kind.window
        self.scoring = Scoring(members, config, max_length, dim=self.dim, window=window)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """`[M, B, T, C]` to the same; with a cache, x continues the tokens in it."""
        members, batch, length, _ = x.shape
        mixed, gates = fold(self.qkv(x)), None
        if self.gates:
            sizes = [mixed.shape[-1] - self.gates, self.gates]
            mixed, gates = torch.split(mixed, sizes, dim=-1)
        qkv = torch.unflatten(mixed, -1, (-1, self.dim))
        qk, v = torch.split(qkv, [self.heads + self.groups, self.groups], dim=2)
        q, k = self.scoring.place(qk, cache.length if cache else 0)
        if cache is not None:
            k, v = cache.extend(k, v)
        out = self.scoring(q, k, v)
        if gates is not None:
            out = out * torch.unflatten(torch.sigmoid(gates), -1, (self.heads, -1))
        return self.out(out.reshape(members, batch, length, -1))

    def new_cache(self, sequences: int, length: int, dtype: torch.dtype) -> Cache:
        """An empty cache for `sequences` (members times batch) of at most `length` tokens."""
        shape = (self.groups, self.dim)
        return Cache(sequences, length, [shape, shape], dtype, self.qkv.weight.device)

    def flops_per_token(self, context: int) -> int:
        """Forward FLOPs for one token of a sequence of `context`, the whole square counted."""
        products = self.qkv.flops_per_token() + self.out.flops_per_token()
        return products + self.scoring.flops_per_token(context)
