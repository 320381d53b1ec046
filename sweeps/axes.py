"""From a grid to its points: axes, fields that change together, combinations left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from scaling.errors import UserError
from scaling.recipes import field_at
from sweeps.spec import SweepSpec

Settings = dict[str, Any]  # dotted field to value
# Columns of plans and leaderboards: an axis of that name would be overwritten by them.
COLUMNS = (
    *("name", "seed", "seeds", "status", "state", "trial", "identity", "folder", "error"),
    *("cohort", "steps", "tokens", "epochs", "tokens_per_param", "flops", "diverged"),
)


@dataclass(frozen=True)
class Point:
    """One combination: what it sets, and what it is called by each axis."""

    settings: Settings
    labels: dict[str, str]

    def text(self) -> str:
        """`d_model=64,lr=0.01`."""
        return ",".join(f"{axis}={value}" for axis, value in self.labels.items())


@dataclass(frozen=True)
class Axis:
    """One thing that varies, and the fields that it sets at each of its places."""

    name: str
    places: tuple[tuple[str, Settings], ...]  # label and settings

    @property
    def fields(self) -> set[str]:
        """All fields that some place sets."""
        return {field for _, settings in self.places for field in leaves(settings)}

    @property
    def always(self) -> set[str]:
        """The fields that every place sets."""
        return set.intersection(*(leaves(settings) for _, settings in self.places))


def points_of(spec: SweepSpec) -> list[Point]:
    """Every point of a grid, in the order of the file; one empty point where nothing varies."""
    axes = axes_of(spec)
    fields = {field for axis in axes for _, settings in axis.places for field in settings}
    excluded = [_exclusion(item, fields) for item in (spec.where.exclude if spec.where else ())]
    names = short_names([axis.name for axis in axes])
    found, used = [], [0] * len(excluded)
    for places in product(*(axis.places for axis in axes)):
        settings: Settings = {}
        for _, some in places:
            settings.update(some)
        hits = [i for i, item in enumerate(excluded) if is_excluded(item, settings)]
        for i in hits:
            used[i] += 1
        if not hits:
            labels = {name: label for name, (label, _) in zip(names, places, strict=True)}
            found.append(Point(settings, labels))
    for count, item in zip(used, excluded, strict=True):
        if not count:
            raise UserError(f"where.exclude {item} matches no point of the grid.")
    if not found:
        raise UserError("where.exclude leaves no point of the grid.")
    return found


def axes_of(spec: SweepSpec) -> list[Axis]:
    """The axes: those of the grid, then learning rates, then FLOP budgets."""
    axes = [_axis(name, values) for name, values in (spec.grid or {}).items()]
    of_grid = {field for axis in axes for field in axis.fields}
    if spec.lr_per_size:
        axes.append(_axis(spec.lr_per_size.field, spec.lr_per_size.rates))
    if spec.budget and spec.budget.isoflop:
        axes.append(_axis("budget.flops", list(spec.budget.isoflop)))
    for field in of_grid:
        if field.split(".")[0] == "budget" and spec.budget:
            raise UserError(f"the sweep has a budget, and the grid's {field} another.")
    check_owners({axis.name: axis.fields for axis in axes}, "axes")
    return axes


def check_owners(fields: Mapping[str, Iterable[str]], things: str) -> None:
    """Raise one sentence where two of these `things` set one field, or one the seed.

    Budgets are one field: the last that is set would replace the others.
    """
    owner: dict[str, str] = {}
    for name, own in fields.items():
        for field in own:
            if field == "seed":
                raise UserError("seed is not to be varied here: list the seeds under seeds.")
            one = "budget" if field.split(".")[0] == "budget" else field
            if owner.setdefault(one, name) != name:
                raise UserError(f"{one} is set by two {things}, {owner[one]} and {name}.")


def _axis(name: str, values: Any) -> Axis:
    if isinstance(values, Mapping):
        return Axis(name, tuple(_zipped(name, values)))
    if not isinstance(values, list):
        raise UserError(f"grid.{name} is {values!r}, but an axis is a list of values.")
    if not values:
        raise UserError(f"grid.{name} is an empty axis.")
    if not are_settings(values):
        check_field(name)
    labels = told_apart(f"grid.{name}", labels_of(values))
    places = list(zip(labels, settings_of(name, values), strict=True))
    for _, settings in places:
        if not settings:
            raise UserError(f"grid.{name} has a place that sets no field.")
        for field in settings:
            check_field(field)
    return Axis(name, tuple(places))


def _zipped(name: str, lists: Mapping[str, Any]) -> list[tuple[str, Settings]]:
    """An axis of several fields that change together."""
    lengths = {}
    for field, values in lists.items():
        check_field(field)
        if not isinstance(values, list) or not values:
            raise UserError(f"grid.{name}.{field} is {values!r}, but it is a list of values.")
        lengths[field] = len(values)
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{field} has {n}" for field, n in lengths.items()) or "it is empty"
        raise UserError(f"grid.{name}: fields that change together have as many values: {told}.")
    rows = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    columns = [labels_of(values) for values in lists.values()]
    labels = ["/".join(row) for row in zip(*columns, strict=True)]
    return list(zip(told_apart(f"grid.{name}", labels), rows, strict=True))


def settings_of(name: str, values: Sequence[Any]) -> list[Settings]:
    """What each value of an axis or of choices sets: the field `name`, or the fields it lists."""
    if not are_settings(values):
        return [{name: value} for value in values]
    rows = [{str(k): inner for k, inner in row.items() if k != "label"} for row in values]
    if is_field(name) and not any("." in field for row in rows for field in row):
        return [{name: row} for row in rows]  # labelled values of one field, each a mapping
    return rows


def labels_of(values: Sequence[Any]) -> list[str]:
    """What each is called: its label, else its value; of mappings with one `kind`, all of it."""
    short = [label_of(value) for value in values]
    return [
        "/".join(label_of(inner) for inner in value.values())
        if isinstance(value, Mapping) and "label" not in value and short.count(label) > 1
        else label
        for value, label in zip(values, short, strict=True)
    ]


def told_apart(place: str, labels: list[str]) -> list[str]:
    """The labels, or one sentence where two at this place of the file are alike."""
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"{place} has {label} twice.")
    return labels


def leaves(settings: Settings) -> set[str]:
    """The dotted fields that are set, those of a mapping one by one."""
    found: set[str] = set()
    for field, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= leaves({f"{field}.{key}": inner for key, inner in value.items()})
        else:
            found.add(field)
    return found


def check_field(dotted: str) -> None:
    """Raise one sentence where a dotted name is no field of a config."""
    if not is_field(dotted):
        field_at(dotted.split("."))  # raises, with the nearest name
        raise UserError(f"{dotted} is not a field of a config.")


def are_settings(values: Sequence[Any]) -> bool:
    """Whether a list is of dotted fields to set together, and not of one field's values."""
    return all(isinstance(value, Mapping) for value in values) and any(
        "." in str(field) or field == "label" for value in values for field in value
    )


