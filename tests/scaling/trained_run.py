"""A run folder with a model in it, made in no time: nothing is trained."""

import math
from pathlib import Path
from typing import Any

import torch

from scaling.checkpoint import Checkpoints
from scaling.config import RunConfig
from scaling.data.tokenizer import END_OF_TEXT, Tokenizer
from scaling.model.decoder import Decoder
from scaling.tracking.folder import RunFolder
from scaling.tracking.tracker import Tracker, new_run


def byte_tokenizer() -> Tokenizer:
    """One token a byte."""
    from tokenizers import AddedToken, decoders, models, pre_tokenizers
    from tokenizers import Tokenizer as Library

    from scaling.data.tokenizer import byte_alphabet

    vocabulary = {END_OF_TEXT: 0} | {c: i + 1 for i, c in enumerate(byte_alphabet())}
    library = Library(models.BPE(vocabulary, []))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([AddedToken(END_OF_TEXT, normalized=False)])
    return Tokenizer(library)


def record(config: RunConfig) -> RunFolder:
    """The folder of a run that has just begun."""
    return new_run(
        config,
        run_id=RunFolder.new_id(),
        cohort=[],
        facts={"parameters.total": 7},
        tags={},
        dataset={"name": "x", "digest": "abc", "source_type": "local", "source": "{}"},
        claimed=None,
    )


def make_run(
    parent: Path, config: RunConfig, tokenizer: Tokenizer, *, spread: float = 0.3, step: int = 30
) -> RunFolder:
    """A finished run whose weights are drawn at random, well away from zero."""
    torch.manual_seed(config.seed)
    model = Decoder(
        config.model,
        vocab_size=tokenizer.vocab_size,
        context_length=config.data.context_length,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, spread)
            if parameter.ndim == 2:  # gains and biases
                parameter.add_(0.5)
    facts = {f"parameters.{name}": n for name, n in model.param_counts().items()}
    folder = new_run(
        config.model_copy(
            update={"tracking": config.tracking.model_copy(update={"folder": str(parent)})}
        ),
        run_id=RunFolder.new_id(),
        cohort=[],
        facts=facts,
        tags={},
        dataset={},
        claimed=None,
    )
    tokenizer.save(folder.path / "tokenizer.json")
    weights = {name: p.detach()[0] for name, p in model.named_parameters()}
    optimizer: dict[str, Any] = {"state": {}, "param_groups": []}
    Checkpoints(folder.path / "checkpoints").save(step, weights, optimizer, {}, best=True)
    tracker = Tracker(folder)
    tracker.log(step, {"val/loss": 4 + config.seed / 100, "val/bpb": 4 / math.log(2)})
    summary = {"steps": step, "final_val_loss": 4.0, "best_val_loss": 4.0, "best_step": step}
    tracker.finish("FINISHED", summary)
    return folder
