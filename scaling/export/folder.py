"""An exported folder, read back."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from scaling.config import RunConfig
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.export.families import Shape, family_of
from scaling.export.names import to_ours
from scaling.model.decoder import Decoder
from scaling.runs import build_model, config_at
from scaling.runtime import Runtime

METADATA = "tinyscale.json"  # tells an exported folder from others
CONFIG = "tinyscale.yaml"
FORMATS = ("hf", "safetensors", "onnx")


def is_exported(path: Path) -> bool:
    """Whether a path is a folder that `tinyscale export` wrote."""
    return (path / METADATA).is_file()


@dataclass(frozen=True)
class Exported:
    """A model in a folder of its own."""

    path: Path
    metadata: dict[str, Any]
    config: RunConfig  # with the model as it is in this folder

    @classmethod
    def read(cls, path: Path) -> "Exported":
        """Raises `UserError` where the folder is no whole export."""
        metadata = json.loads((path / METADATA).read_text(encoding="utf-8"))
        if metadata.get("format") == "onnx":
            raise UserError(
                f"{path} holds a graph for ONNX runtimes, not weights to load; name the run it"
                " came from, or export that --to safetensors."
            )
        if metadata.get("format") not in FORMATS:
            raise UserError(f"{path}: format {metadata.get('format')!r} cannot be read here.")
        for name in ("model.safetensors", "tokenizer.json", CONFIG):
            if not (path / name).is_file():
                raise UserError(f"{path} is not a whole export: it has no {name}.")
        return cls(path, metadata, config_at(path / CONFIG))

    @property
    def weights(self) -> Path:
        """The file."""
        return self.path / "model.safetensors"

    @property
    def step(self) -> int:
        """Of training, at which the model stood so."""
        return int(self.metadata["step"])

    def load(self, runtime: Runtime) -> tuple[Decoder, Tokenizer]:
        """The model and its tokenizer."""
        tokenizer = Tokenizer.load(self.path / "tokenizer.json")
        context = self.config.data.context_length
        tensors = load_file(self.weights)
        if self.metadata["format"] == "hf":
            shape = Shape(tokenizer.vocab_size, context, tokenizer.eot)
            tensors = to_ours(family_of(self.config.model, shape).pieces, tensors)
        return build_model(self.config, tensors, tokenizer, runtime), tokenizer
