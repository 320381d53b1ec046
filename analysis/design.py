"""What varies among runs, found from their table: sizes, budgets, nuisances, variants.

A law is one of a *dimension* (size, tokens, ...), over runs that agree in everything else: runs of
different *variants* (attention, tokenizer, ...) are different series, and of *nuisances* (learning
rate, ...) the best value counts at each point, as one would tune it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.fits.isoflop import group_budgets

SHAPE = ("width", "depth")
TOKENS = ("D", "unique_tokens")
DIMENSIONS = (*SHAPE, *TOKENS, "context_length", "batch_size")
NAMES = {
    "N": "parameters",
    "N_non_embedding": "parameters without embeddings",
    "N_with_head": "parameters with the head",
    "width": "width",
    "depth": "depth",
    "D": "tokens",
    "unique_tokens": "unique tokens",
    "context_length": "context length",
    "batch_size": "batch size",
    "C": "training FLOPs",
    "lr": "learning rate",
}
CONVENTIONS = ("N", "N_non_embedding", "N_with_head")
PREFIX = "evaluation.tokens"  # losses of another prefix of the validation split are others
JOINT = ("N", "D", "C")
"""Axes of laws of size and tokens together, and the compute that the two decide."""

FIELDS = ("data.", "model.", "optimizer.", "schedule.", "batch.", PREFIX)
NO_VARIANTS = {  # dimensions have columns of their own; a branch is the run of its budget
    "schedule.branches",
    "model.d_model",
    "model.n_layers",
    "data.context_length",
    "batch.size",
    "batch.micro_size",
    "data.fraction",
    "data.max_documents",
}
_NUISANCES = ("optimizer.", "schedule.")
IN_BUDGETS = 0.9  # share of an isoFLOP design's runs that lie in its budgets
_SIZES = 3  # that a compute budget needs for its valley
_SAME = 1.01  # ratio up to which token counts are one: runs are of whole steps


@dataclass(frozen=True)
class Design:
    """How runs vary.

    Attributes:
        dimensions: columns of `DIMENSIONS` that vary, and N where sizes do.
        nuisances: fields whose best value counts, such as optimizer.lr.
        variants: fields that divide the runs into series.
        kind: "isoflop", "grid", "equal tokens" (in each series), or None where it is none of them;
            of the largest series where it was found.
        stated: whether the kind was stated, and so holds of every series.
    """

    dimensions: tuple[str, ...]
    nuisances: tuple[str, ...]
    variants: tuple[str, ...]
    kind: str | None
    stated: bool = False

    def describe(self) -> str:
        """In one sentence."""
        parts = [", ".join(named(one) for one in self.dimensions) or "no dimension"]
        if self.nuisances:
            parts.append(f"{', '.join(self.nuisances)} tuned at each point")
        if self.variants:
            parts.append(f"a series for each {' and '.join(self.variants)}")
        kinds = {"isoflop": "an isoFLOP design", "grid": "a grid of sizes and token counts"}
        if "D" in self.dimensions:  # which then vary between the series alone
            kinds["equal tokens"] = "equal tokens within each series"
        if self.kind is not None:
            parts.append(kinds.get(self.kind, self.kind))
        return "; ".join(parts)


def named(column: str) -> str:
    """A column in words."""
    return NAMES.get(column, column)


def amount(column: str, value: float) -> str:
    """A dimension's value in words: 1.6M tokens, width 64."""
    if column in {"N", "N_non_embedding", "N_with_head", "D", "C", "unique_tokens"}:
        value = float(f"{value:.3g}")  # before its unit is chosen: 999,936 tokens are 1M
        for unit, word in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= unit:
                return f"{value / unit:.3g}{word} {named(column)}"
    return f"{named(column)} {value:g}"


