"""From queries, keys and values to what the heads give: what all kinds of attention share."""

import torch
from torch import Tensor, nn

from scaling.config import Alibi, MaximalUpdate, ModelConfig, Rope
from scaling.model.attend import attend, kept_bytes, square_flops
from scaling.model.layers import RMSNorm
from scaling.model.position import RotaryPosition, alibi_slopes


class Scoring(nn.Module):
    """Query-key norm, positions, scale, cap and window, and the products themselves.

    `dim` channels of a head are normed, `rotary_dim` are turned by rotary positions, and both
    make the score where they are not the same. A head's values have `dim` channels too, unless
    `value_dim` are given.
    """

    slopes: Tensor | None

    def __init__(
        self,
        members: int,
        config: ModelConfig,
        max_length: int,
        *,
        dim: int,
        rotary_dim: int | None = None,
        value_dim: int | None = None,
        window: int | None = None,
    ) -> None:
        super().__init__()
        assert config.n_heads is not None
        self.members, self.heads, self.window = members, config.n_heads, window
        self.widths = (dim + (rotary_dim or 0), value_dim or dim)  # of a query and of a value
        self.softcap = config.attention.softcap
        norms = config.attention.qk_norm
        self.q_norm = RMSNorm(members, dim) if norms else None
        self.k_norm = RMSNorm(members, dim) if norms else None
        self.rotary: RotaryPosition | None = None
        if isinstance(config.position, Rope):
            self.rotary = RotaryPosition(rotary_dim or dim, max_length, config.position.theta)
        slopes = alibi_slopes(self.heads) if isinstance(config.position, Alibi) else None
        self.register_buffer("slopes", slopes, persistent=False)
        self.scale: float | None = None  # the root of what is scored, d^-1/2
        if isinstance(config.parametrization, MaximalUpdate):
            # d^-1 sqrt(base) (arXiv:2203.03466), and at the base d^-1/2, turned channels or not.
            root = (dim * self.widths[0]) ** 0.5
            self.scale = config.parametrization.base_head_dim**0.5 / root

    def norm(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Query-key norm of `[M B, T, H, dim]` and `[M B, S, G, dim]`, where there is one."""
        if self.q_norm is None or self.k_norm is None:
            return q, k
        split = (self.members, -1)
        q = self.q_norm(torch.unflatten(q, 0, split), q.dtype).flatten(0, 1)
        k = self.k_norm(torch.unflatten(k, 0, split), k.dtype).flatten(0, 1)
        return q, k

    def place(self, qk: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Queries and keys, normed and turned, of `[M B, T, H + G, dim]` from `start` on."""
        groups = qk.shape[2] - self.heads
        if self.q_norm is not None:
            qk = torch.cat(self.norm(*torch.split(qk, [self.heads, groups], dim=2)), dim=2)
        q, k = torch.split(self.turn(qk, start), [self.heads, groups], dim=2)
        return q, k

    def turn(self, x: Tensor, start: int) -> Tensor:
        """Rotary positions on `[M B, T, heads, channels]` from position `start` on, if any."""
        return x if self.rotary is None else self.rotary(x, start)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """`[M B, T, H, d]`, `[M B, S, G, d]`, `[M B, S, G, e]`; returns `[M B, T, H, e]`."""
        return attend(
            q,
            k,
            v,
            scale=self.scale,
            window=self.window,
            slopes=self.slopes,
            softcap=self.softcap,
        )

    def flops_per_token(self, context: int) -> int:
        """Forward FLOPs of the scores, and of their sum over values, for one token."""
        window = None if self.softcap or self.slopes is not None else self.window
        return 2 * square_flops(context, window) * self.heads * sum(self.widths)

    def kept_bytes(self, context: int, dtype: torch.dtype, device: torch.device) -> int:
        """Bytes that one sequence's scores leave for the backward pass, computed there."""
        return self.heads * kept_bytes(
            context,
            dtype,
            device,
            widths=self.widths,
            window=self.window,
            slopes=self.slopes is not None,
            capped=self.softcap is not None,
        )
