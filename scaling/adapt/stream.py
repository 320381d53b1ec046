"""Training text in steps of equally many tokens, whatever the text.

A step of an adaptation is K predicted tokens: its texts are gone through again and again, each
time in another seeded order, and the stream of their tokens is cut every K. A text is cut between
steps, never its context: the second part of a cut text is read with the first before it. So at
equal steps all edits have been given equal tokens, and what they differ in is the text.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scaling.data.batches import IGNORED
from scaling.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Text:
    """Token ids, of which those from `start` (at least 1) on are to be predicted."""

    ids: tuple[int, ...]
    start: int = 1


@dataclass(frozen=True)
class Row:
    """A text's part in a step: ids before `end`, of which those from `start` on are predicted."""

    ids: tuple[int, ...]
    start: int


def whole(tokenizer: Tokenizer, text: str, context: int, *, ended: bool = True) -> list[Text]:
    """A text between two ends of text (after one, where it was cut off); in pieces that overlap by
    one where it outgrows the context."""
    ids = [tokenizer.eot, *tokenizer.encode(text), *([tokenizer.eot] if ended else [])]
    return [
        Text(tuple(ids[at : at + context + 1])) for at in range(0, max(1, len(ids) - 1), context)
    ]


class Stream:
    """The steps of one adaptation: each a function of the texts, the seed and its number."""

    def __init__(self, texts: Sequence[Text], tokens: int, seed: int) -> None:
        self.texts, self.tokens, self.seed = list(texts), tokens, seed
        self._epoch = sum(len(text.ids) - text.start for text in texts)
        assert self._epoch > 0

    def rows(self, step: int) -> list[Row]:
        """The parts of texts that step `step` (from 0) predicts, `tokens` in all."""
        at, end = step * self.tokens, (step + 1) * self.tokens
        found = []
        for epoch in range(at // self._epoch, (end - 1) // self._epoch + 1):
            place = epoch * self._epoch
            for text in self._order(epoch):
                count = len(text.ids) - text.start
                first, last = max(at, place), min(end, place + count)
                if first < last:
                    offset = text.start - place
                    found.append(Row(text.ids[: last + offset], first + offset))
                place += count
        return found

    def _order(self, epoch: int) -> list[Text]:
        draw = random.Random(f"{self.seed}/{epoch}")
        return sorted(self.texts, key=lambda _: draw.random())


def batch(rows: Sequence[Sequence[Row]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Inputs and targets of all members, int64 `[M, R, L]`; what pads has the target -100."""
    height = max(len(own) for own in rows)
    length = max(len(row.ids) for own in rows for row in own) - 1
    inputs = torch.zeros(len(rows), height, length, dtype=torch.long)
    targets = torch.full_like(inputs, IGNORED)
    for k, own in enumerate(rows):
        for i, row in enumerate(own):
            ids = torch.tensor(row.ids)
            inputs[k, i, : len(ids) - 1] = ids[:-1]
            targets[k, i, row.start - 1 : len(ids) - 1] = ids[row.start :]
    return inputs.to(device), targets.to(device)