def design_of(runs: pd.DataFrame, stated: str | None = None) -> Design:
    """What varies in the table; `stated` overrides the kind of design."""
    varying = [c for c in map(str, runs) if c.startswith(FIELDS) and varies(runs, c)]
    dimensions = [c for c in DIMENSIONS if varies(runs, c) and numeric(runs, c)]
    shape = [c for c in SHAPE if c in dimensions]
    nuisances, variants = [], []
    for field in varying:
        if field in NO_VARIANTS or _follows(runs, field, shape):
            continue
        if is_nuisance(runs, field):
            nuisances.append(field)
        else:
            variants.append(field)
    # A kind decides what fields there are: where it varies its own fields go with it, and so do
    # numbers that each kind derives from the shape in its own way.
    kinds = [one for one in variants if one.endswith(".kind")]
    variants = [
        one
        for one in variants
        if one in kinds
        or not (
            _follows_text(runs, one, kinds) or (kinds and _follows(runs, one, [*shape, *kinds]))
        )
    ]
    if not shape and not variants and varies(runs, "N") and numeric(runs, "N"):
        shape = ["N"]  # runs of others, which say their parameters and no more
        dimensions.insert(0, "N")
    kind = stated or _kind(runs, variants)
    return Design(tuple(dimensions), tuple(nuisances), tuple(variants), kind, stated is not None)


def varies(runs: pd.DataFrame, column: str) -> bool:
    """Whether a column has more than one value; tokens that agree within 1 % are one."""
    if column not in runs:
        return False
    values = runs[column]
    if column in TOKENS and numeric(runs, column):
        return bool(values.max() > _SAME * values.min())
    return int(values.astype(str).nunique()) > 1


def numeric(runs: pd.DataFrame, column: str) -> bool:
    """Whether every value is a positive number."""
    if column not in runs:
        return False
    values = pd.to_numeric(runs[column], errors="coerce")
    return bool(values.notna().all() and (values > 0).all())


def series(runs: pd.DataFrame, design: Design) -> list[tuple[str, pd.DataFrame]]:
    """The runs of each variant, with its name; one without a name where nothing varies."""
    if not design.variants:
        return [("", runs)]
    fields = list(design.variants)
    found = []
    for _, part in runs.groupby(fields, sort=True, dropna=False):
        values = [part[field].iloc[0] for field in fields]
        name = ", ".join(
            f"{field.removeprefix('model.').removesuffix('.kind')} {_said(value)}"
            for field, value in zip(fields, values, strict=True)
        )
        found.append((name, part))
    return found


def settings(runs: pd.DataFrame, axes: Sequence[str]) -> list[str]:
    """The dimensions in which runs differ though a law of these axes knows nothing of them.

    A dimension that is a function of an axis (tokens at a fixed ratio to parameters) goes along
    with it. Parameters stand for their shape, and a shape for its parameters; how many of the
    tokens are unique is told beside laws of size and tokens, not held.
    """
    free = {*axes}
    if free & {*CONVENTIONS}:
        free |= {*SHAPE, *CONVENTIONS}
    elif free & {*SHAPE}:
        free |= {*CONVENTIONS}
    if free >= {"N", "D"}:
        free.add("unique_tokens")
    asked = DIMENSIONS if any(varies(runs, c) for c in SHAPE) else ("N", *DIMENSIONS)
    found = [c for c in asked if c not in free and varies(runs, c) and numeric(runs, c)]
    known = [axis for axis in axes if numeric(runs, axis)]
    return [c for c in found if not any(goes_along(runs, c, axis) for axis in known)]


def slices(runs: pd.DataFrame, axes: Sequence[str]) -> list[tuple[dict[str, float], pd.DataFrame]]:
    """Runs that differ along the axes alone, and what they agree in: the widest slice first.

    The widest has the most points along the axes; ties go to the one with the most of everything.
    """
    others = settings(runs, axes)
    if not others:
        return [({}, runs)]
    known = [axis for axis in axes if axis != "C" and numeric(runs, axis)] or list(axes)
    found = []
    for _, part in runs.groupby([level(runs, c) for c in others]):
        width = part.groupby([level(part, axis) for axis in known]).ngroups
        held = {c: float(part[c].iloc[0]) for c in others}
        found.append((width, held, part))
    found.sort(key=lambda one: (-one[0], [-value for value in one[1].values()]))
    return [(held, part) for _, held, part in found]


