"""The inner loop: against a plain one, alone and in company, on the way and at the end."""

import copy

import pytest
import torch

from scaling.adapt.config import Full, Lora
from scaling.adapt.inner import InnerLoop, Learner, copies
from scaling.adapt.stream import Stream, Text, batch
from tests.scaling.adapt.parts import VOCABULARY, random_model
from tests.variants import MODEL, tiny_config


def texts_of(seed: int) -> list[Text]:
    draw = torch.Generator().manual_seed(seed)
    lengths = [7, 12, 5]
    return [
        Text(tuple(torch.randint(VOCABULARY, (n,), generator=draw).tolist()), 1 + i)
        for i, n in enumerate(lengths)
    ]


LEARNERS = [
    Learner(texts_of(1), Lora(rank=2, lr=1e-2), 1),
    Learner(texts_of(2), Lora(rank=3, alpha=8.0, lr=3e-2, dropout=0.0), 2),
    Learner(texts_of(1), Lora(rank=1, lr=1e-3), 9),
]


def states(loop: InnerLoop, k: int) -> dict[str, torch.Tensor]:
    assert loop.adapters is not None
    return loop.adapters.state(k)


@pytest.mark.parametrize("name", ["gqa", "moe", "dropout"])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_ranks_and_rates_adapt_together_as_they_do_alone(name: str, share: float) -> None:
    model = random_model(tiny_config(MODEL[name]))
    learners = [
        Learner(one.texts, one.method.model_copy(update={"dropout": share}), one.seed)
        for one in LEARNERS
    ]
    together = InnerLoop(model, learners, 20)
    losses = [together.step() for _ in range(4)]
    for k, learner in enumerate(learners):
        alone = InnerLoop(model, [learner], 20)
        for loss in losses:
            torch.testing.assert_close(alone.step()[0], loss[k], rtol=1e-4, atol=1e-5)
        for key, tensor in states(alone, 0).items():
            torch.testing.assert_close(states(together, k)[key], tensor, rtol=2e-3, atol=2e-5)


def test_a_long_loop_has_been_what_a_short_one_is() -> None:
    model = random_model(tiny_config(""))
    long, short = InnerLoop(model, LEARNERS, 16), InnerLoop(model, LEARNERS, 16)
    for _ in range(3):
        long.step()
        short.step()
    on_the_way = copy.deepcopy(states(long, 0))
    for _ in range(5):
        long.step()
    for key, tensor in states(short, 0).items():
        assert torch.equal(on_the_way[key], tensor)
        assert not torch.equal(states(long, 0)[key], tensor)


def test_full_fine_tuning_is_the_plain_loop() -> None:
    model = random_model(tiny_config(""))
    texts, tokens, lr = texts_of(4), 10, 1e-2
    loop = InnerLoop(model, [Learner(texts, Full(lr=lr), 5)], tokens)
    plain = copies(model, 1)
    optimizer = torch.optim.AdamW(
        plain.parameters(), lr=lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0
    )
    stream = Stream(texts, tokens, 5)
    for step in range(4):
        loop.step()
        inputs, targets = batch([stream.rows(step)], torch.device("cpu"))
        optimizer.zero_grad()
        (plain.loss(inputs, targets)[0] / tokens).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
    for ours, theirs in zip(loop.model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_member_that_breaks_leaves_the_others_alone() -> None:
    model = random_model(tiny_config(""))
    healthy, ill = InnerLoop(model, LEARNERS, 12), InnerLoop(model, LEARNERS, 12)
    assert ill.adapters is not None
    for product in ill.adapters.products.values():
        product.A.data[1] = float("nan")
    for _ in range(2):
        healthy.step()
        losses = ill.step()
    assert torch.isnan(losses).tolist() == [False, True, False]
    for k in (0, 2):
        for key, tensor in states(healthy, k).items():
            assert torch.equal(states(ill, k)[key], tensor)
