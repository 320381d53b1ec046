"""Optimizers: each does what its paper says, on each member's own weights at its own rates."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch

from scaling.config import OptimizerConfig, RunConfig
from scaling.model.decoder import Decoder
from scaling.model.layers import weights_of
from scaling.optim import Average, MemberOptimizers, muon
from scaling.optim.adafactor import Adafactor
from scaling.optim.lion import Lion
from tests.variants import OPTIMIZERS, tiny_config

SHAPE: dict[str, Any] = {"vocab_size": 11, "context_length": 12}


def optimizer(flags: str) -> OptimizerConfig:
    return tiny_config(flags).optimizer


def model_of(members: int, flags: str = "") -> Decoder:
    model = Decoder(tiny_config(flags).model, members=members, **SHAPE)
    model.init_weights(range(members))
    return model


def set_gradients(model: Decoder, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad[:] = torch.randn(parameter.shape[1:], generator=generator)


def test_lion_is_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    w = torch.nn.Parameter(torch.randn(3, 4, generator=generator))
    plain, momentum = w.detach().clone(), torch.zeros(3, 4)
    lion = Lion([{"params": [w], "weight_decay": 0.3}], lr=0.1, betas=(0.9, 0.99))
    for _ in range(5):
        w.grad = torch.randn(3, 4, generator=generator)
        update = torch.sign(0.9 * momentum + 0.1 * w.grad)
        plain = plain - 0.1 * (update + 0.3 * plain)
        momentum = 0.99 * momentum + 0.01 * w.grad
        lion.step()
        torch.testing.assert_close(w.detach(), plain)
    torch.testing.assert_close(lion.state[w]["momentum"], momentum)


def test_adamw_is_its_formula() -> None:
    model = model_of(1)
    flags = "--optimizer.lr 0.1 --optimizer.weight_decay 0.2 --optimizer.grad_clip null"
    before = [p.detach().clone() for p in model.parameters()]
    optimizers = MemberOptimizers(model, [optimizer(flags)])
    set_gradients(model)
    optimizers.step([0.5])
    for (name, after), start in zip(model.named_parameters(), before, strict=True):
        # After one step the two moments' ratio is the gradient's sign.
        decayed = start * (1 - 0.05 * 0.2) if start[0].ndim == 2 else start
        assert after.grad is not None
        torch.testing.assert_close(
            after.detach(), decayed - 0.05 * after.grad.sign(), rtol=1e-4, atol=1e-4, msg=name
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_members_have_their_own_rates_and_decay(name: str) -> None:
    flags = OPTIMIZERS[name]
    configs = [
        optimizer(f"{flags} --optimizer.lr {lr} --optimizer.weight_decay {decay}")
        for lr, decay in ((0.01, 0.0), (0.02, 0.3))
    ]
    together = model_of(2)
    both = MemberOptimizers(together, configs)
    for k, config in enumerate(configs):
        alone = Decoder(together.config, **SHAPE)
        alone.init_weights([k])
        own = MemberOptimizers(alone, [config])
        for step in range(3):
            for model in (together, alone):
                set_gradients(model, seed=step)
            own.clip()
            own.step([0.7])
            if k == 1:
                both.clip()
                both.step([0.7, 0.7])
        if k == 1:
            for one, two in zip(alone.parameters(), together.parameters(), strict=True):
                torch.testing.assert_close(one[0], two[1], rtol=1e-6, atol=1e-7)


def test_muon_steps_blocks_matrices_by_orthogonal_updates_and_the_rest_by_adamw() -> None:
    flags = OPTIMIZERS["muon"] + " --optimizer.lr 0.1 --optimizer.adamw_lr 0.01"
    model = model_of(1, "--model.feedforward.kind moe --model.feedforward.n_experts 3")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizers = MemberOptimizers(model, [optimizer(flags)])
    set_gradients(model)
    optimizers.step([1.0])
    facts = weights_of(model)
    for name, parameter in model.named_parameters():
        change = (before[name] - parameter.detach())[0]
        if facts[name].role != "matrix":
            torch.testing.assert_close(change.abs(), torch.full_like(change, 0.01), msg=name)
            continue
        for expert in change.view(-1, *change.shape[-2:]):
            for matrix in expert.split(list(facts[name].sections)):
                singular = torch.linalg.svdvals(matrix / 0.1)
                scale = max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
                assert singular.min() / scale > 0.3 and singular.max() / scale < 1.3, name


@pytest.mark.parametrize(
    ("fast_bf16", "near"),
    [(True, 3e-3), (False, 1e-2)],  # of a step of .1, bf16's share; and torch's is always in bf16
)
@pytest.mark.parametrize(("scale", "nesterov"), [("spectral", True), ("rms", False)])
def test_muon_in_batches_does_what_torchs_does_matrix_by_matrix(
    scale: Literal["spectral", "rms"],
    nesterov: bool,
    fast_bf16: bool,
    near: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(muon, "has_fast_bf16", lambda device: fast_bf16)
    computed_in = set()

    def orthogonal(x: torch.Tensor, steps: int, plain: Any = muon.orthogonal) -> torch.Tensor:
        computed_in.add(x.dtype)
        return plain(x, steps)

    monkeypatch.setattr(muon, "orthogonal", orthogonal)
    shapes = [(8, 8), (24, 8), (8, 24), (8, 8), (16, 8)]
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    copies = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
    ours = muon.Muon(
        [{"params": weights, "weight_decay": 0.3}],
        lr=0.1,
        momentum=0.9,
        nesterov=nesterov,
        ns_steps=5,
        scale=scale,
    )
    theirs = torch.optim.Muon(
        copies,
        lr=0.1,
        weight_decay=0.3,
        momentum=0.9,
        nesterov=nesterov,
        ns_steps=5,
        adjust_lr_fn="original" if scale == "spectral" else "match_rms_adamw",
    )
    for _ in range(3):
        for weight, copy in zip(weights, copies, strict=True):
            weight.grad = torch.randn(weight.shape, generator=generator)
            copy.grad = weight.grad.clone()
        ours.step()
        theirs.step()
    assert computed_in == {torch.bfloat16 if fast_bf16 else torch.float32}
    for weight, copy in zip(weights, copies, strict=True):
        torch.testing.assert_close(weight, copy, rtol=0, atol=near)
        torch.testing.assert_close(
            ours.state[weight]["momentum_buffer"], theirs.state[copy]["momentum_buffer"]
        )


def test_adafactor_is_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(6, 10), (3, 4, 5), (7,)]
    ours = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    theirs = [p.detach().clone().requires_grad_() for p in ours]
    one = Adafactor(ours, lr=0.1, beta2_decay=-0.8, d=1.0)
    one.param_groups[0]["weight_decay"] = 0.2
    two = torch.optim.Adafactor(theirs, lr=0.1, weight_decay=0.2)
    for _ in range(5):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn(p.shape, generator=generator) ** 3
            q.grad = p.grad.clone()
        one.step()
        two.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


def test_norms_and_clipping_are_by_member() -> None:
    model = model_of(2)
    limits = [optimizer("--optimizer.grad_clip 1.0"), optimizer("--optimizer.grad_clip null")]
    optimizers = MemberOptimizers(model, limits)
    set_gradients(model)
    norms = optimizers.clip()
    assert norms.shape == (2, len(optimizers.names))
    total = torch.linalg.vector_norm(norms, dim=1)
    torch.testing.assert_close(total[0], total[1])
    after = torch.stack([g.norm() for g in optimizers.grads]).view(2, -1).norm(dim=1)
    torch.testing.assert_close(after, torch.stack([torch.tensor(1.0), total[1]]))


def groups_of(model: Decoder, flags: str) -> dict[int, tuple[float, float]]:
    """Rate and decay of each parameter, by its storage."""
    (member,) = MemberOptimizers(model, [optimizer(flags)]).members
    return {
        p.data_ptr(): (group["peak_lr"], group["weight_decay"])
        for part in member.parts
        for group in part.param_groups
        for p in group["params"]
    }


def test_mup_divides_the_rates_of_matrices_and_keeps_their_decay() -> None:
    model = model_of(1, "--model.parametrization.kind mup --model.parametrization.base_width 4")
    rates = groups_of(model, "--optimizer.lr 0.1 --optimizer.weight_decay 0.2")
    facts = weights_of(model)
    for name, parameter in model.named_parameters():
        lr, decay = rates[parameter.data_ptr()]
        match facts[name].role:
            case "matrix":
                assert (lr, decay) == pytest.approx((0.1 / 4, 0.2 * 4)), name
            case "embedding" | "head":
                assert (lr, decay) == pytest.approx((0.1, 0.2)), name
            case "vector":
                assert (lr, decay) == pytest.approx((0.1, 0.0)), name


def test_embeddings_decay_only_where_asked() -> None:
    model = model_of(1, "--model.tie_embeddings false")
    rates = groups_of(model, "--optimizer.decay_embeddings false")
    assert rates[model.embedding.weight.data_ptr()][1] == 0
    assert rates[model.head_weight.data_ptr()][1] == 0
    assert rates[model.blocks[0].attention.qkv.weight.data_ptr()][1] == 0.1  # type: ignore[union-attr, operator]


def test_the_average_is_its_recurrence_and_stands_in_for_the_weights() -> None:
    w = torch.nn.Parameter(torch.zeros(1, 3))
    average = Average([w], 0.5)
    expected, pointer = torch.zeros(1, 3), w.data_ptr()
    for step in range(12):
        w.data.fill_(step)
        average.set_step(step)
        average.move()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    torch.testing.assert_close(average.averages[0], expected)
    with average.in_place():
        torch.testing.assert_close(w.detach(), expected)
    assert w.detach().unique().tolist() == [11.0]
    assert w.data_ptr() == pointer


@pytest.mark.parametrize(
    ("flags", "lr"),
    [
        ("--optimizer.lr null", 0.003239 - 0.0001395 * 8.724207),  # N = 12 x 2 x 16^2 = 6,144
        ("--optimizer.kind lion --optimizer.lr 0.5", 0.5),
    ],
)
def test_a_rate_left_out_follows_from_the_size(flags: str, lr: float) -> None:
    assert optimizer(flags).peak_lr == pytest.approx(lr, rel=1e-4)


def test_another_kind_does_not_inherit_a_files_rate() -> None:
    from scaling.recipes import load_config

    def peak(*flags: str) -> Any:
        return load_config("baseline", flags).optimizer.peak_lr

    assert peak("--optimizer.kind", "lion") == 5e-4
    assert peak("--optimizer.kind", "lion", "--optimizer.lr", "1e-3") == 1e-3
    assert peak("--optimizer.lr", "1e-3", "--optimizer.kind", "lion") == 1e-3


def test_mup_and_an_optimizer_without_a_rule_for_it() -> None:
    config = tiny_config("--model.parametrization.kind mup")
    with pytest.raises(ValueError, match=r"mup has no rule for optimizer\.kind sgd; use adamw"):
        RunConfig.model_validate(config.model_dump() | {"optimizer": {"kind": "sgd"}})


def test_in_mup_the_rate_that_follows_is_that_of_the_base_at_every_width() -> None:
    mup = "--model.parametrization.kind mup --model.parametrization.base_width 16"
    rates = {tiny_config(f"{mup} --model.d_model {d} --optimizer.lr null").optimizer.lr
             for d in (16, 32, 64)}  # fmt: skip
    assert rates == {tiny_config("--model.d_model 16 --optimizer.lr null").optimizer.lr}


@pytest.mark.parametrize(
    ("flags", "plain"),
    [
        (
            "--optimizer.beta1 0.7 --optimizer.beta2 0.8 --optimizer.eps 0.01",
            lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.7, 0.8), eps=0.01),
        ),
        (
            "--optimizer.kind adam --optimizer.beta1 0.7 --optimizer.beta2 0.8"
            " --optimizer.eps 0.01",
            lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.7, 0.8), eps=0.01),
        ),
        (
            "--optimizer.kind sgd --optimizer.momentum 0.8 --optimizer.nesterov true",
            lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.8, nesterov=True),
        ),
        (
            "--optimizer.kind lion --optimizer.beta1 0.5 --optimizer.beta2 0.9",
            lambda p: Lion(p, lr=0.01, betas=(0.5, 0.9)),
        ),
        (
            "--optimizer.kind adafactor --optimizer.beta2_decay -0.6"
            " --optimizer.clip_threshold 0.5",
            lambda p: Adafactor(p, lr=0.01, beta2_decay=-0.6, d=0.5),
        ),
    ],
    ids=["adamw", "adam", "sgd", "lion", "adafactor"],
)
def test_a_configs_numbers_are_its_optimizers(
    flags: str, plain: Callable[[Any], torch.optim.Optimizer]
) -> None:
    model = model_of(1)
    copies = [p.detach()[0].clone().requires_grad_() for p in model.parameters()]
    theirs = plain(
        [
            {"params": [p for p in copies if p.ndim > 1], "weight_decay": 0.3},
            {"params": [p for p in copies if p.ndim == 1], "weight_decay": 0.0},
        ]
    )
    rest = "--optimizer.lr 0.01 --optimizer.weight_decay 0.3"
    ours = MemberOptimizers(model, [optimizer(f"{flags} {rest}")])
    for step in range(4):
        set_gradients(model, step)
        for copy, parameter in zip(copies, model.parameters(), strict=True):
            assert parameter.grad is not None
            copy.grad = parameter.grad[0].clone()
        ours.step([1.0])
        theirs.step()
    for copy, parameter in zip(copies, model.parameters(), strict=True):
        torch.testing.assert_close(parameter.detach()[0], copy.detach(), rtol=1e-5, atol=1e-6)


def test_muon_has_its_configs_numbers() -> None:
    flags = (
        "--optimizer.kind muon --optimizer.momentum 0.8 --optimizer.nesterov false"
        " --optimizer.scale rms --optimizer.beta1 0.7 --optimizer.beta2 0.8 --optimizer.lr 0.1"
    )
    model = model_of(1, "--model.parametrization.kind mup --model.parametrization.base_width 4")
    one, two = MemberOptimizers(model, [optimizer(flags)]).members[0].parts
    assert isinstance(one, muon.Muon)
    assert (one.momentum, one.nesterov, one.scale) == (0.8, False, "rms")
    assert one.param_groups[0]["peak_lr"] == pytest.approx(0.1 / 4**0.5)
    assert two.param_groups[0]["betas"] == (0.7, 0.8)


@pytest.mark.parametrize("scale", ["rms", "spectral"])
def test_muons_steps_have_one_spectral_norm_at_all_widths_of_mup(scale: str) -> None:
    norms = []
    for width in (16, 128):
        model = model_of(
            1,
            f"--model.parametrization.kind mup --model.parametrization.base_width 16"
            f" --model.d_model {width} --model.n_heads 4",
        )
        weight = dict(model.named_parameters())["blocks.0.attention.out.weight"]
        before = weight.detach()[0].clone()
        flags = f"--optimizer.kind muon --optimizer.lr 0.1 --optimizer.scale {scale}"
        ours = MemberOptimizers(model, [optimizer(flags)])
        set_gradients(model)
        ours.step([1.0])
        norms.append(float(torch.linalg.matrix_norm(weight.detach()[0] - before, 2)))
    assert norms[1] == pytest.approx(norms[0], rel=0.4)  # its orthogonalisation is as loose


def test_adafactors_rate_is_never_above_its_relative_step() -> None:
    config = optimizer("--optimizer.kind adafactor")
    assert [config.used(0.1, step) for step in (1, 25, 400)] == [0.1, 0.1, 0.05]
    assert optimizer("").used(0.1, 400) == 0.1
