"""The decoder: token ids in, the next token's logits or the loss out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scaling.config import LearnedPosition, MixtureOfExperts, ModelConfig
from scaling.model import initial, moe
from scaling.model.attention.cache import Cache
from scaling.model.block import Block, make_norm
from scaling.model.dropout import dropout
from scaling.model.head import cap, head_loss
from scaling.model.layers import Embedding, Linear


@dataclass(frozen=True)
class TrainingLoss:
    """What a training pass gives, a number a member."""

    loss: Tensor  # [M]: summed next-token cross-entropy in nats
    penalty: Tensor | None  # [M]: what else is minimised, likewise summed over tokens
    figures: Tensor | None  # [M, F]: the metrics that `figure_names` names


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
        self.positions: Embedding | None = None
        if isinstance(config.position, LearnedPosition):
            entries = config.position.max_length or context_length
            self.positions = Embedding(members, entries, config.d_model)
        self.blocks = nn.ModuleList(
            Block(members, config, context_length, layer) for layer in range(config.n_layers)
        )
        # Post-norm blocks end in a norm of their own.
        self.norm = make_norm(members, config) if config.norm_placement == "pre" else None
        self.head = (
            None
            if config.tie_embeddings
            else Linear(members, config.d_model, vocab_size, role="head")
        )

    @property
    def head_weight(self) -> Tensor:
        """The output head, `[M, V, C]`: the embedding itself when tied."""
        return self.embedding.weight if self.head is None else self.head.weight

    # ------------------------------------------------------------ passes

    def _states(
        self,
        ids: Tensor,
        caches: Sequence[Cache] | None,
        training: bool,
        noise: Tensor | None,
    ) -> tuple[Tensor, list[moe.Routing]]:
        x = self.embedding(ids)
        if self.positions is not None:
            start = caches[0].length if caches else 0
            x = x + self.positions.weight[:, None, start : start + ids.shape[2]]
        if noise is not None:
            x = dropout(x, self.config.dropout, noise, noise.new_zeros(()))
        routings = []
        for i, block in enumerate(self.blocks):
            x, routing = block(x, self.dtype, caches[i] if caches else None, training, noise)
            if routing is not None:
                routings.append(routing)
        x = x.to(self.dtype) if self.norm is None else self.norm(x, self.dtype)
        if self.config.width_ratio != 1.0:  # muP's output scale
            x = x / self.config.width_ratio
        return x, routings

    def hidden(self, ids: Tensor, caches: Sequence[Cache] | None = None) -> Tensor:
        """The last states, `[M, B, T, C]`, that the head reads."""
        return self._states(ids, caches, training=False, noise=None)[0]

    def forward(self, ids: Tensor, caches: Sequence[Cache] | None = None) -> Tensor:
        """Logits of each next token, in `dtype`; with caches, ids continue what is in them."""
        rows = self.hidden(ids, caches).flatten(1, 2)
        logits = torch.bmm(rows, self.head_weight.to(self.dtype).transpose(1, 2))
        return cap(logits, self.config.logit_softcap).view(*ids.shape, self.vocab_size)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Summed next-token cross-entropy of each member in nats, `[M]`; targets of -100 aside."""
        return head_loss(self.hidden(ids), self.head_weight, targets, self.config.logit_softcap)

    def training_loss(
        self, ids: Tensor, targets: Tensor, noise: Tensor | None = None
    ) -> TrainingLoss:
        """As `loss`, with all that holds in training alone: dropout, capacities, penalties.

        `noise` are the batch's dropout keys (`scaling.model.dropout.noise`); without them, or
        where the config has no dropout, nothing is dropped.
        """
        noise = noise if self.config.dropout else None
        x, routings = self._states(ids, None, training=True, noise=noise)
        loss = head_loss(x, self.head_weight, targets, self.config.logit_softcap)
        if not routings:
            return TrainingLoss(loss, None, None)
        return TrainingLoss(
            loss,
            torch.stack([routing.penalty for routing in routings]).sum(0),
            torch.stack([routing.figures for routing in routings]).mean(0),
        )

    def figure_names(self) -> list[str]:
        """The metrics that `TrainingLoss.figures` holds, means over the blocks."""
        feedforward = self.config.feedforward
        if isinstance(feedforward, MixtureOfExperts):
            return moe.figure_names(feedforward)
        return []

    def new_caches(self, batch: int, length: int | None = None) -> list[Cache]:
        """Empty caches, one a block, for `batch` sequences a member."""
        sequences, length = self.members * batch, length or self.context_length
        return [block.attention.new_cache(sequences, length, self.dtype) for block in self.blocks]  # type: ignore[union-attr, operator]

    def init_weights(self, seeds: Sequence[int]) -> None:
        """Draw member k's weights from `seeds[k]`; see `scaling.model.initial`."""
        assert len(seeds) == self.members
        initial.init_weights(self, self.config, seeds)

    # ------------------------------------------------------------ counts, of one member

    def param_counts(self) -> dict[str, int]:
        """Parameters of one member by convention.

        `total`: all. `non_embedding`: without the token and position embeddings and the output
        head. `with_head`: without the input embeddings, with the output head (as Chinchilla's
        table A9 counts); the same matrix counts once as the head when tied. `active`: all but
        the experts that a token is not sent to.
        """
        total = sum(p.numel() for p in self.parameters()) // self.members
        embedding = self.embedding.weight[0].numel()
        positions = 0 if self.positions is None else self.positions.weight[0].numel()
        head = 0 if self.head is None else self.head.weight[0].numel()
        idle = sum(block.feedforward.idle_parameters() for block in self.blocks)  # type: ignore[union-attr, operator]
        return {
            "total": total,
            "non_embedding": total - embedding - positions - head,
            "with_head": total - positions - (0 if self.head is None else embedding),
            "active": total - int(idle),
        }

    def flops_per_token(self, context: int | None = None) -> int:
        """Forward FLOPs of one member for one token of a sequence of `context` tokens.

        Matrix products alone, a multiply and an add counted each; attention's whole square is
        counted, as `torch.utils.flop_counter` does. Training costs three times as much.
        """
        context = context or self.context_length
        blocks = sum(
            block.attention.flops_per_token(context) + block.feedforward.flops_per_token(context)  # type: ignore[union-attr, operator]
            for block in self.blocks
        )
        return int(blocks) + 2 * self.vocab_size * self.config.d_model


def outline(config: ModelConfig, *, vocab_size: int, context_length: int) -> Decoder:
    """A decoder of shapes alone, on torch's meta device: for counts, without memory or time."""
    with torch.device("meta"):
        return Decoder(config, vocab_size=vocab_size, context_length=context_length)
