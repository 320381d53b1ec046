"""Dropout: a function of where, when and which seed, and of nothing else."""

import torch

from scaling.model.decoder import Decoder
from scaling.model.dropout import dropout, noise
from tests.variants import tiny_model

CPU = torch.device("cpu")
ONES = torch.ones(2, 6, 50, 40)


def drop(
    seeds: list[int], step: int, first: int = 0, rows: int = 6, site: int = 0
) -> torch.Tensor:
    keys = noise(seeds, step, first, rows, CPU)
    x = torch.ones(len(seeds), rows, 50, 40)
    return dropout(x, 0.25, keys, torch.tensor(site, dtype=torch.int32))


def test_the_share_is_dropped_and_the_rest_scaled() -> None:
    out = drop([1, 2], 0)
    assert set(out.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs((out == 0).float().mean().item() - 0.25) < 0.01


def test_it_depends_on_seed_step_site_row_token_and_channel() -> None:
    out = drop([1, 2], 5)
    assert torch.equal(out, drop([1, 2], 5))
    others = [drop([3, 4], 5), drop([1, 2], 6), drop([1, 2], 5, site=1), drop([1, 2], 5, first=1)]
    for other in [*others, out.flip(0), out.roll(1, 1), out.roll(1, 2), out.roll(1, 3)]:
        agree = ((out == 0) == (other == 0)).float().mean().item()
        assert abs(agree - (0.25**2 + 0.75**2)) < 0.01  # as two independent draws would


def test_a_member_and_a_micro_batch_drop_what_the_whole_does() -> None:
    out = drop([1, 2], 5)
    assert torch.equal(out[1:], drop([2], 5))
    assert torch.equal(out[:, 4:], drop([1, 2], 5, first=4, rows=2))


def test_only_training_drops() -> None:
    model = Decoder(tiny_model("dropout"), vocab_size=9, context_length=12)
    model.init_weights([0])
    ids = torch.randint(0, 9, (1, 2, 13))
    inputs, targets = ids[..., :-1], ids[..., 1:]
    keys = noise([0], 0, 0, 2, CPU)
    assert model.loss(inputs, targets) == model.training_loss(inputs, targets).loss
    assert model.loss(inputs, targets) != model.training_loss(inputs, targets, keys).loss
