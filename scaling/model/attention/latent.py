"""Multi-head latent attention: keys and values from a latent, which is all that is remembered."""

import torch
from torch import Tensor, nn

from scaling.config import LatentAttention, ModelConfig
from scaling.model.attention.cache import Cache
from scaling.model.attention.scoring import Scoring
from scaling.model.layers import Linear, RMSNorm, fold


class LatentHeads(nn.Module):
    """MLA (DeepSeek-V2, arXiv:2405.04434), without its compression of the queries.

    A token leaves a normed latent of `kv_rank` numbers, from which every head's key and value
    come, and one key of `rope_dim` turned channels that all heads share (none without rotary
    positions). A cached token costs kv_rank + rope_dim numbers, not 2 d_model.
    """

    def __init__(self, members: int, config: ModelConfig, max_length: int) -> None:
        super().__init__()
        kind = config.attention
        assert isinstance(kind, LatentAttention) and kind.kv_rank is not None
        assert config.n_heads is not None and config.head_dim is not None
        self.heads, self.dim = config.n_heads, config.head_dim
        self.rank, self.rope = kind.kv_rank, kind.rope_dim or 0
        width, bias = self.heads * self.dim, config.bias
        turned = self.heads * self.rope
        self.q = Linear(
            members,
            config.d_model,
            width + turned,
            bias=bias,
            sections=(width, turned) if turned else None,
        )
        self.down = Linear(
            members,
            config.d_model,
            self.rank + self.rope,
            bias=bias,
            sections=(self.rank, self.rope) if self.rope else None,
        )
        self.norm = RMSNorm(members, self.rank)
        self.up = Linear(members, self.rank, 2 * width, bias=bias, sections=(width, width))
        self.out = Linear(members, width, config.d_model, bias=bias, residual=True)
        self.scoring = Scoring(
            members, config, max_length, dim=self.dim, rotary_dim=self.rope or None
        )

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """`[M, B, T, C]` to the same; with a cache, x continues the tokens in it."""
        members, batch, length, _ = x.shape
        start = cache.length if cache else 0
        q, q_turned = torch.split(
            fold(self.q(x)), [self.heads * self.dim, self.heads * self.rope], dim=-1
        )
        q = torch.unflatten(q, -1, (-1, self.dim))
        latent, k_turned = self.down(x).split([self.rank, self.rope], dim=-1)
        latent = fold(self.norm(latent, x.dtype))
        if self.rope:
            turned = torch.cat([q_turned, fold(k_turned)], dim=-1)
            turned = self.scoring.turn(torch.unflatten(turned, -1, (-1, self.rope)), start)
            q_turned, k_turned = torch.split(turned, [self.heads, 1], dim=2)
            if cache is not None:
                latent, k_turned = cache.extend(latent, k_turned)
        elif cache is not None:
            (latent,) = cache.extend(latent)
        kv = fold(self.up(torch.unflatten(latent, 0, (members, batch))))
        k, v = torch.unflatten(kv, -1, (-1, self.dim)).chunk(2, dim=2)
        q, k = self.scoring.norm(q, k)
        if self.rope:
            q = torch.cat([q, q_turned], dim=-1)
            k = torch.cat([k, k_turned.expand(-1, -1, self.heads, -1)], dim=-1)
        return self.out(self.scoring(q, k, v).reshape(members, batch, length, -1))

    def new_cache(self, sequences: int, length: int, dtype: torch.dtype) -> Cache:
        """An empty cache for `sequences` (members times batch) of at most `length` tokens."""
        shapes: list[tuple[int, ...]] = [(self.rank,)]
        if self.rope:
            shapes.append((1, self.rope))
        return Cache(sequences, length, shapes, dtype, self.q.weight.device)

    def flops_per_token(self, context: int) -> int:
        """Forward FLOPs for one token of a sequence of `context`, the whole square counted."""
        layers = (self.q, self.down, self.up, self.out)
        products = sum(layer.flops_per_token() for layer in layers)
        return products + self.scoring.flops_per_token(context)
