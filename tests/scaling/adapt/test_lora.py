"""LoRA on the member axis: against its definition, alone and in company, merged, kept."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from scaling.adapt.adapters import load_adapter, save_adapter
from scaling.adapt.config import Lora
from scaling.adapt.inner import copies
from scaling.adapt.lora import Adapters
from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.model.layers import Linear
from tests.scaling.adapt.parts import VOCABULARY, random_model
from tests.variants import MODEL, tiny_config

Tiny = Callable[..., RunConfig]


def adapted(model: Decoder, methods: list[Lora], seeds: list[int]) -> Adapters:
    """Copies of a model with adapters that do something: B is drawn too."""
    made = Adapters(copies(model, len(methods)), methods, seeds)
    for product in made.products.values():
        for k, seed in enumerate(seeds):
            own = torch.Generator().manual_seed(seed + 99)
            rank = methods[k].rank
            drawn = torch.randn(product.B[k, ..., :rank].shape, generator=own)
            product.B.data[k, ..., :rank] = 0.3 * drawn
    return made


def ids_for(model: Decoder, members: int = 1) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randint(VOCABULARY, (1, 3, 9)).expand(members, -1, -1)


@pytest.mark.parametrize("name", MODEL)
def test_merged_logits_are_the_adapted_models(name: str) -> None:
    model = random_model(tiny_config(MODEL[name]))
    made = adapted(model, [Lora(rank=2), Lora(rank=1, alpha=4.0)], [1, 2])
    with torch.no_grad():
        together = made.model(ids_for(model, 2))
        for k in range(2):
            plain = copies(model, 1)
            weights = made.merged(k)
            for parameter_name, parameter in plain.named_parameters():
                parameter[0].copy_(weights[parameter_name])
            torch.testing.assert_close(plain(ids_for(model))[0], together[k], rtol=1e-4, atol=1e-4)


def test_a_layer_is_the_papers_formula_for_each_matrix_of_its_stack() -> None:
    model = random_model(tiny_config(MODEL["gqa"]))
    made = adapted(model, [Lora(rank=3, alpha=6.0)], [5])
    layer = made.model.get_submodule("blocks.0.attention.qkv")
    assert isinstance(layer, Linear)
    product = made.products["blocks.0.attention.qkv"]
    x = torch.randn(1, 2, 4, layer.weight.shape[-1])
    parts = []
    for s, rows in enumerate(torch.split(product.B[0], list(layer.sections))):
        parts.append(6.0 / 3 * x @ product.A[0, s].T @ rows.T)
    expected = F.linear(x, layer.weight[0]) + torch.cat(parts, dim=-1)
    torch.testing.assert_close(layer(x), expected)


def test_a_new_adapter_changes_nothing() -> None:
    model = random_model(tiny_config(""))
    made = Adapters(copies(model, 2), [Lora(rank=2)] * 2, [1, 2])
    ids = ids_for(model)
    assert torch.equal(made.model(ids.expand(2, -1, -1))[0], model(ids)[0])
    a = made.products["blocks.0.feedforward.up"].A
    assert not torch.equal(a[0], a[1])
    assert a.detach().abs().max() <= a.shape[-1] ** -0.5


def test_only_the_targets_are_adapted_and_only_adapters_are_trained() -> None:
    model = random_model(tiny_config(MODEL["moe"]))
    made = Adapters(copies(model, 1), [Lora(rank=2, targets=("feedforward",))], [1])
    names = {name.split(".", 2)[2] for name in made.products}
    assert names == {"feedforward.up", "feedforward.down"}  # and not the router
    trained = {name for name, p in made.model.named_parameters() if p.requires_grad}
    assert all(".lora." in name for name in trained)
    state = made.state(0)
    assert made.parameters_of(0) == sum(tensor.numel() for tensor in state.values())
    one = Adapters(copies(model, 1), [Lora(rank=2, targets=("attention.out",))], [1])
    assert {name.split(".", 2)[2] for name in one.products} == {"attention.out"}


def test_an_adapter_comes_back_from_its_folder(tmp_path: Path) -> None:
    model = random_model(tiny_config(MODEL["moe_swiglu"]))
    made = adapted(model, [Lora(rank=3), Lora(rank=1)], [1, 2])
    save_adapter(tmp_path / "a", made.state(1), Lora(rank=1), "abc")
    method, state, fingerprint = load_adapter(tmp_path / "a")
    assert (method, fingerprint) == (Lora(rank=1), "abc")
    again = Adapters(copies(model, 1), [method], [7])
    again.load(0, state)
    ids = ids_for(model)
    torch.testing.assert_close(again.model(ids)[0], made.model(ids.expand(2, -1, -1))[1])


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    model = random_model(tiny_config(""))
    with pytest.raises(UserError, match=r"rank 99 is above .*smallest matrix"):
        Adapters(copies(model, 1), [Lora(rank=99)], [1])
    with pytest.raises(UserError, match="no atention; did you mean attention"):
        Adapters(copies(model, 1), [Lora(targets=("atention",))], [1])
    wide = random_model(tiny_config("--model.d_model 32"))
    other = Adapters(copies(wide, 1), [Lora(rank=2)], [1])
    own = Adapters(copies(model, 1), [Lora(rank=2)], [1])
    with pytest.raises(UserError, match="for another shape: its blocks"):
        own.load(0, other.state(0))
    deep = Adapters(copies(model, 1), [Lora(rank=2, targets=("attention",))], [1])
    with pytest.raises(UserError, match="for another model: only the adapter have"):
        deep.load(0, own.state(0))
    with pytest.raises(UserError, match="holds no adapter"):
        load_adapter(tmp_path)
