"""How long a run is: one number of the user's, resolved once into optimizer steps."""

from dataclasses import asdict, dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]


_WHOLE = ("tokens", "steps")


class Budget(BaseModel):
    """Exactly one of the five ways to say how long to train."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: Count | None = Field(None, description="training tokens, repeats counted")
    steps: Count | None = Field(None, description="optimizer steps")
    epochs: Positive | None = Field(None, description="passes over the training tokens")
    flops: Positive | None = Field(None, description="training FLOPs, exact (3 x forward)")
    tokens_per_param: Positive | None = Field(
        None, description="training tokens per parameter (all parameters counted)"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [f"budget.{name}" for name in self.model_fields_set if getattr(self, name)]
        if len(given) != 1:
            ways = "tokens, steps, epochs, flops or tokens_per_param"
            found = f"{' and '.join(sorted(given))} are given" if given else "none is given"
            raise PydanticCustomError("mistake", f"{found}, but a budget is exactly one of {ways}")
        return self

    def scaled(self, share: float) -> "Budget":
        """A share of this budget, in the same unit; of what is counted never less than one."""
        (unit,) = (name for name in type(self).model_fields if getattr(self, name) is not None)
        amount = getattr(self, unit) * share
        whole = unit in _WHOLE
        return Budget.model_validate({unit: max(1, round(amount)) if whole else amount})

    def resolve(
        self,
        *,
        tokens_per_step: int,
        tokens_per_epoch: int,
        flops_per_token: float,
        parameters: int,
    ) -> "ResolvedBudget":
        """The budget in every unit, rounded to whole steps and never below one.

        `flops_per_token` are training FLOPs (forward and backward) a token.
        """
        if self.steps is not None:
            steps = self.steps
        else:
            if self.tokens is not None:
                tokens: float = self.tokens
            elif self.epochs is not None:
                tokens = self.epochs * tokens_per_epoch
            elif self.flops is not None:
                tokens = self.flops / flops_per_token
            else:
                assert self.tokens_per_param is not None  # the validator saw to it
                tokens = self.tokens_per_param * parameters
            steps = max(1, round(tokens / tokens_per_step))
        total = steps * tokens_per_step
        return ResolvedBudget(
            steps=steps,
            tokens=total,
            epochs=total / tokens_per_epoch,
            flops=total * flops_per_token,
            tokens_per_param=total / parameters,
        )


@dataclass(frozen=True)
class ResolvedBudget:
    """One length in all five units; `steps` is the one that the trainer obeys."""

    steps: int
    tokens: int
    epochs: float
    flops: float
    tokens_per_param: float

    def describe(self) -> str:
        """One line for people."""
        return (
            f"{self.steps:,} steps = {self.tokens:,} tokens = {self.epochs:.2f} epochs"
            f" = {self.flops:.3g} FLOPs = {self.tokens_per_param:.2f} tokens per parameter"
        )

    def as_dict(self) -> dict[str, float]:
        """Field name to figure."""
        return asdict(self)


def in_steps(interval: float | None, total: int) -> int | None:
    """An interval of a config (a float is a share of the run, an int steps) in whole steps."""
    if interval is None:
        return None
    return max(1, round(interval * total)) if isinstance(interval, float) else interval
