"""What a block does to each token apart."""

from torch import Tensor, nn
from torch.nn import functional as F

from scaling.config import ModelConfig
from scaling.model.layers import Linear

GATED = frozenset({"swiglu"})  # their first product is two matrices: gate and value


def activate(kind: str, x: Tensor) -> Tensor:
    """The nonlinearity of a kind of feedforward; a gated one halves the width."""
    match kind:
        case "swiglu":
            gate, value = x.chunk(2, dim=-1)
            return F.silu(gate) * value
        case "gelu":
            return F.gelu(x, approximate="tanh")
        case "relu_squared":
            return F.relu(x).square()
    raise ValueError(kind)


def first_sections(kind: str, width: int) -> tuple[int, ...]:
    """The heights of the matrices that the first product is a stack of."""
    return (width, width) if kind in GATED else (width,)


class Feedforward(nn.Module):
    """A product up, a nonlinearity, a product down.

    `(silu(x W) * x V) U` (SwiGLU, arXiv:2002.05202; W and V are one matrix), `gelu(x W) U`, or
    `relu(x W)^2 U` (arXiv:2109.08668).
    """

    def __init__(self, members: int, config: ModelConfig) -> None:
        super().__init__()
        self.kind, width = config.feedforward.kind, config.d_ff
        sections = first_sections(self.kind, width)
        self.up = Linear(
            members, config.d_model, sum(sections), bias=config.bias, sections=sections
        )
        self.down = Linear(members, width, config.d_model, bias=config.bias, residual=True)

    def forward(self, x: Tensor, training: bool = False) -> tuple[Tensor, None]:
        """`[M, B, T, C]` to the same; no figures."""
        return self.down(activate(self.kind, self.up(x))), None

    def flops_per_token(self, context: int) -> int:
        """Forward FLOPs of the products for one token."""
        return self.up.flops_per_token() + self.down.flops_per_token()

    def idle_parameters(self) -> int:
        """Parameters of one member that a token does not meet."""
        return 0
