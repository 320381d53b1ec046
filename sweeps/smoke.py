"""`--smoke`: any sweep shrunk to under a minute, to see that it runs from end to end."""

import math
from collections.abc import Mapping
from typing import Any

from scaling.errors import UserError
from scaling.recipes import Tree, merge
from scaling.schema import Trail
from sweeps.axes import are_settings, is_excluded, points_of
from sweeps.fields import nest
from sweeps.space import Space, varied_by
from sweeps.spec import SweepSpec

STEPS = 12
BATCH, CONTEXT = 4, 64
D_MODEL = 64
KV_HEADS = "model.attention.n_kv_heads"
MOST_PLACES = 2  # of an axis of numbers: the smallest
MOST_SETTINGS = 8  # of an axis of named settings: from all along it
SMALL: dict[str, Any] = {
    "data.context_length": CONTEXT,
    "model.n_layers": 2,
    "batch.size": BATCH,
    "batch.micro_size": "auto",
    "evaluation.every": 0.5,
    "evaluation.tokens": 2000,
    "evaluation.prompts": ["Once upon a time"],
    "tracking.log_every": 2,
    "tracking.norms_every": None,
}


def smoke_spec(spec: SweepSpec) -> SweepSpec:
    """The same questions with few places on each axis, few seeds and few steps."""
    grid: dict[str, Any] = {}
    for name, values in (spec.grid or {}).items():
        if _is_budget(name):
            continue
        if isinstance(values, list):
            kept = sorted(values) if _are_numbers(values) else _without_budgets(values)
            if are_settings(values):
                kept = kept[:: max(1, -(-len(kept) // MOST_SETTINGS))]
            else:
                kept = kept[:MOST_PLACES]
            if kept:
                grid[name] = kept
        elif isinstance(values, dict):
            together = {
                field: list_[:MOST_PLACES] if isinstance(list_, list) else list_
                for field, list_ in values.items()
                if not _is_budget(field)
            }
            if together:
                grid[name] = together
        else:
            grid[name] = values
    changes: dict[str, Any] = {
        "name": f"{spec.name}-smoke",
        "budget": {"steps": STEPS},
        "seeds": list(spec.seeds[: 2 if len(grid) < 2 else 1]),
        "grid": grid or None,
        "where": None,  # but for what is left of it below
        "experiment": f"{spec.experiment or 'tinyscale'}-smoke",
    }
    if spec.lr_per_size:
        changes["lr_per_size"] = spec.lr_per_size.model_dump() | {"points": 2}
    if spec.search:
        space = _space_without_budgets(spec.search.space)
        few = {"trials": min(4, spec.search.trials), "space": space}
        changes["search"] = spec.search.model_dump() | few
        if spec.search.pruner.kind != "none":  # it compares runs of as many tokens
            changes["budget"] = {"tokens": STEPS * BATCH * CONTEXT}
    small = SweepSpec.model_validate(spec.model_dump(exclude_none=True) | changes)
    if spec.where and (left := _exclusions_left(spec, small)):
        small = small.model_copy(update={"where": spec.where.model_copy(update={"exclude": left})})
    return small


def smoke_base(spec: SweepSpec, base: Tree, trail: Trail) -> None:
    """Small models on little text, but for what the sweep itself varies."""
    varied = varied_by(spec)
    small = {field: value for field, value in SMALL.items() if field not in varied}
    if "model.d_model" not in varied:
        small["model.d_model"] = _width(spec)
        if not varied & {"model.n_heads", "model.head_dim"}:
            model = base.get("model", {})
            small["model.n_heads"] = heads = _heads(model)
            groups = (model.get("attention") or {}).get("n_kv_heads")
            if groups and heads % groups and KV_HEADS not in varied:
                small[KV_HEADS] = 2
    corpus = base.get("data", {}).get("corpus", {})
    if corpus.get("kind", "stories") == "stories":
        small["data.corpus.documents"] = 600
    tokenizer = base.get("data", {}).get("tokenizer", {})
    if tokenizer.get("kind", "bpe") == "bpe" and "data.tokenizer.vocab_size" not in varied:
        small["data.tokenizer.vocab_size"] = 512
    merge(base, nest(small), trail, "--smoke")


def _width(spec: SweepSpec) -> int:
    """The least multiple of the small width into which all heads divide that the sweep tries."""
    points = Space(spec.search.space).corners() if spec.search else points_of(spec)
    models = [nest(point.settings).get("model") or {} for point in points]
    heads = [model.get(field) for model in models for field in ("head_dim", "n_heads")]
    return math.lcm(D_MODEL, *(number for number in heads if isinstance(number, int)))


def _heads(model: Mapping[str, Any]) -> int:
    """As many as the base has, which its heads of keys and values divide; where they would not
    divide the small width, as the 6 of a width of 384, so many that 1, 2, 4 and 8 divide them."""
    heads = model.get("n_heads") or model.get("d_model", 128) // (model.get("head_dim") or 32)
    return heads if heads and D_MODEL % (2 * heads) == 0 else 8


def _is_budget(field: str) -> bool:
    return field.split(".")[0] == "budget"


def _without_budgets(values: list[Any]) -> list[Any]:
    """An axis's places without the budgets that they set; none that set nothing else."""
    kept = []
    for value in values:
        if isinstance(value, dict):
            value = {field: inner for field, inner in value.items() if not _is_budget(field)}
            if not value.keys() - {"label"}:
                continue
        kept.append(value)
    return kept


def _space_without_budgets(space: dict[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, item in space.items():
        choices = item.get("choices")
        if isinstance(choices, list | tuple):
            item = item | {"choices": _without_budgets(list(choices))}
        if not _is_budget(name) and item.get("choices") != []:
            kept[name] = item
    if not kept:
        raise UserError("--smoke has a budget of its own, and this search varies nothing else.")
    return kept


def _exclusions_left(spec: SweepSpec, small: SweepSpec) -> tuple[dict[str, Any], ...]:
    """The exclusions that still leave something out, unless they leave out all."""
    assert spec.where is not None
    points = points_of(small)
    left = tuple(
        item
        for item in spec.where.exclude
        if any(is_excluded(item, point.settings) for point in points)
    )
    whole = all(any(is_excluded(item, point.settings) for item in left) for point in points)
    return () if whole else left


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)
