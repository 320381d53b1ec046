"""The decoder: token ids in, the next token's logits or the loss out."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scaling.config import ModelConfig
from scaling.model.attention import Attention, KeyValueCache
from scaling.model.feedforward import SwiGLU
from scaling.model.head import head_loss
from scaling.model.layers import Embedding, Linear, RMSNorm


class Block(nn.Module):
    """Pre-norm attention and feedforward, each added to the residual stream."""

    def __init__(self, members: int, config: ModelConfig, max_length: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(members, config.d_model)
        self.attention = Attention(members, config, max_length)
        self.feedforward_norm = RMSNorm(members, config.d_model)
        self.feedforward = SwiGLU(members, config)

    def forward(self, x: Tensor, dtype: torch.dtype, cache: KeyValueCache | None) -> Tensor:
        """`[M, B, T, C]` in fp32 to the same; products run in `dtype`."""
        x = x + self.attention(self.attention_norm(x, dtype), cache)
        return x + self.feedforward(self.feedforward_norm(x, dtype))


class Decoder(nn.Module):
    """M decoders of one shape. Shapes: ids `[M, B, T]`, logits `[M, B, T, V]`.

    `dtype` is what products and activations are computed in; weights are fp32 always.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        vocab_size: int,
        context_length: int,
        members: int = 1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.config, self.members, self.dtype = config, members, dtype
        self.vocab_size, self.context_length = vocab_size, context_length
        self.embedding = Embedding(members, vocab_size, config.d_model)
        self.blocks = nn.ModuleList(
            Block(members, config, context_length) for _ in range(config.n_layers)
        )
        self.norm = RMSNorm(members, config.d_model)
        self.head = None if config.tie_embeddings else Linear(members, config.d_model, vocab_size)

    @property
    def head_weight(self) -> Tensor:
        """The output head, `[M, V, C]`: the embedding itself when tied."""
        return self.embedding.weight if self.head is None else self.head.weight

    def hidden(self, ids: Tensor, caches: Sequence[KeyValueCache] | None = None) -> Tensor:
        """The normed last states, `[M, B, T, C]`, that the head reads."""
        x = self.embedding(ids)
        for i, block in enumerate(self.blocks):
            x = block(x, self.dtype, caches[i] if caches else None)
        return self.norm(x, self.dtype)

    def forward(self, ids: Tensor, caches: Sequence[KeyValueCache] | None = None) -> Tensor:
        """Logits of each next token, in `dtype`; with caches, ids continue what is in them."""
        rows = self.hidden(ids, caches).flatten(1, 2)
        logits = torch.bmm(rows, self.head_weight.to(self.dtype).transpose(1, 2))
        return logits.view(*ids.shape, self.vocab_size)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Summed next-token cross-entropy of each member in nats, `[M]`; targets of -100 aside."""
        return head_loss(self.hidden(ids), self.head_weight, targets)

    def new_caches(self, batch: int, length: int | None = None) -> list[KeyValueCache]:
        """Empty caches, one a block, for `batch` sequences a member."""
        sequences, length = self.members * batch, length or self.context_length
        return [block.attention.new_cache(sequences, length, self.dtype) for block in self.blocks]  # type: ignore[union-attr, operator]

    # ------------------------------------------------------------ start

    @torch.no_grad()
    def init_weights(self, seeds: Sequence[int]) -> None:
        """Draw member k's weights from `seeds[k]` alone, so that it starts as its solo run does.

        Matrices are N(0, init_std), those that write to the residual stream smaller by
        sqrt(2 layers) (GPT-2's rule), gains are one and biases zero.
        """
        assert len(seeds) == self.members
        std = self.config.init_std
        shrunk = std / math.sqrt(2 * self.config.n_layers)
        for k, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)
            for module in self.modules():
                match module:
                    case Linear():
                        scale = shrunk if module.residual else std
                        _fill_normal(module.weight[k], scale, generator)
                        if module.bias is not None:
                            module.bias[k].zero_()
                    case Embedding():
                        _fill_normal(module.weight[k], std, generator)
                    case RMSNorm():
                        module.weight[k].fill_(1.0)

    # ------------------------------------------------------------ counts, of one member

    def param_counts(self) -> dict[str, int]:
        """Parameters of one member by convention.

        `total`: all. `non_embedding`: without the token embeddings and the output head.
        `with_head`: without the input embedding, with the output head (as Chinchilla's table A9
        counts); the same matrix counts once as the head when tied.
        """
        total = sum(p.numel() for p in self.parameters()) // self.members
        embedding = self.embedding.weight[0].numel()
        head = 0 if self.head is None else self.head.weight[0].numel()
        return {
            "total": total,
            "non_embedding": total - embedding - head,
            "with_head": total if self.head is None else total - embedding,
        }

    def flops_per_token(self, context: int | None = None) -> int:
        """Forward FLOPs of one member for one token of a sequence of `context` tokens.

        Matrix products alone, a multiply and an add counted each; attention's whole square is
        counted, as `torch.utils.flop_counter` does. Training costs three times as much.
        """
        context = context or self.context_length
        blocks = sum(
            block.attention.flops_per_token(context) + block.feedforward.flops_per_token()  # type: ignore[union-attr, operator]
            for block in self.blocks
        )
        return int(blocks) + 2 * self.vocab_size * self.config.d_model


def _fill_normal(out: Tensor, std: float, generator: torch.Generator) -> None:
    """Drawn on the CPU whatever the device, so that a seed means the same weights everywhere."""
    out.copy_(torch.empty(out.shape).normal_(0.0, std, generator=generator))
