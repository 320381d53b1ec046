"""A plain decoder without members, caches, folds or kernels, to hold ours against.

It reads one member's weights by name and computes what the config says as a textbook would: a
head at a time, a token at a time where experts are chosen. In fp32, and slow.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from scaling.config import (
    Alibi,
    DepthResidual,
    DifferentialAttention,
    GatedAttention,
    LatentAttention,
    LearnedResidual,
    MaximalUpdate,
    MixtureOfExperts,
    ModelConfig,
    Rope,
    SlidingWindowAttention,
)

Weights = Mapping[str, Tensor]


def reference_logits(
    config: ModelConfig, weights: Weights, ids: Tensor, *, training: bool = False
) -> Tensor:
    """Logits `[B, T, V]` of ids `[B, T]`; `training` lets experts drop."""
    x = weights["embedding.weight"][ids]
    if "positions.weight" in weights:
        x = x + weights["positions.weight"][: ids.shape[1]]
    for layer in range(config.n_layers):
        x = _block(config, _under(weights, f"blocks.{layer}"), x, layer, training)
    if config.norm_placement == "pre":
        x = _norm(config, weights, "norm", x)
    head = weights.get("head.weight", weights["embedding.weight"])
    logits = x @ head.T / config.width_ratio
    return _cap(logits, config.logit_softcap)


def reference_loss(
    config: ModelConfig, weights: Weights, ids: Tensor, targets: Tensor, *, training: bool = False
) -> Tensor:
    """Summed cross-entropy."""
    logits = reference_logits(config, weights, ids, training=training)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


def _under(weights: Weights, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix + "."): w
        for name, w in weights.items()
        if name.startswith(prefix + ".")
    }


def _cap(x: Tensor, cap: float | None) -> Tensor:
    return x if cap is None else cap * torch.tanh(x / cap)


def _rms(x: Tensor, gain: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * gain


def _norm(config: ModelConfig, weights: Weights, name: str, x: Tensor) -> Tensor:
    gain = weights[f"{name}.weight"]
    if config.norm == "rmsnorm":
        return _rms(x, gain)
    centred = x - x.mean(-1, keepdim=True)
    out = centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + 1e-5) * gain
    return out + weights.get(f"{name}.bias", torch.zeros(()))


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", torch.zeros(()))


def _block(config: ModelConfig, w: Weights, x: Tensor, layer: int, training: bool) -> Tensor:
    def scaled(branch: Tensor, name: str) -> Tensor:
        if isinstance(config.residual, DepthResidual):
            return branch * config.n_layers**-config.residual.power
        if isinstance(config.residual, LearnedResidual):
            return branch * w[f"{name}_gain.weight"]
        return branch

    def attention(y: Tensor) -> Tensor:
        return scaled(_attention(config, _under(w, "attention"), y, layer), "attention")

    def feedforward(y: Tensor) -> Tensor:
        return scaled(_feedforward(config, _under(w, "feedforward"), y, training), "feedforward")

    def norm(name: str, y: Tensor) -> Tensor:
        return _norm(config, w, f"{name}_norm", y)

    if config.parallel and config.norm_placement == "post":
        return norm("attention", x + attention(x) + feedforward(x))
    if config.parallel:
        inner = norm("attention", x)
        return x + attention(inner) + feedforward(inner)
    if config.norm_placement == "post":
        x = norm("attention", x + attention(x))
        return norm("feedforward", x + feedforward(x))
    x = x + attention(norm("attention", x))
    return x + feedforward(norm("feedforward", x))


# ---------------------------------------------------------------- attention


def _turn(x: Tensor, theta: float) -> Tensor:
    """Rotary positions on `[B, T, d]`: pair (i, i + d/2) of token t turns by t theta^(-2i/d)."""
    half = x.shape[-1] // 2
    out = torch.empty_like(x)
    for t in range(x.shape[1]):
        for i in range(half):
            angle = t * theta ** (-2 * i / x.shape[-1])
            a, b = x[:, t, i], x[:, t, i + half]
            out[:, t, i] = a * math.cos(angle) - b * math.sin(angle)
            out[:, t, i + half] = b * math.cos(angle) + a * math.sin(angle)
    return out


def _slope(head: int, heads: int) -> float:
    whole = 2 ** int(math.log2(heads))
    if head < whole:
        return 2 ** (-8 * (head + 1) / whole)
    return 2 ** (-4 * (2 * (head - whole) + 1) / whole)


def _weigh(config: ModelConfig, q: Tensor, k: Tensor, v: Tensor, head: int, layer: int) -> Tensor:
    """One head's attention: `[B, T, d]`, `[B, T, d]`, `[B, T, e]` to `[B, T, e]`."""
    assert config.n_heads is not None
    length = q.shape[1]
    scale = q.shape[-1] ** -0.5
    if isinstance(config.parametrization, MaximalUpdate):
        scale = config.parametrization.base_head_dim**0.5 / q.shape[-1]
    scores = _cap(scale * q @ k.transpose(1, 2), config.attention.softcap)
    window = length
    kind = config.attention
    if isinstance(kind, SlidingWindowAttention) and not (
        kind.full_every and (layer + 1) % kind.full_every == 0
    ):
        window = kind.window
    for i in range(length):
        for j in range(length):
            if j > i or j <= i - window:
                scores[:, i, j] = float("-inf")
            elif isinstance(config.position, Alibi):
                scores[:, i, j] += _slope(head, config.n_heads) * (j - i)
    return scores.softmax(-1) @ v


