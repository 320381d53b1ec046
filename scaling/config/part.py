"""What all parts of a config share: strictness, and how their rules complain."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError


def mistake(message: str) -> PydanticCustomError:
    """The error of a rule that spans fields, as a clause that names them."""
    return PydanticCustomError("mistake", "{message}", {"message": message})


def _share_or_steps(given: Any, number: ValidatorFunctionWrapHandler) -> float:
    """1 is one step, and 1.0 the whole run, as in a grid of 0.2, 0.6 and 1.0."""
    length: float = number(given)
    if 0 < length < 1 or (length == 1 and isinstance(given, float)):
        return length
    if length != int(length):
        raise mistake(f"{length:g} is neither a share of the run, to 1.0, nor whole steps")
    return int(length)


def _as_it_is(length: float) -> Any:
    return length  # that of a float makes 1 into 1.0


Share = Annotated[float, Field(ge=0, le=1)]
Memory = Annotated[float, Field(ge=0, lt=1)]
Length = Annotated[
    float, Field(ge=0), WrapValidator(_share_or_steps), PlainSerializer(_as_it_is)
]  # a share of the run (float, to 1.0) or steps (int)
Interval = Annotated[Length, Field(gt=0)]


class Part(BaseModel):
    """A piece of a config: frozen, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _default_kinds(cls, given: Any) -> Any:
        """A variant's fields without its `kind` mean the variant that is the default."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        for name, value in given.items():
            field = cls.model_fields.get(name)
            kind = getattr(field.default, "kind", None) if field else None
            if kind is not None and isinstance(value, dict) and "kind" not in value:
                filled[name] = {"kind": kind, **value}
        return filled

    # Fields whose good values differ by kind: a new `kind` does not inherit them.
    own_fields: ClassVar[frozenset[str]] = frozenset()

    def _derive(self, **values: Any) -> None:
        """Fill in fields that follow from others; only for validators."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def divisors(whole: int) -> list[int]:
    """All of them, the least first."""
    return [d for d in range(1, whole + 1) if whole % d == 0]


def nearest_to(wanted: int, numbers: Iterable[int]) -> int:
    """The number that is nearest; of two the first."""
    return min(numbers, key=lambda number: abs(number - wanted))


def nearest_divisor(whole: int, wanted: int) -> int:
    """The divisor of `whole` that is nearest to `wanted`."""
    return nearest_to(wanted, divisors(whole))
