"""The loss on held-out text."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from scaling.data.batches import Tokens, evaluation_batches, placed
from scaling.data.packed import PackedSplit
from scaling.errors import UserError
from scaling.model.decoder import Decoder

# Training passes' rows that are evaluated at a time: nothing is kept for a way back. On a card the
# launches of a pass take as long for few rows as for many.
PASSES = {"cpu": 2, "cuda": 8}
_PIECE = 1 << 24  # tokens whose bytes are counted at a time


class GivenUpError(Exception):
    """An evaluation or a step was not made to its end, since a stop was asked for."""


@dataclass(frozen=True)
class Evaluation:
    """One member's loss on a stretch of text."""

    loss: float  # nats per token
    bpb: float  # bits per byte of the text
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp of the loss; infinite where that overflows."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def metrics(self, split: str) -> dict[str, float]:
        """By the metric names of the house."""
        return {
            f"{split}/loss": self.loss,
            f"{split}/bpb": self.bpb,
            f"{split}/perplexity": self.perplexity,
        }


class Evaluator:
    """Evaluates a model of any number of members on one split, or a fixed prefix of it.

    Every token but the first is predicted once, in windows of the context length that do not
    overlap. Bytes are those that the predicted tokens stand for, none for the end of a text.
    """

    def __init__(
        self, split: PackedSplit, token_bytes: torch.Tensor, batch_size: int, limit: int | None
    ) -> None:
        self.split, self.batch_size, self.limit = split, batch_size, limit
        self.token_bytes = token_bytes
        self._tokens = split.tokens_array()  # mapped now, whatever becomes of the cache
        self._stream: tuple[torch.device, Tokens | torch.Tensor] | None = None

    @torch.no_grad()
    def __call__(
        self, model: Decoder, stopped: Callable[[], bool] = lambda: False
    ) -> list[Evaluation]:
        """The evaluation of each member.

        Raises:
            UserError: there is no text to judge by.
            GivenUpError: it has been `stopped`, as it is asked before each batch.
        """
        tokens, covered = self.predicted
        if not covered:
            raise UserError(
                f"the first {tokens:,} tokens of the {self.split.name} split stand for no text:"
                " their characters are in no training document"
            )
        device = model.embedding.weight.device
        total = torch.zeros(model.members, dtype=torch.float64, device=device)
        batches = evaluation_batches(
            self._tokens_on(device), model.context_length, self.batch_size, device, self.limit
        )
        for inputs, targets in batches:
            if stopped():
                raise GivenUpError
            shape = (model.members, *inputs.shape)
            total += model.loss(inputs.expand(shape), targets.expand(shape)).double()
        losses = (total / tokens).tolist()
        scale = tokens / covered / math.log(2)
        return [Evaluation(loss, loss * scale, tokens) for loss in losses]

    def _tokens_on(self, device: torch.device) -> Tokens | torch.Tensor:
        """The split, on a device that has room for it moved there once."""
        if self._stream is None or self._stream[0] != device:
            self._stream = device, placed(self._tokens, device)
        return self._stream[1]

    @cached_property
    def predicted(self) -> tuple[int, int]:
        """How many tokens are predicted, and how many bytes they stand for."""
        stream = self._tokens
        count = len(stream) - 1 if self.limit is None else min(self.limit, len(stream) - 1)
        each = self.token_bytes.numpy()
        parts = range(1, count + 1, _PIECE)
        covered = sum(int(each[stream[i : min(i + _PIECE, count + 1)]].sum()) for i in parts)
        return count, covered
