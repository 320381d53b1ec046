"""The inner loop: many adaptations of one baseline, each a member of one program."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from scaling.adapt.config import Full, Lora
from scaling.adapt.lora import Adapters
from scaling.adapt.stream import Stream, Text, batch
from scaling.config import AdamW
from scaling.model.decoder import Decoder
from scaling.optim import MemberOptimizers


@dataclass(frozen=True)
class Learner:
    """One adaptation: what it learns, how, from which seed."""

    texts: Sequence[Text]
    method: Lora | Full
    seed: int


def copies(model: Decoder, members: int) -> Decoder:
    """`members` decoders that all are the one given."""
    assert model.members == 1
    made = Decoder(
        model.config,
        vocab_size=model.vocab_size,
        context_length=model.context_length,
        members=members,
        dtype=model.dtype,
    ).to(model.embedding.weight.device)
    with torch.no_grad():
        for ours, theirs in zip(made.parameters(), model.parameters(), strict=True):
            ours.copy_(theirs.expand_as(ours))
    return made


class InnerLoop:
    """Learners of one kind of method, trained together; member k is `learners[k]`.

    AdamW without weight decay at a constant rate, gradients clipped at 1: so a loop of 30 steps
    has been, after 10 of them, what a loop of 10 is at its end. The baseline runs as it does when
    it is asked, without its own dropout and without capacities of experts, which padding would
    fill: no member feels how long another's texts are.
    """

    def __init__(self, model: Decoder, learners: Sequence[Learner], tokens: int) -> None:
        """`model` is the baseline, of one member; `tokens` are those of a step.

        Raises:
            UserError: the baseline has no such targets, or too small matrices for a rank.
        """
        self.learners, self.tokens, self.steps = list(learners), tokens, 0
        self.model = copies(model, len(learners))
        self.adapters: Adapters | None = None
        methods = [learner.method for learner in learners]
        loras = [method for method in methods if isinstance(method, Lora)]
        if loras:
            assert len(loras) == len(methods), "LoRA and full fine-tuning are programs apart"
            self.adapters = Adapters(self.model, loras, [learner.seed for learner in learners])
        configs = [AdamW(lr=method.lr, weight_decay=0.0) for method in methods]
        self.optimizers = MemberOptimizers(self.model, configs)
        self.streams = [Stream(one.texts, tokens, one.seed) for one in learners]
        self.device = model.embedding.weight.device

    def step(self) -> torch.Tensor:
        """One step of every member; returns their losses before it, nats per token `[M]`."""
        rows = [stream.rows(self.steps) for stream in self.streams]
        inputs, targets = batch(rows, self.device)
        if self.adapters is not None:
            self.adapters.draws.step = self.steps
        losses = self.model.loss(inputs, targets)
        (losses.sum() / self.tokens).backward()  # type: ignore[no-untyped-call]
        self.optimizers.clip()
        self.optimizers.step([1.0] * len(self.learners))
        self.optimizers.zero_grad()
        if self.adapters is not None:
            self.adapters.draws.step = None
        self.steps += 1
        return losses.detach() / self.tokens