def is_field(dotted: str) -> bool:
    """Whether a dotted name is a field of a config, of some variant."""
    try:
        field_at(str(dotted).split("."))
    except UserError:
        return False
    return True


def _exclusion(item: Mapping[str, Any], fields: set[str]) -> Settings:
    for field in item:
        if field not in fields:
            known = ", ".join(sorted(fields))
            raise UserError(f"where.exclude names {field}, and the grid varies {known}.")
    return dict(item)


def is_excluded(item: Settings, settings: Settings) -> bool:
    """Whether a point has all values of an exclusion, of which each may be a list of them."""
    return all(
        field in settings and settings[field] in (values if isinstance(values, list) else [values])
        for field, values in item.items()
    )


def short_names(names: Sequence[str]) -> list[str]:
    """Each dotted name's last word, or two words where the last is not enough to tell.

    Raises UserError for a name of one word that every table has already.
    """
    for name in names:
        if name in COLUMNS:
            raise UserError(f"an axis cannot be called {name}: every table has that column.")
    last = [name.rsplit(".", 1)[-1] for name in names]
    return [
        ".".join(name.split(".")[-2:])
        if last.count(word) > 1 or word == "kind" or word in COLUMNS
        else word
        for name, word in zip(names, last, strict=True)
    ]


def label_of(value: Any) -> str:
    """A value as tables and names show it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        told = value.get("label") or value.get("kind")
        return str(told or "/".join(label_of(inner) for inner in value.values()))
    if isinstance(value, list | tuple):
        return "+".join(label_of(inner) for inner in value)
    return str(value)
