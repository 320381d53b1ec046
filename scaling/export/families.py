"""Which model of Hugging Face's transformers computes what one of ours does, if any."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scaling.config import (
    GELU,
    GroupedQueryAttention,
    LearnedPosition,
    MixtureOfExperts,
    ModelConfig,
    MultiHeadAttention,
    MultiQueryAttention,
    PlainResidual,
    Rope,
    SlidingWindowAttention,
    StandardParametrization,
    SwiGLU,
)
from scaling.errors import UserError
from scaling.export.names import Piece


@dataclass(frozen=True)
class Shape:
    """What a family needs to know besides the model's config."""

    vocab_size: int
    context_length: int
    eot: int


@dataclass(frozen=True)
class Family:
    """A model of transformers: its `config.json`, and its weights from ours."""

    name: str
    settings: dict[str, Any]
    pieces: list[Piece]


def family_of(config: ModelConfig, shape: Shape) -> Family:
    """The family that computes the same.

    Raises:
        UserError: there is none, and why.
    """
    for wrong, why in _nowhere(config):
        if wrong:
            raise _none(why)
    if isinstance(config.position, LearnedPosition):
        return _gpt2(config, shape)
    return _rotary(config, shape)


def _none(why: str) -> UserError:
    return UserError(
        f"transformers has no model that computes the same as this one ({why});"
        " `--to safetensors` exports it with a loader of our own."
    )


def _nowhere(config: ModelConfig) -> Iterator[tuple[bool, str]]:
    """What none of the families has."""
    attention = config.attention
    plain = MultiHeadAttention | GroupedQueryAttention | MultiQueryAttention
    yield (
        not isinstance(attention, plain | SlidingWindowAttention),
        f"attention {attention.kind}",
    )
    yield attention.softcap is not None, "capped attention scores"
    yield config.logit_softcap is not None, "capped logits"
    yield config.parallel, "parallel branches"
    yield config.norm_placement != "pre", "norms behind the branches"
    yield not isinstance(config.residual, PlainResidual), f"residual {config.residual.kind}"
    yield (
        not isinstance(config.parametrization, StandardParametrization),
        f"parametrization {config.parametrization.kind}",
    )
    yield (
        not isinstance(config.position, Rope | LearnedPosition),
        f"position {config.position.kind}",
    )


def _gpt2(config: ModelConfig, shape: Shape) -> Family:
    for wrong, why in (
        (config.norm != "layernorm", "learned positions with rmsnorm"),
        (not isinstance(config.feedforward, GELU), "learned positions without gelu"),
        (not isinstance(config.attention, MultiHeadAttention), "learned positions without mha"),
        (config.attention.qk_norm, "learned positions with qk_norm"),
    ):
        if wrong:
            raise _none(why)
    assert isinstance(config.position, LearnedPosition)
    settings = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": shape.vocab_size,
        "n_positions": config.position.max_length or shape.context_length,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_ff,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "attn_pdrop": 0.0,
    }
    return Family("gpt2", settings | _common(config, shape), list(_gpt2_pieces(config)))


def _gpt2_pieces(config: ModelConfig) -> Iterator[Piece]:
    width, inner = config.d_model, config.d_ff
    yield Piece("transformer.wte.weight", "embedding.weight")
    yield Piece("transformer.wpe.weight", "positions.weight")
    for i in range(config.n_layers):
        ours, theirs = f"blocks.{i}", f"transformer.h.{i}"
        for norm, name in (("attention_norm", "ln_1"), ("feedforward_norm", "ln_2")):
            yield Piece(f"{theirs}.{name}.weight", f"{ours}.{norm}.weight")
            yield _bias(f"{theirs}.{name}.bias", f"{ours}.{norm}.bias", width, config.bias)
        for product, name, size in (
            ("attention.qkv", "attn.c_attn", 3 * width),
            ("attention.out", "attn.c_proj", width),
            ("feedforward.up", "mlp.c_fc", inner),
            ("feedforward.down", "mlp.c_proj", width),
        ):
            yield Piece(f"{theirs}.{name}.weight", f"{ours}.{product}.weight", transposed=True)
            yield _bias(f"{theirs}.{name}.bias", f"{ours}.{product}.bias", size, config.bias)
    yield Piece("transformer.ln_f.weight", "norm.weight")
    yield _bias("transformer.ln_f.bias", "norm.bias", width, config.bias)
    if not config.tie_embeddings:
        yield Piece("lm_head.weight", "head.weight")


def _rotary(config: ModelConfig, shape: Shape) -> Family:
    for wrong, why in _nowhere_rotary(config):
        if wrong:
            raise _none(why)
    name = _rotary_name(config)
    assert isinstance(config.position, Rope)
    theta = config.position.theta
    settings: dict[str, Any] = {
        "architectures": [f"{name.capitalize()}ForCausalLM"],
        "model_type": name,
        "vocab_size": shape.vocab_size,
        "max_position_embeddings": shape.context_length,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "attention_dropout": 0.0,
        # The first is what transformers 4 reads, the second what 5 does.
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
    }
    settings |= _settings_of(name, config) | _common(config, shape)
    return Family(name, settings, list(_rotary_pieces(config, zero_biases=name == "qwen2")))


