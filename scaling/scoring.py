"""How probable a model finds given tokens: many texts at once, of any length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from scaling.model.decoder import Decoder
from scaling.model.head import cap

PASS = 16_384  # tokens a forward pass, padding counted
LOGITS = 2**24  # logits at a time


@dataclass(frozen=True)
class Stretch:
    """Tokens of a text of which those from `start` on are asked for."""

    ids: Sequence[int]
    start: int  # at least 1: the first token has nothing before it


@dataclass(frozen=True)
class _Window:
    text: int  # whose number among the stretches
    begin: int
    end: int  # inputs are ids[begin:end], predicting ids[begin + 1 : end + 1]
    wanted: int  # the first token that this window predicts for the answer


@torch.no_grad()
def log_probabilities(model: Decoder, stretches: Sequence[Stretch]) -> list[Tensor]:
    """For each stretch, log p of its tokens from `start` on, in nats, fp32 on the CPU.

    Texts run side by side, padded at their end, which no token before it can see. A text that
    outgrows the context is read in windows that overlap by half.
    """
    assert model.members == 1
    device, context = model.embedding.weight.device, model.context_length
    out = [torch.zeros(len(s.ids) - s.start) for s in stretches]
    windows = [w for i, s in enumerate(stretches) for w in _windows(i, s, context)]
    windows.sort(key=lambda w: w.end - w.begin)
    for batch in _passes(windows):
        length = max(w.end - w.begin for w in batch)
        ids = torch.zeros(len(batch), length, dtype=torch.long)
        rows: list[int] = []
        columns: list[int] = []
        targets: list[int] = []
        for row, w in enumerate(batch):
            text = stretches[w.text].ids
            ids[row, : w.end - w.begin] = torch.tensor(text[w.begin : w.end])
            places = range(w.wanted - 1 - w.begin, w.end - w.begin)
            rows += [row] * len(places)
            columns += list(places)
            targets += text[w.wanted : w.end + 1]
        hidden = model.hidden(ids.to(device)[None])[0]
        where = torch.tensor([rows, columns, targets], device=device)
        found = _log_p(model, hidden[where[0], where[1]], where[2]).cpu()
        at = 0
        for w in batch:
            count, place = w.end + 1 - w.wanted, w.wanted - stretches[w.text].start
            out[w.text][place : place + count] = found[at : at + count]
            at += count
    return out


def _windows(number: int, stretch: Stretch, context: int) -> Iterator[_Window]:
    assert stretch.start >= 1
    last = len(stretch.ids) - 1  # inputs are all tokens but the last
    wanted = stretch.start
    while wanted <= last:
        # As much as fits before the first wanted token, but half a window ahead of it.
        begin = 0 if last <= context else max(0, wanted - context // 2)
        end = min(last, begin + context)
        yield _Window(number, begin, end, wanted)
        wanted = end + 1


def _passes(windows: Sequence[_Window]) -> Iterator[list[_Window]]:
    """Windows of like length together, so that little is padding."""
    batch: list[_Window] = []
    for window in windows:  # sorted: the last is the longest
        if batch and (len(batch) + 1) * (window.end - window.begin) > PASS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _log_p(model: Decoder, hidden: Tensor, targets: Tensor) -> Tensor:
    """log p of each target from its state, `[R]`, a chunk of logits at a time."""
    weight = model.head_weight[0].to(hidden.dtype)
    size = max(1, LOGITS // weight.shape[0])
    parts = []
    for start in range(0, len(targets), size):
        part = slice(start, start + size)
        logits = cap(F.linear(hidden[part], weight), model.config.logit_softcap).float()
        parts.append(-F.cross_entropy(logits, targets[part], reduction="none"))
    return torch.cat(parts)
