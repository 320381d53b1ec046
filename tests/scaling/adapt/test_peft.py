"""Adapters in peft's format: the exported model with peft computes what ours does, both ways."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from scaling.adapt.config import Lora
from scaling.adapt.lora import Adapters
from scaling.adapt.peft_format import CONFIG, load_peft, save_peft
from scaling.config import RuntimeConfig
from scaling.errors import UserError
from scaling.export.families import Shape
from scaling.export.write import export
from scaling.runtime import resolve
from scaling.trained import Trained, of_run
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import MODEL, tiny_config

transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
pytestmark = pytest.mark.slow

GPT2 = (
    "--model.position.kind learned --model.norm layernorm --model.feedforward.kind gelu"
    " --model.bias true"
)
RUNTIME = resolve(RuntimeConfig(device="cpu", precision="fp32"))
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


def trained(place: Path, flags: str) -> tuple[Trained, Path]:
    run = of_run(make_run(place / "runs", tiny_config(flags), byte_tokenizer(), spread=0.1))
    out = place / "exported"
    export(run, "hf", out)
    return run, out


def shape_of(run: Trained) -> Shape:
    tokenizer = byte_tokenizer()
    return Shape(tokenizer.vocab_size, run.config.data.context_length, tokenizer.eot)


def adapted(run: Trained, method: Lora) -> Adapters:
    model, _ = run.load(RUNTIME)
    made = Adapters(model, [method], [3])
    for product in made.products.values():
        torch.manual_seed(4)
        product.B.data.normal_(0.0, 0.3)
    return made


@pytest.mark.parametrize(
    "flags", [MODEL["gqa"], MODEL["depth_residual"], MODEL["mup"], MODEL["qk_norm_gqa"], GPT2]
)
def test_ours_in_peft(tmp_path: Path, flags: str) -> None:
    run, out = trained(tmp_path, flags)
    method = Lora(rank=2, alpha=6.0)
    made = adapted(run, method)
    weights = load_file(run.weights)
    save_peft(
        tmp_path / "adapter", made.state(0), method, run.config.model, weights, shape_of(run),
        str(out),
    )  # fmt: skip
    base = transformers.AutoModelForCausalLM.from_pretrained(out)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    ids = torch.randint(1, 200, (2, 11), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = made.model(ids[None])[0]
        torch.testing.assert_close(theirs(ids).logits, ours, **CLOSE)
        plain, _ = run.load(RUNTIME)
        assert (plain(ids[None])[0] - ours).abs().max() > 0.01
        torch.testing.assert_close(theirs.merge_and_unload()(ids).logits, ours, **CLOSE)


@pytest.mark.parametrize("flags", [MODEL["gqa"], MODEL["depth_residual"], MODEL["mup"]])
def test_pefts_here(tmp_path: Path, flags: str) -> None:
    run, out = trained(tmp_path, flags)
    base = transformers.AutoModelForCausalLM.from_pretrained(out)
    told = peft.LoraConfig(
        r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "up_proj"], task_type="CAUSAL_LM"
    )
    theirs = peft.get_peft_model(base, told).eval()
    torch.manual_seed(5)
    for name, parameter in theirs.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0.0, 0.2)
    theirs.save_pretrained(tmp_path / "adapter")
    model, _ = run.load(RUNTIME)
    method, state = load_peft(
        tmp_path / "adapter", run.config.model, load_file(run.weights), shape_of(run)
    )
    made = Adapters(model, [method], [1])
    made.load(0, state)
    ids = torch.randint(1, 200, (2, 11), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(model(ids[None])[0], theirs(ids).logits, **CLOSE)


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    run, _ = trained(tmp_path, "")
    weights, shape = load_file(run.weights), shape_of(run)
    with pytest.raises(UserError, match="holds no adapter of peft's"):
        load_peft(tmp_path, run.config.model, weights, shape)
    method = Lora(rank=2)
    state = adapted(run, method).state(0)
    folder = tmp_path / "adapter"
    save_peft(folder, state, method, run.config.model, weights, shape, "")
    wide = of_run(make_run(tmp_path / "wide", tiny_config("--model.d_model 32"), byte_tokenizer()))
    with pytest.raises(UserError, match=r"for another shape|no adapter of rank"):
        load_peft(folder, wide.config.model, load_file(wide.weights), shape_of(wide))
    told = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(told | {"use_dora": True}))
    with pytest.raises(UserError, match="not plain LoRA"):
        load_peft(folder, run.config.model, weights, shape)
    sparse = tiny_config(MODEL["gated"])
    odd = of_run(make_run(tmp_path / "odd", sparse, byte_tokenizer()))
    with pytest.raises(UserError, match="transformers has no model"):
        save_peft(folder, adapted(odd, method).state(0), method, sparse.model,
                  load_file(odd.weights), shape_of(odd), "")  # fmt: skip
