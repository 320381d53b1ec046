"""Models write: each prompt so many times, and how probable each text was."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from scaling.config import RuntimeConfig
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.runtime import resolve
from scaling.sampling import SamplingSettings, continue_ids, opened
from scaling.scoring import Stretch, log_probabilities
from scaling.trained import Trained

ROWS = 128  # stories written at a time


@dataclass(frozen=True)
class Story:
    """One continuation."""

    prompt: str
    sample: int
    text: str  # the continuation alone
    ids: tuple[int, ...]
    ended: bool
    log_p: float  # of the continuation, its end included, at temperature 1; nats

    @property
    def log_p_per_token(self) -> float:
        """On average."""
        return self.log_p / max(1, len(self.ids) + self.ended)


@dataclass(frozen=True)
class Written:
    """What one model wrote, prompt by prompt."""

    trained: Trained
    stories: list[Story]


def write(
    models: Sequence[Trained],
    prompts: Sequence[str],
    settings: SamplingSettings,
    num_samples: int,
    *,
    say: Callable[[str], None],
) -> list[Written]:
    """Have each model continue each prompt, with the same draws for all.

    Raises:
        UserError: a model's scores are not finite; it is named.
    """
    runtime = resolve(RuntimeConfig(precision="fp32", compile=False))
    written = []
    for number, trained in enumerate(models, start=1):
        model, tokenizer = trained.load(runtime)
        long = sum(len(opened(tokenizer, p)) > model.context_length for p in prompts)
        if long:
            say(
                f"{trained.label}: of {long} prompts longer than its context of"
                f" {model.context_length:,} tokens it is given the end"
            )
        try:
            found = continue_all(model, tokenizer, prompts, settings, num_samples)
        except UserError as error:
            raise UserError(f"{trained.label}: {error}") from None
        written.append(Written(trained, found))
        mean = sum(story.log_p_per_token for story in found) / len(found)
        say(
            f"{number}/{len(models)} {trained.label}: {len(found)} stories,"
            f" {mean:.2f} nats per token"
        )
    return written


def continue_all(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    settings: SamplingSettings,
    num_samples: int,
) -> list[Story]:
    """Stories in the order of prompts, then samples; prompts of one length run together.

    Spaces at a prompt's end are left out: a model's words begin with their own.
    """
    prompts = [prompt.rstrip(" ") for prompt in prompts]
    encoded = [opened(tokenizer, prompt) for prompt in prompts]
    together: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for i, ids in enumerate(encoded):
        together[len(ids)] += [(i, sample) for sample in range(num_samples)]
    device = model.embedding.weight.device
    new: dict[tuple[int, int], list[int]] = {}
    for asked in together.values():
        for first in range(0, len(asked), ROWS):
            rows = asked[first : first + ROWS]
            given = torch.tensor([encoded[i] for i, _ in rows], device=device)
            streams = [_stream(prompts[i], sample, settings.seed) for i, sample in rows]
            found = continue_ids(model, given, settings, streams, tokenizer.eot, cached=True)
            new |= dict(zip(rows, found, strict=True))
    keys = [(i, sample) for i in range(len(prompts)) for sample in range(num_samples)]
    ended = {key: len(new[key]) < settings.max_tokens for key in keys}
    stretches = [
        Stretch(
            [*encoded[i], *new[i, sample], *([tokenizer.eot] if ended[i, sample] else [])],
            len(encoded[i]),
        )
        for i, sample in keys
    ]
    sums = [float(p.double().sum()) for p in log_probabilities(model, stretches)]
    return [
        Story(
            prompt=prompts[i],
            sample=sample,
            text=tokenizer.decode(new[i, sample]),
            ids=tuple(new[i, sample]),
            ended=ended[i, sample],
            log_p=total,
        )
        for (i, sample), total in zip(keys, sums, strict=True)
    ]


def _stream(prompt: str, sample: int, seed: int) -> torch.Generator:
    """A story's draws, which do not depend on what else is asked."""
    digest = hashlib.sha256(f"{seed}/{prompt}/{sample}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7]))
