"""Text from a model: sampling with a key-value cache, the same as from full forward passes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.model.decoder import Decoder

COLDEST = 1e-6  # below it the likeliest token is all there is, and scores over it overflow
NOT_FINITE = "This model's scores are not finite: it diverged; an earlier checkpoint may be sound."


@dataclass(frozen=True)
class SamplingSettings:
    """How the next token is drawn. Temperature 0 takes the likeliest."""

    max_tokens: int = 256
    temperature: float = 0.8
    top_k: int | None = 50
    top_p: float | None = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UserError(f"max-tokens is {self.max_tokens}, but it is at least 1.")
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature is {self.temperature}, but it is a number from 0 on.")
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top-k is {self.top_k}, but it is at least 1.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UserError(f"top-p is {self.top_p}, but it is above 0 and at most 1.")


def generate(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    settings: SamplingSettings,
    *,
    cached: bool = True,
) -> list[str]:
    """Continue each prompt, but for spaces at its end (words begin with their own), with a model
    of one member; returns the continuations alone.

    A sequence that ends (the end-of-text token) is cut there. Each sequence draws from its own
    random stream, from the settings' seed and its place in `prompts`, so that it does not depend
    on what else is in the batch. Where a text outgrows the context, the model goes on from the
    last half of it. `cached=False` runs every token through the full forward pass.
    """
    assert model.members == 1
    device = model.embedding.weight.device
    encoded = [opened(tokenizer, prompt) for prompt in prompts]
    results: list[list[int]] = [[] for _ in prompts]
    streams = [
        torch.Generator().manual_seed((settings.seed * 1_000_003 + i) % 2**63)
        for i in range(len(prompts))
    ]
    for length in sorted({len(ids) for ids in encoded}):  # equal lengths run as one batch
        rows = [i for i, ids in enumerate(encoded) if len(ids) == length]
        ids = torch.tensor([encoded[i] for i in rows], device=device)
        for i, new in zip(
            rows,
            continue_ids(model, ids, settings, [streams[i] for i in rows], tokenizer.eot, cached),
            strict=True,
        ):
            results[i] = new
    return [tokenizer.decode(ids) for ids in results]


def opened(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """A prompt as the beginning of a document, but for spaces at its end."""
    return [tokenizer.eot, *tokenizer.encode(prompt.rstrip(" "))]


def given(count: int, settings: SamplingSettings, context: int) -> int:
    """How many of a prompt's `count` ids a model is given, the last ones.

    All, unless they are more than the context, or would outgrow it before the answer's end; then
    as many as leave room for all new ones, where that is at least half the context, or that half.
    """
    new = settings.max_tokens
    outgrows = count + new - 1 > context and new <= context - context // 2
    return max(context // 2, context - new, 1) if count > context or outgrows else count


@torch.no_grad()
def continue_ids(
    model: Decoder,
    ids: Tensor,
    settings: SamplingSettings,
    streams: Sequence[torch.Generator],
    eot: int,
    cached: bool,
) -> list[list[int]]:
    """New tokens for each row of `ids [B, T]`, without the end-of-text token.

    Of each row the model reads the end that is `given`, and goes on from the last half of the
    context where a text outgrows it all the same.
    """
    context = model.context_length
    window = ids = ids[:, -given(ids.shape[1], settings, context) :]
    caches = model.new_caches(len(ids)) if cached else None
    fresh = window
    drawn: list[Tensor] = []
    ended = torch.zeros(len(ids), dtype=torch.bool)
    for _ in range(settings.max_tokens):
        if window.shape[1] > context:
            window = fresh = window[:, -(context // 2) :]
            caches = model.new_caches(len(ids)) if cached else None
        logits = model((fresh if cached else window)[None], caches)[0, :, -1]
        token = draw(logits.float().cpu(), settings, streams)
        drawn.append(token)
        ended |= token == eot
        if bool(ended.all()):
            break
        fresh = token[:, None].to(ids.device)
        window = torch.cat([window, fresh], dim=1)
    rows = torch.stack(drawn, dim=1).tolist()
    return [row[: row.index(eot)] if eot in row else row for row in rows]


def draw(logits: Tensor, settings: SamplingSettings, streams: Sequence[torch.Generator]) -> Tensor:
    """One token a row of `logits [B, V]`, by temperature, then top-k, then top-p."""
    if not bool(logits.isfinite().all()):
        raise UserError(NOT_FINITE)
    if settings.temperature < COLDEST:
        return logits.argmax(dim=-1)
    logits = logits / settings.temperature
    if settings.top_k is not None and settings.top_k < logits.shape[-1]:
        best, places = logits.topk(settings.top_k, dim=-1)
        logits = torch.full_like(logits, float("-inf")).scatter(-1, places, best)
    if settings.top_p is not None and settings.top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        p = ordered.softmax(dim=-1)
        ordered = ordered.masked_fill(p.cumsum(dim=-1) - p >= settings.top_p, float("-inf"))
        logits = torch.full_like(logits, float("-inf")).scatter(-1, order, ordered)
    p = logits.softmax(dim=-1)
    picks = [torch.multinomial(row, 1, generator=g) for row, g in zip(p, streams, strict=True)]
    return torch.cat(picks)
