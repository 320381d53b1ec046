"""A trained model that can be asked: a run's checkpoint, or a folder that was exported."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from scaling.checkpoint import Checkpoints
from scaling.config import RunConfig
from scaling.data.tokenizer import MOST_UNKNOWN, Tokenizer
from scaling.errors import UserError
from scaling.export.folder import Exported, is_exported
from scaling.model.decoder import Decoder
from scaling.runs import find_run, load_model, read_config
from scaling.runtime import Runtime
from scaling.tracking.folder import RunFolder
from scaling.tracking.sent import Sent


@dataclass(frozen=True)
class Facts:
    """What is known of a trained model without loading it."""

    parameters: int | None
    non_embedding: int | None
    tokens: int | None  # that it was trained on
    loss: float | None  # on the validation split, in nats per token, at this checkpoint
    bpb: float | None  # likewise, where they compare
    vocab_size: int | None


@dataclass(frozen=True)
class Trained:
    """One model. `label` tells it from others: the name of its folder."""

    label: str
    config: RunConfig
    step: int
    weights: Path
    facts: Facts
    run: RunFolder | None = None
    exported: Exported | None = None

    @property
    def run_id(self) -> str | None:
        """The MLflow run it comes from."""
        return Sent.read(self.run).run_id if self.run else None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that decides what it answers: weights, shape, tokenizer."""
        try:
            digest = hashlib.sha256(self.weights.read_bytes())
        except FileNotFoundError:  # a run that trains on keeps but its newest
            raise UserError(
                f"{self.label}: its checkpoint of step {self.step:,} is no longer there: the run"
                " has gone on, and may be asked again."
            ) from None
        digest.update(self._tokenizer_file.read_bytes())
        digest.update(self.config.model.model_dump_json().encode())
        digest.update(str(self.config.data.context_length).encode())
        return digest.hexdigest()

    @property
    def _tokenizer_file(self) -> Path:
        return (self.run.path if self.run else self.weights.parent) / "tokenizer.json"

    @property
    def tokenizer_digest(self) -> str:
        """Hash of its tokenizer: losses per token compare where it is the same."""
        parts = json.loads(self._tokenizer_file.read_text(encoding="utf-8"))
        parts.pop("post_processor", None)  # which exports have for transformers
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def data_digest(self) -> str | None:
        """Of the prepared data that it was trained on, where that is on record."""
        if self.exported is not None:
            return self.exported.metadata.get("dataset_digest")
        assert self.run is not None
        return self.run.read_record().dataset.get("digest")

    def load(self, runtime: Runtime) -> tuple[Decoder, Tokenizer]:
        """The model and its tokenizer."""
        if self.exported is not None:
            return self.exported.load(runtime)
        assert self.run is not None
        return load_model(self.run, self.step, runtime)


def find_trained(text: str, which: str | int = "best", runs: Path = Path("runs")) -> Trained:
    """The model that a run's id, name or folder means, or an exported folder.

    `which` chooses a run's checkpoint: `best`, `last` or a step; an export has one. Raises
    `UserError` where there is none.
    """
    path = Path(text).expanduser()
    if not is_exported(path):
        return of_run(find_run(text, runs), which)
    trained = of_export(path)
    if which not in ("best", "last") and str(which) != str(trained.step):
        raise UserError(f"{path} is of step {trained.step} alone; there is no checkpoint {which}.")
    return trained


def of_run(folder: RunFolder, which: str | int = "best") -> Trained:
    """A run's model at a checkpoint."""
    config, record = read_config(folder), folder.read_record()
    checkpoint = Checkpoints(folder.path / "checkpoints").at(which)
    return Trained(
        label=folder.path.name,
        config=config,
        step=checkpoint.step,
        weights=checkpoint.weights,
        facts=_facts(folder, record.params, checkpoint.step, config.tokens_per_step),
        run=folder,
    )


def of_export(path: Path) -> Trained:
    """An exported model."""
    exported = Exported.read(path)
    known = exported.metadata
    return Trained(
        label=path.resolve().name,
        config=exported.config,
        step=exported.step,
        weights=exported.weights,
        facts=Facts(
            parameters=known.get("parameters_total"),
            non_embedding=known.get("parameters_non_embedding"),
            tokens=known.get("tokens"),
            loss=known.get("val_loss"),
            bpb=known.get("val_bpb"),
            vocab_size=known.get("vocab_size"),
        ),
        exported=exported,
    )


def told_apart(models: Sequence[Trained]) -> list[Trained]:
    """The models with labels of their own: of one name, as much of their paths as tells them."""
    places = [(m.run.path if m.run else m.weights.parent).resolve().parts for m in models]
    lengths = [1] * len(models)
    while True:
        labels = ["/".join(place[-n:]) for place, n in zip(places, lengths, strict=True)]
        longer = [
            n + 1 if labels.count(label) > 1 and n < len(place) else n
            for place, n, label in zip(places, lengths, labels, strict=True)
        ]
        if longer == lengths:
            return [replace(m, label=label) for m, label in zip(models, labels, strict=True)]
        lengths = longer


def _facts(folder: RunFolder, params: dict[str, str], step: int, tokens_per_step: int) -> Facts:
    at: dict[str, float] = {}
    for row in folder.rows():
        if row.step == step:
            at |= row.metrics
    unknown = float(params.get("unknown_share", 0.0))
    return Facts(
        parameters=_whole(params.get("parameters.total")),
        non_embedding=_whole(params.get("parameters.non_embedding")),
        tokens=step * tokens_per_step,
        loss=at.get("val/loss"),
        # With many characters that the tokenizer does not know they compare with no others.
        bpb=at.get("val/bpb") if unknown <= MOST_UNKNOWN else None,
        vocab_size=_whole(params.get("vocab_size")),
    )


def _whole(text: Any) -> int | None:
    return None if text is None else int(text)
