"""What was gained and what forgotten, of every member at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from scaling.adapt.stream import Row, Text, batch, whole
from scaling.data.batches import IGNORED
from scaling.data.tokenizer import Tokenizer
from scaling.evaluation import Evaluation
from scaling.model.decoder import Decoder
from scaling.prompts.answer import choice, option_stretches
from scaling.prompts.item import Item

LOGITS = 2**25  # at a time, of all members together


@dataclass(frozen=True)
class Knowledge:
    """What one member knows of its document, and of all else.

    Attributes:
        continuation: loss on held-out text, nats per token.
        general: loss on the baseline's validation text, nats per token.
        accuracy: share of the questions answered right; None where there are none.
        p_right: mean probability of the right choice; likewise.
        questions: how many there are.
    """

    continuation: float
    general: float
    accuracy: float | None
    p_right: float | None
    questions: int = 1


def text_loss(model: Decoder, tokenizer: Tokenizer, texts: Sequence[Sequence[str]]) -> list[float]:
    """Member k's mean loss on `texts[k]`, each text by itself, in nats per token."""
    rows = [
        [_row(part) for text in own for part in whole(tokenizer, text, model.context_length)]
        for own in texts
    ]
    counts = [sum(len(row.ids) - row.start for row in own) for own in rows]
    sums = [float(own.sum()) for own in row_log_p(model, rows)]
    return [-total / count for total, count in zip(sums, counts, strict=True)]


def knowledge(
    model: Decoder,
    tokenizer: Tokenizer,
    continuations: Sequence[str],
    questions: Sequence[Sequence[Item]],
    general: Sequence[Evaluation],
) -> list[Knowledge]:
    """What each member knows: member k of `continuations[k]`, `questions[k]`, and `general[k]`."""
    losses = text_loss(model, tokenizer, [[text] for text in continuations])
    answers = _answers(model, tokenizer, questions)
    return [
        Knowledge(loss, rest.loss, *right, questions=len(own))
        for loss, rest, right, own in zip(losses, general, answers, questions, strict=True)
    ]


def _answers(
    model: Decoder, tokenizer: Tokenizer, questions: Sequence[Sequence[Item]]
) -> list[tuple[float | None, float | None]]:
    """Each member's share of right answers and mean probability of the right choice."""
    if not any(questions):
        return [(None, None)] * len(questions)
    rows = [
        [
            Row(tuple(one.ids), one.start)
            for item in own
            for one in option_stretches(tokenizer, item)
        ]
        for own in questions
    ]
    found: list[tuple[float | None, float | None]] = []
    for own, logs in zip(questions, row_log_p(model, rows), strict=True):
        left = iter(logs.tolist())
        answers = [choice(item, [next(left) for _ in item.options]) for item in own]
        if not answers:
            found.append((None, None))
            continue
        chances = [math.nan if one.p_right is None else one.p_right for one in answers]
        chance = sum(chances) / len(answers)  # no number, of a member that diverged
        right = sum(answer.passed for answer in answers) / len(answers)
        found.append((math.nan if math.isnan(chance) else right, chance))
    return found


@torch.no_grad()
def row_log_p(model: Decoder, rows: Sequence[Sequence[Row]]) -> list[Tensor]:
    """log p of each row's predicted tokens, summed, in nats: for each member, `[its rows]`."""
    longest = max(len(row.ids) for own in rows for row in own)
    assert longest <= model.context_length + 1, "a row outgrows the context"
    height = max(1, LOGITS // (len(rows) * longest * model.vocab_size))
    most = max(len(own) for own in rows)
    parts: list[list[Tensor]] = [[] for _ in rows]
    nothing = Row((0, 0), 2)  # predicts none of its tokens
    for at in range(0, most, height):
        some = [list(own[at : at + height]) or [nothing] for own in rows]
        inputs, targets = batch(some, model.embedding.weight.device)
        logits = model(inputs).float()
        losses = F.cross_entropy(
            logits.flatten(0, 2), targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        sums = -losses.view(targets.shape).double().sum(-1).cpu()
        for k, own in enumerate(rows):
            parts[k].append(sums[k, : len(own[at : at + height])])
    return [torch.cat(own) for own in parts]


def _row(text: Text) -> Row:
    return Row(text.ids, text.start)
