"""The kinds of learning rate schedule."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from scaling.config.part import Interval, Length, Part, Share, mistake


class Schedule(Part):
    """What all schedules have: a linear rise from nothing to the peak."""

    own_fields: ClassVar[frozenset[str]] = frozenset({"final"})

    warmup: Length = Field(
        0.05, description="length of the rise: a share of the run, to 1.0, or steps"
    )


class Cosine(Schedule):
    """Half a cosine from the peak to `final` times it (arXiv:1608.03983)."""

    kind: Literal["cosine"] = "cosine"
    final: Share = Field(0.1, description="last rate over the peak rate")


class Linear(Schedule):
    """A straight line from the peak to `final` times it (arXiv:2502.15938)."""

    kind: Literal["linear"] = "linear"
    final: Share = Field(0.0, description="last rate over the peak rate")


class WarmupStableDecay(Schedule):
    """The peak held, then a decay at the end (Hu et al., arXiv:2404.06395)."""

    kind: Literal["wsd"] = "wsd"
    decay: Interval = Field(
        0.2, description="length of the decay: a share of the run, to 1.0, or steps"
    )
    shape: Literal["linear", "sqrt", "cosine"] = Field(
        "linear", description="of the decay; sqrt is 1 - sqrt(progress) (arXiv:2405.18392)"
    )
    final: Share = Field(0.0, description="last rate over the peak rate")
    branches: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (),
        description="shares of the budget at which a decayed end is made on the way: each is"
        " recorded as the run of its own that it equals",
    )

    @model_validator(mode="after")
    def _branches_equal_runs(self) -> Self:
        if self.branches and isinstance(self.warmup, float):
            raise mistake(
                f"schedule.branches needs schedule.warmup in steps, since {self.warmup:g} of the"
                " run is another length in a shorter one"
            )
        return self


class InverseSqrt(Schedule):
    """Falls with the root of the steps since the warmup's start (arXiv:1706.03762)."""

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"


class Constant(Schedule):
    """The peak held to the end."""

    kind: Literal["constant"] = "constant"


ScheduleConfig = Annotated[
    Cosine | Linear | WarmupStableDecay | InverseSqrt | Constant, Field(discriminator="kind")
]
