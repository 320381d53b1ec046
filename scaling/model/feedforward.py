"""What a block does to each token apart."""

from torch import Tensor, nn
from torch.nn import functional as F

from scaling.config import ModelConfig
from scaling.model.layers import Linear


class SwiGLU(nn.Module):
    """`(silu(x W) * x V) U` (Shazeer, arXiv:2002.05202); W and V are one matrix."""

    def __init__(self, members: int, config: ModelConfig) -> None:
        super().__init__()
        width = config.feedforward.width(config.d_model)
        self.up = Linear(members, config.d_model, 2 * width)
        self.down = Linear(members, width, config.d_model, residual=True)

    def forward(self, x: Tensor) -> Tensor:
        """`[M, B, T, C]` to the same."""
        gate, value = self.up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * value)

    def flops_per_token(self) -> int:
        """Forward FLOPs of the products for one token."""
        return self.up.flops_per_token() + self.down.flops_per_token()
