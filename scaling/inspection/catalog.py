"""What there is: recipes with their sizes, and the parts that configs are made of."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from scaling.config import (
    BpeTokenizer,
    ByteTokenizer,
    CharTokenizer,
    Gpt2Tokenizer,
    RunConfig,
    Tokenizer,
)
from scaling.model.decoder import outline
from scaling.model.memory import activation_bytes, weight_bytes
from scaling.runtime import device_of
from scaling.schema import variants_at

# Where the unions of parts are, and what they are called.
PARTS: dict[str, tuple[str, ...]] = {
    "attention": ("model", "attention"),
    "feedforward": ("model", "feedforward"),
    "position": ("model", "position"),
    "residual": ("model", "residual"),
    "parametrization": ("model", "parametrization"),
    "optimizer": ("optimizer",),
    "schedule": ("schedule",),
    "tokenizer": ("data", "tokenizer"),
    "corpus": ("data", "corpus"),
}

CHARACTERS = 64  # entries of a character tokenizer, about; the corpus decides


@dataclass(frozen=True)
class Size:
    """What a config makes, counted from its shapes."""

    name: str
    vocabulary: int
    parameters: int
    non_embedding: int
    active: int
    flops_per_token: int  # of training: three times forward
    weight_bytes: int  # weights, gradients and Adam's moments, fp32
    activation_bytes: int  # of one sequence, in bf16, on this machine's device

    def as_dict(self) -> dict[str, Any]:
        """Field name to value."""
        return asdict(self)


def nominal_vocabulary(tokenizer: Tokenizer) -> int:
    """The entries that a tokenizer will have, as far as its config knows."""
    match tokenizer:
        case BpeTokenizer(vocab_size=size):
            return size
        case ByteTokenizer():
            return 257
        case Gpt2Tokenizer():
            return 50_257
        case CharTokenizer():
            return CHARACTERS


def size_of(config: RunConfig) -> Size:
    """Counts, of a model that is never allocated."""
    vocabulary = nominal_vocabulary(config.data.tokenizer)
    context = config.data.context_length
    model = outline(config.model, vocab_size=vocabulary, context_length=context)
    counts = model.param_counts()
    return Size(
        name=config.name,
        vocabulary=vocabulary,
        parameters=counts["total"],
        non_embedding=counts["non_embedding"],
        active=counts["active"],
        flops_per_token=3 * model.flops_per_token(),
        weight_bytes=weight_bytes(counts["total"]),
        activation_bytes=activation_bytes(model, torch.bfloat16, device_of(config.runtime)),
    )


def parts() -> dict[str, dict[str, str]]:
    """Each union's kinds, with the first line of what they say of themselves."""
    return {
        name: {
            kind: (part.__doc__ or "").strip().splitlines()[0]
            for kind, part in variants_at(RunConfig, path).items()
        }
        for name, path in PARTS.items()
    }