def _nowhere_rotary(config: ModelConfig) -> Iterator[tuple[bool, str]]:
    """What none of the families with rotary positions has."""
    feedforward, norms = config.feedforward, config.attention.qk_norm
    windowed = isinstance(config.attention, SlidingWindowAttention)
    experts = feedforward if isinstance(feedforward, MixtureOfExperts) else None
    sparse = experts is not None
    gated = experts.activation == "swiglu" if experts else isinstance(feedforward, SwiGLU)
    yield config.norm != "rmsnorm", "rotary positions with layernorm"
    yield not gated, "rotary positions without swiglu"
    yield config.bias and (sparse or norms or windowed), "biases here"
    yield sparse and (norms or windowed), "a mixture of experts with such attention"
    yield norms and windowed, "query-key norm with a sliding window"
    yield (
        experts is not None and experts.top_k == 1,
        "one expert a token: its gate is a probability here, and always 1 there",
    )


def _rotary_name(config: ModelConfig) -> str:
    """The family with what the config has besides rotary positions."""
    if isinstance(config.feedforward, MixtureOfExperts):
        return "mixtral"
    if config.attention.qk_norm:
        return "qwen3"
    if isinstance(config.attention, SlidingWindowAttention):
        return "mistral" if config.attention.full_every is None else "qwen2"
    return "llama"


def _settings_of(name: str, config: ModelConfig) -> dict[str, Any]:
    """What the family of this name reads besides what all of them do."""
    attention, feedforward = config.attention, config.feedforward
    if name == "llama":
        return {"attention_bias": config.bias, "mlp_bias": config.bias}
    if name == "qwen3":
        return {"attention_bias": False, "use_sliding_window": False}
    if isinstance(feedforward, MixtureOfExperts):
        return {
            "num_local_experts": feedforward.n_experts,
            "num_experts_per_tok": feedforward.top_k,
            "router_aux_loss_coef": feedforward.aux_loss,
            "sliding_window": None,
        }
    assert isinstance(attention, SlidingWindowAttention)
    if (every := attention.full_every) is None:
        return {"sliding_window": attention.window}
    layers = range(1, config.n_layers + 1)
    return {
        "use_sliding_window": True,
        "sliding_window": attention.window,
        "layer_types": ["sliding_attention" if i % every else "full_attention" for i in layers],
        "max_window_layers": 0,
    }


def _rotary_pieces(config: ModelConfig, *, zero_biases: bool) -> Iterator[Piece]:
    assert config.n_heads is not None and config.head_dim is not None
    heads, kv = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    inner, experts = config.d_ff, config.feedforward
    kinds = ("weight", "bias") if config.bias else ("weight",)
    yield Piece("model.embed_tokens.weight", "embedding.weight")
    for i in range(config.n_layers):
        ours, theirs = f"blocks.{i}", f"model.layers.{i}"
        yield Piece(f"{theirs}.input_layernorm.weight", f"{ours}.attention_norm.weight")
        yield Piece(f"{theirs}.post_attention_layernorm.weight", f"{ours}.feedforward_norm.weight")
        ends = (("q", 0, heads), ("k", heads, heads + kv), ("v", heads + kv, heads + 2 * kv))
        for kind in kinds:
            for letter, start, end in ends:
                yield Piece(
                    f"{theirs}.self_attn.{letter}_proj.{kind}",
                    f"{ours}.attention.qkv.{kind}",
                    rows=(start, end),
                )
            yield Piece(f"{theirs}.self_attn.o_proj.{kind}", f"{ours}.attention.out.{kind}")
        if zero_biases:
            for letter, start, end in ends:
                yield Piece(f"{theirs}.self_attn.{letter}_proj.bias", None, shape=(end - start,))
        if config.attention.qk_norm:
            for letter in "qk":
                yield Piece(
                    f"{theirs}.self_attn.{letter}_norm.weight",
                    f"{ours}.attention.scoring.{letter}_norm.weight",
                )
        if isinstance(experts, MixtureOfExperts):
            sparse = f"{theirs}.block_sparse_moe"
            yield Piece(f"{sparse}.gate.weight", f"{ours}.feedforward.router.weight")
            up, down = f"{ours}.feedforward.up.weight", f"{ours}.feedforward.down.weight"
            for e in range(experts.n_experts):
                one = f"{sparse}.experts.{e}"
                yield Piece(f"{one}.w1.weight", up, rows=(0, inner), expert=e)
                yield Piece(f"{one}.w3.weight", up, rows=(inner, 2 * inner), expert=e)
                yield Piece(f"{one}.w2.weight", down, expert=e)
            continue
        for kind in kinds:
            up = f"{ours}.feedforward.up.{kind}"
            yield Piece(f"{theirs}.mlp.gate_proj.{kind}", up, rows=(0, inner))
            yield Piece(f"{theirs}.mlp.up_proj.{kind}", up, rows=(inner, 2 * inner))
            yield Piece(f"{theirs}.mlp.down_proj.{kind}", f"{ours}.feedforward.down.{kind}")
    yield Piece("model.norm.weight", "norm.weight")
    if not config.tie_embeddings:
        yield Piece("lm_head.weight", "head.weight")


def _bias(theirs: str, ours: str, size: int, there: bool) -> Piece:
    return Piece(theirs, ours) if there else Piece(theirs, None, shape=(size,))


def _common(config: ModelConfig, shape: Shape) -> dict[str, Any]:
    return {
        "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": shape.eot,
        "eos_token_id": shape.eot,
        "pad_token_id": shape.eot,
        "initializer_range": config.init_std,
        "dtype": "float32",
        "torch_dtype": "float32",
        "use_cache": True,
    }
