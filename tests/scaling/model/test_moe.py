"""Routing: what is dropped, what is penalised, what is reported."""

import math

import torch

from scaling.config import MixtureOfExperts
from scaling.model.moe import SparseFeedforward, figure_names
from tests.variants import tiny_config


def layer(capacity: float, members: int = 1) -> tuple[SparseFeedforward, torch.Tensor]:
    flags = f"--model.feedforward.kind moe --model.feedforward.capacity_factor {capacity}"
    config = tiny_config(flags + " --model.feedforward.n_experts 4").model
    assert isinstance(config.feedforward, MixtureOfExperts)
    made = SparseFeedforward(members, config, config.feedforward)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data.normal_(0, 0.5, generator=generator)
    return made, torch.randn(members, 5, 12, 16, generator=generator)


def test_what_the_router_reports() -> None:
    made, x = layer(0.5)
    _, routing = made(x, training=True)
    logits = made.router(x)[0]
    p = logits.softmax(-1)
    chosen = p.topk(2, dim=-1).indices  # [B, T, 2]
    load = torch.stack([(chosen == e).float().mean((1, 2)) for e in range(4)], dim=1)
    balance = 4 * (load * p.mean(1)).sum(-1)
    z = torch.logsumexp(logits, -1).square().mean(-1)
    torch.testing.assert_close(routing.penalty[0], 12 * (0.01 * balance + 1e-3 * z).sum())
    names = figure_names(made.moe)
    figures = dict(zip(names, routing.figures[0].tolist(), strict=True))
    assert [figures[f"moe/load/{e}"] for e in range(4)] == load.mean(0).tolist()
    room = made.capacity(12)
    assert room == math.ceil(0.5 * 2 * 12 / 4)
    over = sum(max(0.0, n * 24 - room) for n in load.flatten().tolist())
    assert math.isclose(figures["moe/dropped"], over / (5 * 24), rel_tol=1e-5)
    entropy = -(p * p.log()).sum(-1).mean().item()
    assert math.isclose(figures["moe/router_entropy"], entropy, rel_tol=1e-5)


def test_only_training_drops_and_enough_room_drops_nothing() -> None:
    made, x = layer(0.5)
    whole, routing = made(x, training=False)
    assert routing.figures[0, -2] == 0
    tight, routing = made(x, training=True)
    assert routing.figures[0, -2] > 0
    assert not torch.equal(tight, whole)
    roomy, x = layer(2.0)
    assert torch.allclose(roomy(x, training=True)[0], roomy(x, training=False)[0], atol=1e-6)


def test_a_sequence_is_routed_alike_in_any_batch() -> None:
    made, x = layer(0.5)
    whole, _ = made(x, training=True)
    parts = [made(x[:, i : i + 1], training=True)[0] for i in range(5)]
    torch.testing.assert_close(torch.cat(parts, 1), whole)


def test_active_parameters_leave_out_the_idle_experts() -> None:
    made, _ = layer(1.0, members=2)
    experts = sum(p[0].numel() for p in (*made.up.parameters(), *made.down.parameters()))
    assert made.idle_parameters() == experts * 2 // 4
