"""Files of adapters that are not what they should be, each one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from scaling.adapt.adapters import load_adapter, save_adapter
from scaling.adapt.config import Lora
from scaling.adapt.lora import Adapters, Weights
from scaling.adapt.peft_format import CONFIG, TENSORS, load_peft, save_peft
from scaling.config import RuntimeConfig
from scaling.errors import UserError
from scaling.export.families import Shape
from scaling.runtime import resolve
from scaling.trained import of_run
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import MODEL, tiny_config

QUERY = "base_model.model.model.layers.0.self_attn.q_proj"
Load = Callable[[], tuple[Lora, Weights]]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Load]:
    """An adapter in peft's format, and how it is loaded."""
    tokenizer = byte_tokenizer()
    run = of_run(make_run(tmp_path / "runs", tiny_config(MODEL["gqa"]), tokenizer))
    model, _ = run.load(resolve(RuntimeConfig(device="cpu", precision="fp32")))
    config, weights = run.config.model, load_file(run.weights)
    shape = Shape(tokenizer.vocab_size, run.config.data.context_length, tokenizer.eot)
    method = Lora(rank=2, alpha=4.0)
    state = Adapters(model, [method], [3]).state(0)
    save_peft(tmp_path / "a", state, method, config, weights, shape, "")
    return tmp_path / "a", lambda: load_peft(tmp_path / "a", config, weights, shape)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"alpha_pattern": {"q_proj": 24}}, "alpha_pattern gives q_proj 24"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern gives q_proj 4"),
        ({"lora_bias": True}, "holds biases"),
        ({"bias": "all"}, "holds biases"),
        ({"r": None}, "no adapter of peft's"),
        ({"use_dora": True}, "not plain LoRA"),
    ],
)
def test_an_adapter_that_is_more_than_plain_lora_is_refused(
    saved: tuple[Path, Load], change: dict[str, Any], said: str
) -> None:
    folder, load = saved
    assert load()[0].alpha == 4.0
    told = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(told | change))
    with pytest.raises(UserError, match=said):
        load()


def test_an_adapter_with_parts_missing_is_refused(saved: tuple[Path, Load]) -> None:
    folder, load = saved
    tensors = load_file(folder / TENSORS)
    del tensors[f"{QUERY}.lora_B.weight"]
    save_file(tensors, folder / TENSORS)
    with pytest.raises(UserError, match=r"q_proj.lora_B.weight is missing"):
        load()
    (folder / TENSORS).write_bytes(b"torn")
    with pytest.raises(UserError, match="holds no adapter of peft's"):
        load()
    told = json.loads((folder / CONFIG).read_text())
    del told["r"]
    (folder / CONFIG).write_text(json.dumps(told))
    with pytest.raises(UserError, match="holds no adapter of peft's"):
        load()


def test_a_torn_adapter_of_ours_is_refused(tmp_path: Path) -> None:
    save_adapter(tmp_path, {"x.A": torch.zeros(2)}, Lora(), "print")
    assert load_adapter(tmp_path)[2] == "print"
    (tmp_path / "adapter.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="holds no adapter"):
        load_adapter(tmp_path)
