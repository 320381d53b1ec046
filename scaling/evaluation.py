"""The loss on held-out text."""

import math
from dataclasses import dataclass

import torch

from scaling.data.batches import evaluation_batches
from scaling.data.packed import PackedSplit
from scaling.model.decoder import Decoder


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

    @torch.no_grad()
    def __call__(self, model: Decoder) -> list[Evaluation]:
        """The evaluation of each member."""
        device = model.embedding.weight.device
        total = torch.zeros(model.members, dtype=torch.float64, device=device)
        tokens = covered = 0
        batches = evaluation_batches(
            self.split.tokens_array(), model.context_length, self.batch_size, device, self.limit
        )
        for inputs, targets in batches:
            shape = (model.members, *inputs.shape)
            total += model.loss(inputs.expand(shape), targets.expand(shape)).double()
            counted = targets[targets >= 0]
            tokens += counted.numel()
            covered += int(self.token_bytes[counted.cpu()].sum())
        losses = (total / tokens).tolist()
        scale = tokens / covered / math.log(2)
        return [Evaluation(loss, loss * scale, tokens) for loss in losses]
