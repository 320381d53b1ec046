"""Each part of the model against the plain reference, and what must hold of any decoder."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scaling.model.decoder import Decoder
from scaling.model.dropout import noise
from tests.reference import reference_logits, reference_loss
from tests.variants import MODEL, tiny_model

VOCAB, LENGTH, MEMBERS = 23, 12, 3


def build(name: str, members: int = MEMBERS, dtype: torch.dtype = torch.float32) -> Decoder:
    """A decoder of random weights, the biases and gains too, so that none hides."""
    model = Decoder(
        tiny_model(name),
        vocab_size=VOCAB,
        context_length=LENGTH,
        members=members,
        dtype=dtype,
    )
    model.init_weights(range(members))
    with torch.no_grad():
        for k in range(members):
            generator = torch.Generator().manual_seed(100 + k)
            for parameter in model.parameters():
                noise = torch.randn(parameter.shape[1:], generator=generator)
                parameter[k] += 0.2 * noise
    return model


def tokens(members: int = MEMBERS, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCAB, (members, batch, LENGTH + 1), generator=generator)
    return ids[..., :-1].contiguous(), ids[..., 1:].contiguous()


def weights_of(model: Decoder, k: int) -> dict[str, Tensor]:
    return {n: p.detach()[k].clone().requires_grad_() for n, p in model.named_parameters()}


@pytest.mark.parametrize("name", MODEL)
def test_each_member_is_the_plain_model(name: str) -> None:
    model = build(name)
    ids, targets = tokens()
    targets[0, 0, 3] = -100
    logits = model(ids)
    assert logits.shape == (MEMBERS, 2, LENGTH, VOCAB)
    loss = model.training_loss(ids, targets).loss
    loss.sum().backward()
    for k in range(MEMBERS):
        weights = weights_of(model, k)
        with torch.no_grad():
            expected = reference_logits(model.config, weights, ids[k])
        torch.testing.assert_close(logits[k], expected, rtol=1e-4, atol=1e-5)
        plain = reference_loss(model.config, weights, ids[k], targets[k], training=True)
        torch.testing.assert_close(loss[k], plain, rtol=1e-5, atol=1e-4)
        plain.backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            own = weights[parameter_name].grad
            own = torch.zeros_like(parameter[k]) if own is None else own
            torch.testing.assert_close(
                parameter.grad[k],
                own,
                rtol=2e-3,
                atol=2e-4,
                msg=parameter_name,
            )


@pytest.mark.parametrize("name", MODEL)
def test_no_token_sees_a_later_one(name: str) -> None:
    model = build(name, members=1)
    ids, targets = tokens(members=1)
    changed = ids.clone()
    changed[..., 7:] = (changed[..., 7:] + 1) % VOCAB
    before, after = model(ids), model(changed)
    assert torch.equal(before[:, :, :7], after[:, :, :7])
    assert not torch.equal(before[:, :, 7:], after[:, :, 7:])
    # In training too, where experts drop what they have no room for.
    targets[..., 6:] = -100
    keys = noise([1], 3, 0, 2, torch.device("cpu"))
    losses = [model.training_loss(x, targets, keys).loss for x in (ids, changed)]
    assert torch.equal(*losses)


@pytest.mark.parametrize("name", MODEL)
def test_cached_steps_are_the_full_pass(name: str) -> None:
    model = build(name, members=2)
    ids, _ = tokens(members=2, batch=3)
    full = model(ids)
    caches = model.new_caches(3)
    pieces = [model(part, caches) for part in ids.split([5, 1, 3, 1, 2], dim=-1)]
    torch.testing.assert_close(torch.cat(pieces, dim=2), full, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODEL)
def test_a_members_nan_leaves_the_others_bit_for_bit(name: str) -> None:
    ids, targets = tokens()
    keys = noise(range(MEMBERS), 3, 0, 2, torch.device("cpu"))
    found = []
    for poison in (False, True):
        model = build(name)
        if poison:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter[1].fill_(float("nan"))
        result = model.training_loss(ids, targets, keys)
        total = result.loss.sum() + (0 if result.penalty is None else result.penalty.sum())
        total.backward()
        found.append((result.loss.detach(), [p.grad for p in model.parameters()]))
    (clean, clean_grads), (poisoned, poisoned_grads) = found
    others = torch.tensor([0, 2])
    assert poisoned[1].isnan()
    assert torch.equal(clean[others], poisoned[others])
    for one, two in zip(clean_grads, poisoned_grads, strict=True):
        assert one is not None and two is not None
        assert torch.equal(one[others], two[others])


@pytest.mark.parametrize("name", MODEL)
def test_flops_are_those_that_torch_counts(name: str) -> None:
    model = build(name, members=2)
    ids, targets = tokens(members=2)
    # Torch counts no FLOPs of its fused attention on a CPU, but those of the plain products.
    plain = sdpa_kernel(SDPBackend.MATH)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), plain:
        model.training_loss(ids, targets)
    assert counter.get_total_flops() == 2 * 2 * LENGTH * model.flops_per_token()


@pytest.mark.parametrize("name", MODEL)
def test_a_cohort_starts_as_its_solo_runs(name: str) -> None:
    config = tiny_model(name)
    shape: dict[str, Any] = {"vocab_size": VOCAB, "context_length": LENGTH}
    cohort = Decoder(config, members=3, **shape)
    cohort.init_weights([5, 6, 7])
    solo = Decoder(config, members=1, **shape)
    solo.init_weights([6])
    for one, many in zip(solo.parameters(), cohort.parameters(), strict=True):
        assert torch.equal(one[0], many[1])


@pytest.mark.parametrize(
    "name", ["baseline", "sliding_window", "alibi_window", "differential", "mla"]
)
def test_bf16_is_the_same_model(name: str) -> None:
    """Within the rounding of 8 bits; the blocked kernel of long contexts has its own test."""
    fp32, bf16 = build(name), build(name, dtype=torch.bfloat16)
    ids, targets = tokens()
    one, two = fp32.loss(ids, targets), bf16.loss(ids, targets)
    assert bf16(ids).dtype == torch.bfloat16
    torch.testing.assert_close(one, two, rtol=0.03, atol=0)