def _attention(config: ModelConfig, w: Weights, x: Tensor, layer: int) -> Tensor:
    if isinstance(config.attention, LatentAttention):
        return _latent(config, w, x, layer)
    assert config.n_heads is not None and config.head_dim is not None
    heads, groups, dim = config.n_heads, config.n_kv_heads, config.head_dim
    mixed = _linear(w, "qkv", x)
    q = _heads(mixed[..., : heads * dim], heads)
    k = _heads(mixed[..., heads * dim : (heads + groups) * dim], groups)
    v = _heads(mixed[..., (heads + groups) * dim : (heads + 2 * groups) * dim], groups)
    gates = mixed[..., (heads + 2 * groups) * dim :]
    q = [_placed(config, w, "q", y) for y in q]
    k = [_placed(config, w, "k", y) for y in k]
    if isinstance(config.attention, DifferentialAttention):
        return _difference(config, w, q, k, v, layer)
    out = [
        _weigh(config, q[h], k[h * groups // heads], v[h * groups // heads], h, layer)
        for h in range(heads)
    ]
    if isinstance(config.attention, GatedAttention):
        opened = [torch.sigmoid(gate) for gate in _heads(gates, heads)]
        out = [y * gate for y, gate in zip(out, opened, strict=True)]
    return _linear(w, "out", torch.cat(out, dim=-1))


def _heads(x: Tensor, n: int) -> list[Tensor]:
    return list(x.chunk(n, dim=-1))


def _placed(config: ModelConfig, w: Weights, name: str, x: Tensor) -> Tensor:
    if config.attention.qk_norm:
        x = _rms(x, w[f"scoring.{name}_norm.weight"])
    return _turn(x, config.position.theta) if isinstance(config.position, Rope) else x


def _difference(
    config: ModelConfig,
    w: Weights,
    q: list[Tensor],
    k: list[Tensor],
    v: list[Tensor],
    layer: int,
) -> Tensor:
    first = 0.8 - 0.6 * math.exp(-0.3 * layer)
    q1, k1, q2, k2 = w["vectors.weight"]
    weight = torch.exp(q1 @ k1) - torch.exp(q2 @ k2) + first
    out = []
    for pair in range(len(q) // 2):
        a, b = 2 * pair, 2 * pair + 1
        values = torch.cat([v[a], v[b]], dim=-1)
        one = _weigh(config, q[a], k[a], values, a, layer)
        two = _weigh(config, q[b], k[b], values, b, layer)
        out.append(_rms(one - weight * two, w["norm.weight"]) * (1 - first))
    return _linear(w, "out", torch.cat(out, dim=-1))


def _latent(config: ModelConfig, w: Weights, x: Tensor, layer: int) -> Tensor:
    kind = config.attention
    assert isinstance(kind, LatentAttention) and kind.kv_rank is not None
    assert config.n_heads is not None and config.head_dim is not None
    heads, dim, rope = config.n_heads, config.head_dim, kind.rope_dim or 0
    q = _linear(w, "q", x)
    q_content, q_turned = q[..., : heads * dim], q[..., heads * dim :]
    down = _linear(w, "down", x)
    latent = _rms(down[..., : kind.kv_rank], w["norm.weight"])
    shared = down[..., kind.kv_rank :]
    kv = _linear(w, "up", latent)
    out = []
    for h in range(heads):
        part = slice(h * dim, (h + 1) * dim)
        q_head, k_head = q_content[..., part], kv[..., : heads * dim][..., part]
        value = kv[..., heads * dim :][..., part]
        if kind.qk_norm:
            q_head = _rms(q_head, w["scoring.q_norm.weight"])
            k_head = _rms(k_head, w["scoring.k_norm.weight"])
        if isinstance(config.position, Rope):
            theta = config.position.theta
            own = q_turned[..., h * rope : (h + 1) * rope]
            q_head = torch.cat([q_head, _turn(own, theta)], dim=-1)
            k_head = torch.cat([k_head, _turn(shared, theta)], dim=-1)
        out.append(_weigh(config, q_head, k_head, value, h, layer))
    return _linear(w, "out", torch.cat(out, dim=-1))


# ---------------------------------------------------------------- feedforward


def _activate(kind: str, x: Tensor) -> Tensor:
    if kind == "swiglu":
        gate, value = x.chunk(2, dim=-1)
        return gate * torch.sigmoid(gate) * value
    if kind == "gelu":
        return F.gelu(x, approximate="tanh")
    if kind == "relu_squared":
        return torch.clamp(x, min=0) ** 2
    raise NotImplementedError(kind)


def _feedforward(config: ModelConfig, w: Weights, x: Tensor, training: bool) -> Tensor:
    kind = config.feedforward
    if isinstance(kind, MixtureOfExperts):
        return _experts(kind, w, x, training)
    return _linear(w, "down", _activate(kind.kind, _linear(w, "up", x)))


def _experts(kind: MixtureOfExperts, w: Weights, x: Tensor, training: bool) -> Tensor:
    experts = [
        {name: weight[e] for name, weight in w.items() if not name.startswith("router")}
        for e in range(kind.n_experts)
    ]
    length = x.shape[1]
    even = kind.top_k * length / kind.n_experts
    room = min(length, math.ceil(kind.capacity_factor * even)) if training else length
    rows = []
    for sequence in x:
        taken = [0] * kind.n_experts
        for token in sequence:
            p = torch.softmax(_linear(w, "router", token), -1)
            best = torch.sort(p, descending=True, stable=True).indices[: kind.top_k].tolist()
            total = sum(p[e] for e in best) if len(best) > 1 else 1.0
            out = torch.zeros_like(token)
            for e in best:
                taken[e] += 1
                if taken[e] <= room:
                    hidden = _activate(kind.activation, _linear(experts[e], "up", token))
                    out = out + p[e] / total * _linear(experts[e], "down", hidden)
            rows.append(out)
    return torch.stack(rows).view(x.shape)