def frontier(runs: pd.DataFrame, cost: str = "C") -> pd.DataFrame:
    """Runs of the groups that no group as cheap undercuts, by mean loss.

    Costs within 1 % are equal: of an isoFLOP budget, whole steps would else leave several.
    """
    means = runs.groupby("group").agg(cost=(cost, "mean"), loss=("loss", "mean"))
    means = means.assign(cost=rounded(means["cost"])).sort_values(["cost", "loss"])
    best = means["loss"].cummin()
    return runs[runs["group"].isin(means.index[means["loss"] <= best])]


def kind_of(runs: pd.DataFrame) -> str | None:
    """The kind of design that the runs of one series are, see `Design`."""
    if not (numeric(runs, "N") and numeric(runs, "D")):
        return None
    if not varies(runs, "D"):
        return "equal tokens"
    tokens = level(runs, "D")
    sizes, counts = runs["N"].nunique(), tokens.nunique()
    if sizes > 1 and len(runs.groupby([runs["N"], tokens])) == sizes * counts:
        return "grid"
    if numeric(runs, "C") and in_budgets(runs).mean() >= IN_BUDGETS:
        return "isoflop"
    return None


def in_budgets(runs: pd.DataFrame) -> pd.Series:
    """Which runs belong to a compute budget that several sizes were given, [runs]."""
    budget = group_budgets(runs["C"].to_numpy(dtype=float))
    return runs["N"].groupby(budget).transform("nunique") >= _SIZES


def _kind(runs: pd.DataFrame, variants: Sequence[str]) -> str | None:
    parts = [runs]
    if variants:
        parts = [part for _, part in runs.groupby(list(variants), dropna=False)]
    found = kind_of(max(parts, key=len))
    even = not any(varies(part, "D") for part in parts)
    return found if found != "equal tokens" or even else None


def places(runs: pd.DataFrame) -> list[pd.Series]:
    """What runs at one point of the dimensions agree in, to group them by."""
    return [level(runs, c) for c in (*DIMENSIONS, "N") if c in runs]


def level(runs: pd.DataFrame, column: str) -> pd.Series:
    """A column's values, tokens `rounded`."""
    return rounded(runs[column]) if column in TOKENS and numeric(runs, column) else runs[column]


def rounded(values: pd.Series) -> pd.Series:
    """Each value as the least of those up to 1 % above which it lies: whole steps differ so.

    Counted from the least value on, so that values that do not vary (see `varies`) become one.
    """
    least, steps = -np.inf, {}
    for value in np.sort(values.astype(float).unique()):
        least = least if value <= _SAME * least else value
        steps[value] = least
    return values.astype(float).map(steps)


def is_nuisance(runs: pd.DataFrame, field: str) -> bool:
    """Whether a field is one to tune: of the optimizer, with a number in every run, maybe 0."""
    if not field.startswith(_NUISANCES) or runs[field].dtype == bool:
        return False
    return bool(np.isfinite(pd.to_numeric(runs[field], errors="coerce").astype(float)).all())


def _follows(runs: pd.DataFrame, column: str, of: Sequence[str]) -> bool:
    """Whether a numeric column is a function of others that vary, within 1 % for tokens."""
    if not of or not numeric(runs, column):
        return False
    apart = runs.groupby([level(runs, c) for c in of])[column].agg(lambda v: v.max() / v.min())
    return bool((apart <= _SAME).all())


def goes_along(runs: pd.DataFrame, column: str, axis: str) -> bool:
    """Whether a dimension is decided by the axis and rises or falls with it throughout.

    Where every run has an axis value of its own (tokens of an isoFLOP design) all columns are
    functions of it, and yet are not moved by it.
    """
    if not _follows(runs, column, [axis]):
        return False
    steps = np.diff(runs.groupby(level(runs, axis))[column].mean().to_numpy(dtype=float))
    return bool((steps >= 0).all() or (steps <= 0).all())


def _follows_text(runs: pd.DataFrame, column: str, kinds: Sequence[str]) -> bool:
    """Whether a field is decided by those of the kinds that it belongs to."""
    own = [kind for kind in kinds if column.startswith(kind.removesuffix("kind"))]
    return bool(own and (runs.astype(str).groupby(own)[column].nunique() <= 1).all())


def _said(value: object) -> str:
    if isinstance(value, float) and value != value:
        return "without"
    return f"{value:g}" if isinstance(value, float) else str(value)
