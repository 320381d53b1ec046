"""The memory estimated for training against what the backward pass really keeps."""

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from scaling.config import ModelConfig
from scaling.model.decoder import Decoder, outline
from scaling.model.memory import activation_bytes
from tests.variants import tiny_model

CPU, CARD = torch.device("cpu"), torch.device("cuda")
KINDS = (
    *("baseline", "gqa", "gated", "softcap", "sliding_window_full", "alibi", "alibi_window"),
    *("differential", "mla", "mla_norope", "gelu", "moe", "moe_swiglu", "parallel"),
)


def kept_bytes(model: Decoder) -> int:
    """What the training pass of one sequence saves but for the weights, each storage once."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(16, (1, 1, model.context_length))
    with saved_tensors_hooks(note, lambda tensor: tensor):
        model.training_loss(ids, ids)
    return sum(kept.values())


LONG = ("baseline", "softcap", "alibi", "differential", "mla")  # where the kernels differ


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    ("name", "context"), [*((name, 256) for name in KINDS), *((name, 1088) for name in LONG)]
)
def test_the_estimate_covers_what_is_kept(name: str, dtype: torch.dtype, context: int) -> None:
    model = Decoder(tiny_model(name), vocab_size=16, context_length=context, dtype=dtype)
    ratio = activation_bytes(model, dtype, CPU) / kept_bytes(model)
    assert 1 < ratio < 2.1


def test_fused_kernels_keep_no_square_on_a_card() -> None:
    def of_a_token(config: ModelConfig, context: int) -> float:
        shapes = outline(config, vocab_size=16, context_length=context)
        return activation_bytes(shapes, torch.bfloat16, CARD) / context

    for name in ("baseline", "mla", "differential", "sliding_window"):
        config = tiny_model(name)
        assert of_a_token(config, 4096) == of_a_token(config, 64)
    capped = tiny_model("softcap")
    assert of_a_token(capped, 4096) > 10 * of_a_token(capped, 64)
