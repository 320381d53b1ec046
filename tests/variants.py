"""Every part there is, as flags on a tiny base: the rows of the contract tests."""

from typing import Any

from scaling.config import ModelConfig, RunConfig
from scaling.recipes import Tree, load_config

# A new variant of the model is a row here.
MODEL: dict[str, str] = {
    "baseline": "",
    "gqa": "--model.attention.kind gqa --model.attention.n_kv_heads 2",
    "mqa": "--model.attention.kind mqa",
    "sliding_window": "--model.attention.kind sliding_window --model.attention.window 4"
    " --model.attention.n_kv_heads 2",
    "sliding_window_full": "--model.attention.kind sliding_window --model.attention.window 3"
    " --model.attention.full_every 2",
    "gated": "--model.attention.kind gated",
    "gated_head": "--model.attention.kind gated --model.attention.gate head"
    " --model.attention.n_kv_heads 1",
    "differential": "--model.attention.kind differential",
    "mla": "--model.attention.kind mla",
    "mla_norope": "--model.attention.kind mla --model.position.kind none",
    "qk_norm": "--model.attention.qk_norm true",
    "qk_norm_mla": "--model.attention.kind mla --model.attention.qk_norm true",
    "qk_norm_gqa": "--model.attention.kind gqa --model.attention.qk_norm true",
    "softcap": "--model.attention.softcap 2 --model.attention.kind gqa",
    "logit_softcap": "--model.logit_softcap 3",
    "learned": "--model.position.kind learned",
    "alibi": "--model.position.kind alibi",
    "alibi_window": "--model.position.kind alibi --model.attention.kind sliding_window"
    " --model.attention.window 5",
    "no_position": "--model.position.kind none",
    "layernorm": "--model.norm layernorm --model.bias true",
    "layernorm_plain": "--model.norm layernorm",
    "post_norm": "--model.norm_placement post",
    "gelu": "--model.feedforward.kind gelu --model.bias true",
    "relu_squared": "--model.feedforward.kind relu_squared",
    "moe": "--model.feedforward.kind moe --model.feedforward.n_experts 4"
    " --model.feedforward.d_ff 24",
    "moe_swiglu": "--model.feedforward.kind moe --model.feedforward.activation swiglu"
    " --model.feedforward.n_experts 3 --model.feedforward.top_k 1 --model.bias true",
    "parallel": "--model.parallel true",
    "parallel_post": "--model.parallel true --model.norm_placement post",
    "untied": "--model.tie_embeddings false",
    "learned_residual": "--model.residual.kind learned --model.residual.start 0.5",
    "depth_residual": "--model.residual.kind depth",
    "mup": "--model.parametrization.kind mup --model.parametrization.base_width 8",
    "mup_untied": "--model.parametrization.kind mup --model.parametrization.base_width 8"
    " --model.tie_embeddings false",
    "dropout": "--model.dropout 0.2",
    "zero_init": "--model.residual_init zero",
}

OPTIMIZERS: dict[str, str] = {
    "adamw": "",
    "adam": "--optimizer.kind adam --optimizer.lr 1e-2 --optimizer.weight_decay 0.01",
    "sgd": "--optimizer.kind sgd --optimizer.lr 0.3",
    "adafactor": "--optimizer.kind adafactor --optimizer.lr 0.05",
    "lion": "--optimizer.kind lion --optimizer.lr 2e-3",
    "muon": "--optimizer.kind muon --optimizer.lr 0.02",
}

SCHEDULES: dict[str, str] = {
    "cosine": "",
    "linear": "--schedule.kind linear",
    "wsd": "--schedule.kind wsd",
    "inverse_sqrt": "--schedule.kind inverse_sqrt",
    "constant": "--schedule.kind constant",
}

EVALUATION: dict[str, str] = {"ema": "--evaluation.ema 0.9"}

TINY = (
    "--model.d_model 16 --model.n_layers 2 --model.n_heads 4 --data.context_length 12"
    " --batch.size 4 --optimizer.lr 1e-2"
)


def tiny_config(flags: str) -> RunConfig:
    """Baseline at a toy's size, with flags."""
    return load_config("baseline", [*TINY.split(), *flags.split()])


def tiny_model(name: str) -> ModelConfig:
    """A row of `MODEL` at a toy's size."""
    return tiny_config(MODEL[name]).model


def shrunk(recipe: str) -> RunConfig:
    """A recipe at a toy's size, with all its parts."""
    config = load_config(recipe)
    tree: Tree = config.model_dump(mode="json")
    heads = min(4, config.model.n_heads or 4)
    small: dict[str, Any] = {
        "model": {"d_model": 16, "n_layers": 2, "n_heads": heads, "head_dim": 16 // heads},
        "data": {"context_length": 12},
        "batch": {"size": 4, "micro_size": "auto"},
        "budget": {"steps": 30},
    }
    for part, fields in small.items():
        tree[part] = {**tree[part], **fields} if part != "budget" else fields
    tree["model"]["feedforward"]["d_ff"] = 32
    for field in ("kv_rank", "rope_dim"):
        if field in tree["model"]["attention"]:
            tree["model"]["attention"][field] = None
    if "n_kv_heads" in tree["model"]["attention"]:
        tree["model"]["attention"]["n_kv_heads"] = min(2, heads)
    if "window" in tree["model"]["attention"]:
        tree["model"]["attention"]["window"] = 4
    if "max_length" in tree["model"]["position"]:
        tree["model"]["position"]["max_length"] = None
    return RunConfig.model_validate(tree)
