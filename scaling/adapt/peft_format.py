"""Adapters in the format of `peft`: for the model that an exported run is in transformers.

Our layers' stacked matrices are modules of their own there (queries, keys and values apart), or
one module where the family has them as one (GPT-2's), whose product is then one of as many ranks
more, block by block.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from scaling.adapt.config import Lora
from scaling.adapt.lora import Weights
from scaling.config import ModelConfig
from scaling.errors import UserError
from scaling.export.families import Shape, family_of
from scaling.export.fold import fold
from scaling.export.names import Piece

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."


@dataclass(frozen=True)
class Place:
    """One of their modules as one of our layers' matrices, or as all of them.

    Attributes:
        module: theirs.
        layer: ours.
        sections: which matrices of the layer's stack.
        rows: of the layer's outputs that these are.
    """

    module: str
    layer: str
    sections: tuple[int, ...]
    rows: tuple[int, int]


def save_peft(
    folder: Path, state: Weights, method: Lora, config: ModelConfig, weights: Weights,
    shape: Shape, base: str,
) -> None:  # fmt: skip
    """Write an adapter for the model that `tinyscale export` makes of this one.

    Args:
        folder: to be made.
        state: the adapter, as `Adapters.state` gives it.
        method: its rank, alpha and dropout.
        config: the model's.
        weights: the model's own, without a member axis; a folded scale is taken from them.
        shape: what the export needs to know besides.
        base: where the exported model is, for whoever loads the adapter.

    Raises:
        UserError: transformers has no such model, or peft no place for such an adapter.
    """
    factors = _factors(config, weights, state)
    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for place in _places(config, weights, state, shape):
        a, b = state[f"{place.layer}.A"], state[f"{place.layer}.B"] * factors[place.layer]
        heads = [b[slice(*own)] for own in _cut(config, weights, place)]
        down = torch.cat([a[s] for s in place.sections])
        up = heads[0] if len(heads) == 1 else torch.block_diag(*heads)  # type: ignore[no-untyped-call]
        tensors[f"{PREFIX}{place.module}.lora_A.weight"] = down.contiguous()
        tensors[f"{PREFIX}{place.module}.lora_B.weight"] = up.contiguous()
        if len(heads) > 1:
            ranks[place.module] = len(heads)
    family = family_of(fold(config, weights)[0], shape).name
    modules = sorted({key.removeprefix(PREFIX).split(".lora_")[0] for key in tensors})
    told = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": method.rank,
        "lora_alpha": method.alpha,
        "lora_dropout": method.dropout,
        "target_modules": modules,
        "rank_pattern": {name: times * method.rank for name, times in ranks.items()},
        "alpha_pattern": {name: times * method.alpha for name, times in ranks.items()},
        "fan_in_fan_out": family == "gpt2",
        "bias": "none",
        "inference_mode": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / TENSORS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def load_peft(
    folder: Path, config: ModelConfig, weights: Weights, shape: Shape
) -> tuple[Lora, Weights]:
    """An adapter of peft's, for our model: its method, and the state that `Adapters.load` takes.

    Raises:
        UserError: the folder holds no such adapter, or one for another model.
    """
    try:
        told: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / TENSORS)
        rank, alpha = int(told["r"]), float(told["lora_alpha"])
    except KeyError as error:
        raise UserError(
            f"{folder} holds no adapter of peft's: its {CONFIG} has no {error}."
        ) from None
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder} holds no adapter of peft's: {error}.") from None
    _check_plain(folder, told, rank, alpha)
    given = {key.removeprefix(PREFIX).split(".lora_")[0] for key in tensors}
    state: Weights = {}
    places = list(_places(config, weights, None, shape))
    for place in (one for one in places if one.module in given):
        sides = [f"{PREFIX}{place.module}.lora_{side}.weight" for side in "AB"]
        if lacking := [name for name in sides if name not in tensors]:
            raise UserError(f"{folder} holds no whole adapter: {lacking[0]} is missing.")
        a, b = (tensors[name] for name in sides)
        rows = place.rows[1] - place.rows[0]
        if len(place.sections) > 1 or a.shape[0] != rank or len(b) != rows:
            raise UserError(
                f"{folder}: the product of {place.module} is {list(b.shape)} times"
                f" {list(a.shape)}, which no adapter of rank {rank} here can be."
            )
        whole = weights[f"{place.layer}.weight"]
        count = 1 + max(one.sections[-1] for one in places if one.layer == place.layer)
        down = state.setdefault(f"{place.layer}.A", torch.zeros(count, rank, whole.shape[1]))
        up = state.setdefault(f"{place.layer}.B", torch.zeros(whole.shape[0], rank))
        if a.shape[1] != whole.shape[1]:
            raise UserError(
                f"the adapter is for another shape: {place.module} has {a.shape[1]} inputs there,"
                f" and {whole.shape[1]} in this model."
            )
        down[place.sections[0]], up[slice(*place.rows)] = a, b
    left = given - {place.module for place in places}
    if left or not state:
        odd = sorted(left)[0] if left else "nothing"
        raise UserError(f"the adapter is for another model: it adapts {odd}.")
    factors = _factors(config, weights, state)
    for layer, factor in factors.items():
        state[f"{layer}.B"] /= factor
    targets = tuple(dict.fromkeys(layer.split(".", 2)[2] for layer in factors))
    method = Lora(rank=rank, alpha=alpha, targets=targets,
                  dropout=float(told.get("lora_dropout") or 0.0))  # fmt: skip
    return method, state


def _check_plain(folder: Path, told: dict[str, Any], rank: int, alpha: float) -> None:
    """Raise `UserError` where an adapter is more than products of one rank and alpha."""
    if told.get("peft_type") != "LORA" or told.get("use_rslora") or told.get("use_dora"):
        raise UserError(
            f"{folder} holds a {told.get('peft_type')} adapter that is not plain LoRA."
        )
    if told.get("lora_bias") or told.get("bias", "none") != "none":
        raise UserError(f"{folder} holds biases beside LoRA's products, which are not read here.")
    for name, usual in (("rank_pattern", rank), ("alpha_pattern", alpha)):
        for module, own in (told.get(name) or {}).items():
            if own != usual:
                raise UserError(
                    f"{folder}: {name} gives {module} {own}, and the others have {usual}; only"
                    " adapters of one rank and alpha are read here."
                )


def _places(
    config: ModelConfig, weights: Weights, state: Weights | None, shape: Shape
) -> Iterator[Place]:
    """Their modules for our layers: those of an adapter, or all."""
    folded, _ = fold(config, weights)
    pieces = family_of(folded, shape).pieces
    by_layer: dict[str, list[Piece]] = {}
    for piece in pieces:
        if piece.ours is not None and piece.ours.endswith(".weight"):
            by_layer.setdefault(piece.ours.removesuffix(".weight"), []).append(piece)
    wanted = (
        by_layer if state is None else {key.removesuffix(".A") for key in state if key[-1] == "A"}
    )
    for layer in wanted:
        whole = weights[f"{layer}.weight"]
        own = by_layer[layer]
        if whole.ndim == 3:
            if state is None:
                continue
            raise UserError(f"peft has no adapter for the experts of {layer}; it stays here.")
        if whole.ndim != 2 or not layer.startswith("blocks."):
            continue
        sections = _sections(config, whole, layer)
        for i, piece in enumerate(own):
            rows = piece.rows or (0, len(whole))
            part = (i,) if len(own) > 1 or len(sections) == 1 else tuple(range(len(sections)))
            yield Place(piece.theirs.removesuffix(".weight"), layer, part, rows)


def _sections(config: ModelConfig, whole: Tensor, layer: str) -> tuple[int, ...]:
    """The heights of the matrices that a layer of a plain model is a stack of."""
    assert config.n_heads is not None and config.head_dim is not None
    if layer.endswith("attention.qkv"):
        kv = config.n_kv_heads * config.head_dim
        return (config.n_heads * config.head_dim, kv, kv)
    if layer.endswith("feedforward.up") and len(whole) == 2 * config.d_ff:
        return (config.d_ff, config.d_ff)
    return (len(whole),)


def _cut(config: ModelConfig, weights: Weights, place: Place) -> list[tuple[int, int]]:
    """The rows of each matrix that a module holds."""
    heights = _sections(config, weights[f"{place.layer}.weight"], place.layer)
    ends = [0]
    for height in heights:
        ends.append(ends[-1] + height)
    return [(ends[s], ends[s + 1]) for s in place.sections]


def _factors(config: ModelConfig, weights: Weights, state: Weights) -> dict[str, Tensor]:
    """What exporting multiplies each layer's outputs by, `[out, 1]`: see `scaling.export.fold`."""
    layers = {key.removesuffix(".A") for key in state if key.endswith(".A")}
    ones = {
        name: torch.ones(len(tensor), 1) if name.removesuffix(".weight") in layers else tensor
        for name, tensor in weights.items()
    }
    _, folded = fold(config, ones)
    return {layer: folded[f"{layer}.weight"] for layer in sorted(layers)}
