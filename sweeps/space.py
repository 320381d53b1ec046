"""From a search space in a sweep file to Optuna's distributions, and back to fields."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, get_args

from pydantic import Field, ValidationError, model_validator

from scaling.errors import UserError
from scaling.recipes import field_at
from scaling.schema import nearest
from sweeps.axes import (
    Point,
    Settings,
    are_settings,
    axes_of,
    check_field,
    check_owners,
    label_of,
    labels_of,
    leaves,
    settings_of,
    short_names,
    told_apart,
)
from sweeps.spec import SpecPart, SweepSpec, mistake

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class Parameter(SpecPart):
    """One dimension of a space: a range, or choices."""

    low: float | None = Field(None, allow_inf_nan=False)
    high: float | None = Field(None, allow_inf_nan=False)
    log: bool = False
    step: float | None = Field(None, gt=0)
    choices: tuple[Any, ...] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step:
                raise mistake("choices stand alone, without low, high, log and step")
            return self
        if self.low is None or self.high is None:
            raise mistake("a parameter has low and high, or choices")
        if self.low >= self.high:
            raise mistake(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise mistake(f"log needs low above 0, not {self.low:g}")
        if self.log and self.step:
            raise mistake("log and step exclude each other")
        return self

    @property
    def top(self) -> float | None:
        """The highest value that is ever proposed: the last whole step."""
        if self.low is None or self.high is None or self.step is None:
            return self.high
        # The margin is for steps such as .1, of which floats hold no whole number.
        return self.low + self.step * int((self.high - self.low) / self.step + 1e-9)


@dataclass(frozen=True)
class Dimension:
    """A named parameter of the space, with what it sets."""

    name: str
    parameter: Parameter
    whole: bool  # whether the field holds whole numbers

    def distribution(self) -> "BaseDistribution":
        """Optuna's distribution. Choices are told to it as canonical JSON, the same for ever."""
        from optuna import distributions

        p = self.parameter
        if p.choices is not None:
            return distributions.CategoricalDistribution([encode(value) for value in p.choices])
        assert p.low is not None and p.high is not None
        if self.whole:
            step = int(p.step or 1)
            return distributions.IntDistribution(int(p.low), int(p.high), log=p.log, step=step)
        return distributions.FloatDistribution(p.low, p.high, log=p.log, step=p.step)

    @property
    def fields(self) -> set[str]:
        """All fields that some value sets."""
        choices = self.parameter.choices
        if choices is None:
            return {self.name}
        return set().union(*map(leaves, settings_of(self.name, choices)))

    def settings(self, value: Any) -> Settings:
        """The fields that a suggested value sets."""
        p = self.parameter
        if p.choices is not None:
            return settings_of(self.name, p.choices)[self._place(value)]
        if self.whole:
            return {self.name: int(value)}
        assert p.low is not None and p.high is not None
        # Four digits say all that a learning rate can, and repeated points then meet; elsewhere
        # only what floats make of sums of steps is cut off.
        digits = 4 if p.log else 12
        return {self.name: min(max(float(f"{value:.{digits}g}"), p.low), p.high)}

    def label(self, value: Any) -> str:
        """The suggested value as tables show it."""
        if self.parameter.choices is None:
            return label_of(self.settings(value)[self.name])
        return labels_of(self.parameter.choices)[self._place(value)]

    def _place(self, value: Any) -> int:
        return [encode(choice) for choice in self.parameter.choices or ()].index(value)

    def ends(self) -> list[Any]:
        """Suggested values at the ends, or every choice: what is tried before anything runs."""
        p = self.parameter
        return [p.low, p.top] if p.choices is None else [encode(value) for value in p.choices]


class Space:
    """All dimensions, in the order of the file."""

    def __init__(self, tree: dict[str, dict[str, Any]]) -> None:
        self.dimensions = [_dimension(name, item) for name, item in tree.items()]
        check_owners({one.name: one.fields for one in self.dimensions}, "dimensions of the space")
        self._short = short_names([dimension.name for dimension in self.dimensions])

    def distributions(self) -> dict[str, "BaseDistribution"]:
        """What Optuna is asked with."""
        return {d.name: d.distribution() for d in self.dimensions}

    def point(self, params: dict[str, Any]) -> Point:
        """The point that suggested values make."""
        settings: Settings = {}
        for dimension in self.dimensions:
            settings.update(dimension.settings(params[dimension.name]))
        labels = {
            short: dimension.label(params[dimension.name])
            for short, dimension in zip(self._short, self.dimensions, strict=True)
        }
        return Point(settings, labels)

    def corners(self) -> list[Point]:
        """The first end of every dimension, and from there each other end alone."""
        first = {d.name: d.ends()[0] for d in self.dimensions}
        others = [first | {d.name: end} for d in self.dimensions for end in d.ends()[1:]]
        return [self.point(params) for params in [first, *others]]

    @property
    def fields(self) -> set[str]:
        """All fields that some point sets."""
        return {field for one in self.dimensions for field in one.fields}

    @property
    def always(self) -> set[str]:
        """The fields that every point sets."""
        return set.intersection(*(leaves(point.settings) for point in self.corners()))


def varied_by(spec: SweepSpec) -> set[str]:
    """The fields in which a sweep's runs differ: those of its axes, or of its search's space."""
    fields = {field for axis in axes_of(spec) for field in axis.fields}
    return fields | (Space(spec.search.space).fields if spec.search else set())


def encode(value: Any) -> str:
    """A choice as the string that Optuna knows it by."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _dimension(name: str, tree: dict[str, Any]) -> Dimension:
    place = f"search.space.{name}"
    for key in tree:
        if key not in Parameter.model_fields:
            close = nearest(key, list(Parameter.model_fields))
            hint = f"did you mean {close}?" if close else "it has low, high, log, step or choices."
            raise UserError(f"{place}.{key} is not known; {hint}")
    try:
        parameter = Parameter.model_validate(tree)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        where = ".".join([place, *map(str, details["loc"])])
        raise UserError(f"{where}: {details['msg']}.") from None
    if parameter.choices is not None:
        told_apart(f"{place}.choices", labels_of(parameter.choices))
        if are_settings(parameter.choices):
            for settings in settings_of(name, parameter.choices):
                if not settings:
                    raise UserError(f"{place}.choices has one that sets no field.")
                for field in settings:
                    check_field(field)
            return Dimension(name, parameter, whole=False)
    check_field(name)
    part, field = field_at(name.split("."))
    kinds = set(_plain_types(part.model_fields[field].annotation))
    if parameter.choices is None and not kinds & {int, float}:
        raise UserError(f"{place} has low and high, and {name} holds no numbers: give choices.")
    whole = int in kinds and float not in kinds
    for key in ("low", "high", "step"):
        bound = getattr(parameter, key)
        if whole and bound is not None and bound != int(bound):
            raise UserError(f"{place}.{key} is {bound:g}, and {name} holds whole numbers.")
    return Dimension(name, parameter, whole)


def _plain_types(annotation: Any) -> list[Any]:
    """The types that a field admits, such as int and str."""
    arms = get_args(annotation)
    return [annotation] if not arms else [kind for arm in arms for kind in _plain_types(arm)]
