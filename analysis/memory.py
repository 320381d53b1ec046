"""What a trained model needs to run: its weights and one context's keys and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WEIGHT = {"bf16": 2, "fp16": 2, "fp32": 4}  # bytes


def inference_bytes(run: Mapping[Any, Any]) -> float | None:
    """Bytes to generate one sequence of the context's length; None where the run does not say.

    Weights and the cache are counted in the precision that the run was trained in. What a token
    keeps a layer: keys and values of each key head; of multi-head latent attention the latent and,
    with rotary positions, the shared rotary part; of differential attention all heads; of a
    sliding window no more tokens than the window.
    """
    each = WEIGHT.get(str(run.get("precision")), 4)
    parts = [_number(run, name) for name in ("N", "depth", "width", "context_length")]
    if any(part is None for part in parts):
        return None
    weights, layers, width, tokens = (part for part in parts if part is not None)
    return each * (weights + _cached(run, layers, width, tokens))


def _cached(run: Mapping[Any, Any], layers: float, width: float, tokens: float) -> float:
    """Numbers in the cache of one full context."""
    heads, size = _number(run, "model.n_heads"), _number(run, "model.head_dim")
    kind = run.get("model.attention.kind")
    if heads is None or size is None:
        return 2 * layers * width * tokens
    if kind == "mla":
        rank = _number(run, "model.attention.kv_rank") or width / 4
        turned = 0.0
        if run.get("model.position.kind") == "rope":
            turned = _number(run, "model.attention.rope_dim") or 2 * round(size / 4)
        return layers * tokens * (rank + turned)
    groups = 1.0 if kind == "mqa" else _number(run, "model.attention.n_kv_heads") or heads
    if kind == "sliding_window":
        window = min(tokens, _number(run, "model.attention.window") or tokens)
        every = _number(run, "model.attention.full_every")
        full = layers // every if every else 0.0
        return 2 * groups * size * (full * tokens + (layers - full) * window)
    return 2 * layers * groups * size * tokens


def _number(run: Mapping[Any, Any], name: str) -> float | None:
    value = run.get(name)
    return float(value) if isinstance(value, int | float) and value == value else None
