"""Where a token stands: the schemes that tell attention the order of its input."""

import numpy as np
import torch
from torch import Tensor, nn


class RotaryPosition(nn.Module):
    """Rotates pairs of a head's channels by an angle that grows with the position.

    Channel i pairs with channel i + d/2, the convention of GPT-NeoX and Llama. Angles are kept in
    fp32 and cast where they are used. Su et al., arXiv:2104.09864.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, head_dim: int, max_length: int, theta: float) -> None:
        super().__init__()
        # By numpy: on torch's meta device such sums would first import its compiler, for a second.
        frequencies = theta ** (-np.arange(0, head_dim, 2) / head_dim)
        angles = np.arange(max_length)[:, None] * frequencies
        cos = np.concatenate([np.cos(angles), np.cos(angles)], axis=-1, dtype=np.float32)
        sin = np.concatenate([-np.sin(angles), np.sin(angles)], axis=-1, dtype=np.float32)
        self.register_buffer("cos", torch.from_numpy(cos), persistent=False)
        self.register_buffer("sin", torch.from_numpy(sin), persistent=False)

    def forward(self, x: Tensor, start: int) -> Tensor:
        """Rotate `x [..., T, H, d]` whose first token stands at position `start`."""
        length, heads = x.shape[-3:-1]
        cos, sin = (
            table[start : start + length, None].to(x.dtype) for table in (self.cos, self.sin)
        )
        if x.device.type == "cpu":
            # A CPU's loops are long only where both sides lie alike in memory.
            cos, sin = (t.expand(-1, heads, -1).contiguous() for t in (cos, sin))
        first, second = x.chunk(2, dim=-1)
        return torch.addcmul(x * cos, torch.cat([second, first], dim=-1), sin)


def alibi_slopes(heads: int) -> Tensor:
    """How fast each head's scores fall with distance, `[H]`: 2^(-8/H), 2^(-16/H), ... 2^-8.

    Press et al., arXiv:2108.12409, give this for powers of two; others take every second slope of
    the next power's, as theirs do.
    """
    whole = 2 ** (heads.bit_length() - 1)
    slopes = [2 ** (-8 * (i + 1) / whole) for i in range(whole)]
    between = [2 ** (-8 * (i + 1) / (2 * whole)) for i in range(0, 2 * whole, 2)]
    return torch.tensor(slopes + between[: heads - whole])
