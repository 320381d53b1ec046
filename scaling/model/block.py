"""A block: attention and feedforward, each added to the residual stream."""

import torch
from torch import Tensor, nn

from scaling.config import DepthResidual, LearnedResidual, MixtureOfExperts, ModelConfig
from scaling.model.attention import make_attention
from scaling.model.attention.cache import Cache
from scaling.model.dropout import dropout
from scaling.model.feedforward import Feedforward
from scaling.model.layers import Gain, LayerNorm, Norm, RMSNorm
from scaling.model.moe import Routing, SparseFeedforward


def make_norm(members: int, config: ModelConfig) -> Norm:
    """A norm of the residual stream's width."""
    if config.norm == "layernorm":
        return LayerNorm(members, config.d_model, bias=config.bias)
    return RMSNorm(members, config.d_model)


class Block(nn.Module):
    """Attention, then feedforward; or both at once from one input (`parallel`).

    Norms come before a branch, or after its sum (`norm_placement`). A branch may be scaled, by
    the depth or by learned gains, and loses channels to dropout in training.
    """

    site: Tensor

    def __init__(self, members: int, config: ModelConfig, max_length: int, layer: int) -> None:
        super().__init__()
        self.parallel, self.post = config.parallel, config.norm_placement == "post"
        self.share = config.dropout
        self.attention_norm = make_norm(members, config)
        self.attention = make_attention(members, config, max_length, layer)
        self.feedforward_norm = None if config.parallel else make_norm(members, config)
        self.feedforward: Feedforward | SparseFeedforward
        if isinstance(config.feedforward, MixtureOfExperts):
            self.feedforward = SparseFeedforward(members, config, config.feedforward)
        else:
            self.feedforward = Feedforward(members, config)
        self.factor: float | None = None
        self.attention_gain: Gain | None = None
        self.feedforward_gain: Gain | None = None
        match config.residual:
            case DepthResidual(power=power):
                self.factor = config.n_layers**-power
            case LearnedResidual(start=start):
                self.attention_gain = Gain(members, config.d_model, start)
                self.feedforward_gain = Gain(members, config.d_model, start)
        # Where dropout strikes; a buffer, so that torch.compile writes one program for all blocks.
        site = torch.tensor(2 * layer + 1, dtype=torch.int32)
        self.register_buffer("site", site, persistent=False)

    def forward(
        self,
        x: Tensor,
        dtype: torch.dtype,
        cache: Cache | None = None,
        training: bool = False,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Routing | None]:
        """`[M, B, T, C]` in fp32 to the same; products run in `dtype`.

        `training` lets experts drop what they have no room for; `noise` are the keys of dropout.
        """
        inner = x.to(dtype) if self.post else self.attention_norm(x, dtype)
        attended = self._scaled(self.attention(inner, cache), self.attention_gain, noise, 0)
        if self.feedforward_norm is None:
            given, routing = self.feedforward(inner, training)
            x = x + attended + self._scaled(given, self.feedforward_gain, noise, 1)
            return (self.attention_norm(x, x.dtype) if self.post else x), routing
        x = x + attended
        if self.post:
            x = self.attention_norm(x, x.dtype)
        inner = x.to(dtype) if self.post else self.feedforward_norm(x, dtype)
        given, routing = self.feedforward(inner, training)
        x = x + self._scaled(given, self.feedforward_gain, noise, 1)
        return (self.feedforward_norm(x, x.dtype) if self.post else x), routing

    def _scaled(self, branch: Tensor, gain: Gain | None, noise: Tensor | None, n: int) -> Tensor:
        """What a branch adds to the stream."""
        if gain is not None:
            branch = gain(branch)
        if self.factor is not None:
            branch = branch * self.factor
        if noise is not None:
            branch = dropout(branch, self.share, noise, self.site + n)
        return branch
