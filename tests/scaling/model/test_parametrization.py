"""What width and depth change of a model: muP at its base and beyond, and the first weights."""

import pytest
import torch

from scaling.model.attention.scoring import Scoring
from scaling.model.decoder import Decoder
from tests.variants import MODEL, tiny_config

VOCAB, LENGTH = 23, 12
KINDS = ["", *(flags for flags in MODEL.values() if "attention" in flags)]


def logits(flags: str) -> torch.Tensor:
    model = Decoder(tiny_config(flags).model, vocab_size=VOCAB, context_length=LENGTH)
    model.init_weights([0])
    ids = torch.randint(0, VOCAB, (1, 2, LENGTH), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model(ids)


@pytest.mark.parametrize("flags", KINDS)
def test_mup_at_its_base_is_the_standard_model(flags: str) -> None:
    mup = " --model.parametrization.kind mup --model.parametrization.base_width 16"
    mup += " --model.parametrization.base_head_dim 4"
    torch.testing.assert_close(logits(flags + mup), logits(flags), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rotary", [None, 2])
def test_beyond_its_base_mup_divides_scores_by_the_heads_width(rotary: int | None) -> None:
    mup = tiny_config("--model.parametrization.kind mup --model.parametrization.base_head_dim 4")
    base = Scoring(1, mup.model, LENGTH, dim=4, rotary_dim=rotary).scale
    wide = Scoring(1, mup.model, LENGTH, dim=16, rotary_dim=rotary and 4 * rotary).scale
    assert base == pytest.approx((4 + (rotary or 0)) ** -0.5)
    assert wide == pytest.approx((base or 0) / 4)


@pytest.mark.parametrize(
    ("flags", "factor"),
    [
        ("", (2 * 16) ** -0.5),
        ("--model.residual.kind depth", 1.0),  # the branch itself is scaled
        ("--model.residual.kind depth --model.residual_init scaled", (2 * 16) ** -0.5),
        ("--model.residual.kind depth --model.residual_init zero", 0.0),
    ],
)
def test_the_first_weights_that_write_to_the_stream(flags: str, factor: float) -> None:
    config = tiny_config(f"--model.n_layers 16 --model.init_std 0.1 {flags}").model
    model = Decoder(config, vocab_size=VOCAB, context_length=LENGTH)
    model.init_weights([0])
    weights = model.named_parameters()
    written = [p.detach() for name, p in weights if name.endswith("attention.out.weight")]
    assert torch.stack(written).std().item() == pytest.approx(0.1 * factor, rel=0.05)
