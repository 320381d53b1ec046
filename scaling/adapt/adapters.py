"""Adapters on disk, in a format of our own that has a place for every model here."""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from scaling.adapt.config import Lora
from scaling.adapt.lora import Weights
from scaling.errors import UserError

CONFIG, TENSORS = "adapter.json", "adapter.safetensors"


def save_adapter(folder: Path, state: Weights, method: Lora, fingerprint: str) -> None:
    """Write an adapter, with the fingerprint of the baseline that it was trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {name: tensor.contiguous().cpu() for name, tensor in state.items()}
    save_file(whole, folder / TENSORS)
    told = {"method": method.model_dump(mode="json"), "baseline": fingerprint}
    (folder / CONFIG).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def load_adapter(folder: Path) -> tuple[Lora, Weights, str]:
    """The method, the state that `Adapters.load` takes, and the baseline's fingerprint.

    Raises:
        UserError: the folder holds no adapter.
    """
    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        state = load_file(folder / TENSORS)
        return Lora.model_validate(told["method"]), state, str(told["baseline"])
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise UserError(f"{folder} holds no adapter: {error}.") from None
