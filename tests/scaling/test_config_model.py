"""Mistakes in the fields of a model, optimizer or schedule, and what follows when left out."""

from typing import Any

import pytest

from scaling.errors import UserError
from scaling.recipes import load_config

MISTAKES = [
    (
        "--model.position.kind learned --model.position.max_length 128",
        "data.context_length 256 is longer than the 128 positions of model.position.max_length",
    ),
    ("--model.norm layer", "model.norm is 'layer', but it is one of 'rmsnorm' or 'layernorm'"),
    ("--model.feedforward.kind gelus", "kind 'gelus' is not known; did you mean gelu"),
    (
        "--model.feedforward.kind moe --model.feedforward.top_k 9",
        "top_k 9 is more than the 8",
    ),
    ("--model.attention.kind differential --model.n_heads 1", "pairs the heads, and 1 is odd"),
    ("--model.d_model 100", "does not divide model.d_model 100; the nearest that does is 20"),
    ("--model.d_model 100 --model.n_heads 3", "model.d_model 100; the nearest that does is 2"),
    ("--model.d_model 100 --model.head_dim 25", "divides the width is 20 (model.n_heads 5)"),
    ("--model.d_model 90 --model.n_heads 6", "divides the width is 18 (model.n_heads 5)"),
    (
        "--model.d_model 25",
        "model.d_model 25 does not make heads of an even width, which rotary positions turn; the"
        " nearest that does is 24",
    ),
    (
        "--model.attention.kind differential --model.d_model 100",
        "does not divide model.d_model 100; the nearest that does is 50",
    ),
    (
        "--model.attention.kind differential --model.d_model 50 --model.n_heads 5",
        "model.d_model 50 does not make pairs of heads of an even width",
    ),
    ("--model.attention.kind mla --model.attention.rope_dim 5", "rope_dim 5 is odd; use an even"),
    (
        "--model.attention.kind gated --model.attention.n_kv_heads 3",
        "model.attention.n_kv_heads 3 does not divide the 4 heads; the nearest that does is 2",
    ),
    ("--model.attention.window 3", "model.attention.window belongs to kind sliding_window"),
    ("--model.dropout 1", "model.dropout is 1, but it should be less than 1"),
    ("--optimizer.beta1 1.0", "optimizer.beta1 is 1.0, but it should be less than 1"),
    ("--optimizer.kind muon --optimizer.beta2 1", "beta2 is 1, but it should be less than 1"),
    (
        "--optimizer.kind sgd --optimizer.momentum 0 --optimizer.nesterov true",
        "optimizer.nesterov looks ahead along the momentum, and optimizer.momentum is 0",
    ),
    ("--optimizer.kind lionn", "optimizer.kind 'lionn' is not known; did you mean lion?"),
    ("--optimizer.momentum 0.5", "optimizer.momentum belongs to kind sgd or muon"),
    (
        "--model.parametrization.kind mup --optimizer.kind adafactor",
        "model.parametrization.kind mup has no rule for optimizer.kind adafactor; use adamw",
    ),
    (
        "--model.residual.kind learned --model.residual.start 0 --model.residual_init zero",
        "model.residual.start 0 with model.residual_init zero: no block would ever learn",
    ),
    (
        "--model.parametrization.kind mup --optimizer.kind adam --optimizer.weight_decay 0.1",
        "mup has no rule for adam's optimizer.weight_decay, a penalty in the gradient",
    ),
    (
        "--schedule.kind wsd --schedule.branches [0.5]",
        "schedule.branches needs schedule.warmup",
    ),
    ("--schedule.kind wsd --schedule.shape sqare", "it is one of 'linear', 'sqrt' or 'cosine'"),
]


@pytest.mark.parametrize(("flags", "sentence"), MISTAKES, ids=[f for f, _ in MISTAKES])
def test_a_mistake_is_one_sentence_that_names_the_field(flags: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config("baseline", flags.split())
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


DERIVED: list[tuple[str, tuple[str, ...], Any]] = [
    ("", ("model", "feedforward", "d_ff"), 352),
    ("--model.feedforward.kind gelu", ("model", "feedforward", "d_ff"), 512),
    ("", ("model", "init_std"), 0.0559),  # sqrt(2 / (5 * 128))
    ("--model.d_model 512", ("model", "init_std"), 0.028),
    ("--model.d_model 512 --model.parametrization.kind mup", ("model", "init_std"), 0.0559),
    ("--model.init_std 0.02", ("model", "init_std"), 0.02),
    ("--model.feedforward.kind moe", ("model", "feedforward", "d_ff"), 512),
    ("--model.attention.kind mla", ("model", "attention", "kv_rank"), 32),
    ("--model.attention.kind mla", ("model", "attention", "rope_dim"), 16),
    (
        "--model.attention.kind mla --model.position.kind none",
        ("model", "attention", "rope_dim"),
        None,
    ),
    ("--model.position.kind learned", ("model", "position", "max_length"), 256),
    ("--model.n_heads 8", ("model", "head_dim"), 16),
    ("", ("model", "residual_init"), "scaled"),
    ("--model.residual.kind depth", ("model", "residual_init"), "same"),
    (
        "--model.residual.kind depth --model.residual_init scaled",
        ("model", "residual_init"),
        "scaled",
    ),
    ("--model.residual.kind learned", ("model", "residual_init"), "scaled"),
]


@pytest.mark.parametrize(("flags", "path", "value"), DERIVED)
def test_what_is_left_out_follows_and_is_in_the_resolved_config(
    flags: str, path: tuple[str, ...], value: Any
) -> None:
    tree: Any = load_config("baseline", flags.split()).model_dump()
    for key in path:
        tree = tree[key]
    assert tree == value
