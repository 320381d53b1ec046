"""What a sweep is, as data: `SweepSpec` and its parts."""

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from scaling.budget import Budget, Count, Positive

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class SpecPart(BaseModel):
    """A part of a sweep file: unknown keys are refused, nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def mistake(sentence: str) -> PydanticCustomError:
    """A rule over several fields that does not hold; the text is shown as it is."""
    return PydanticCustomError("mistake", "{sentence}", {"sentence": sentence})


class SweepBudget(Budget):
    """How long every run is: one of a run's five ways, or each of several FLOP budgets."""

    isoflop: tuple[Positive, ...] | None = Field(
        None, description="FLOP budgets: every model of the grid is trained at each of them"
    )


class Where(SpecPart):
    """Which points of the grid are left out."""

    exclude: tuple[dict[str, Any], ...] = Field(
        min_length=1,
        description="combinations to leave out; a list of values means any of them",
    )


class RatePerSize(SpecPart):
    """A small search of the learning rate for every other point of the grid."""

    low: Positive = Field(description="the lowest rate")
    high: Positive = Field(description="the highest rate")
    points: int = Field(5, ge=2, le=50, description="how many, evenly spaced in the logarithm")
    field: str = Field("optimizer.lr", description="the rate's field")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise mistake(f"lr_per_size.low {self.low:g} is not below high {self.high:g}")
        return self

    @property
    def rates(self) -> list[float]:
        """The rates, rounded to three digits so that their hashes stay the same everywhere."""
        ratio = (self.high / self.low) ** (1 / (self.points - 1))
        return [float(f"{self.low * ratio**i:.3g}") for i in range(self.points)]


class Objective(SpecPart):
    """A figure of the ended run that the search makes small or large."""

    metric: str = Field("final/val_loss", description="a final figure of a run")
    direction: Literal["minimize", "maximize"] = "minimize"

    @property
    def figure(self) -> str:
        """What a run's summary calls it."""
        return self.metric.replace("/", "_")

    @property
    def worst(self) -> float:
        """What a diverged run has."""
        return math.inf if self.direction == "minimize" else -math.inf

    def rank(self, value: float | None) -> float:
        """A number that is the smaller the better; infinite where there is no value."""
        if value is None:
            return math.inf
        return value if self.direction == "minimize" else -value


class Sampler(SpecPart):
    """Who proposes the next point; any sampler of Optuna's, with its own options."""

    kind: Literal["tpe", "gp", "qmc", "cmaes", "nsgaii", "nsgaiii", "random"] = "tpe"
    options: dict[str, Any] = Field({}, description="arguments of Optuna's class")


class Pruner(SpecPart):
    """Who ends runs that look hopeless; any pruner of Optuna's, with its own options."""

    kind: Literal["none", "median", "percentile", "hyperband", "successive_halving", "patient"] = (
        "none"
    )
    options: dict[str, Any] = Field(
        {}, description="arguments of Optuna's class; its steps are percents of the budget"
    )


class Search(SpecPart):
    """Points that a sampler proposes, one after another."""

    space: dict[str, dict[str, Any]] = Field(
        min_length=1, description="field: {low, high, log, step} or {choices}"
    )
    trials: Count = Field(description="how many points, each trained with every seed")
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    objectives: tuple[Objective, ...] = Field(
        (Objective(),),
        min_length=1,
        description="what is made small or large: [{metric, direction}, ...]; else final/val_loss",
    )
    seed: Seed = Field(0, description="of the sampler")
    batch: Count | None = Field(None, description="points asked for at a time; else by machine")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, tree: Any) -> Any:
        """`sampler: tpe` is `sampler: {kind: tpe}`, and so for the pruner."""
        if isinstance(tree, dict):
            return {
                key: {"kind": value}
                if key in ("sampler", "pruner") and isinstance(value, str)
                else value
                for key, value in tree.items()
            }
        return tree


class SweepSpec(SpecPart):
    """One sweep: a base config, what varies, seeds and a budget."""

    name: str = Field(description="what the sweep is called; its record is found by it again")
    question: str | None = Field(None, description="what it is to answer")
    base: str = Field("baseline", description="the config that all runs start from")
    fields: dict[str, Any] = Field({}, description="dotted fields set alike in every run")
    budget: SweepBudget | None = Field(None, description="of every run; else the base's")
    seeds: tuple[Seed, ...] = Field((), description="each point is trained with each; else one")
    grid: dict[str, Any] | None = Field(
        None,
        description="axes: field: [values], name: {field: [values], ...} for fields that change"
        " together, or name: [{field: value, ...}, ...]",
    )
    where: Where | None = Field(None, description="points of the grid that are left out")
    lr_per_size: RatePerSize | None = Field(
        None, description="a learning-rate search for each other point of the grid"
    )
    search: Search | None = Field(None, description="a search, in place of a grid")
    experiment: str | None = Field(None, description="MLflow experiment; else the base's")
    max_consecutive_failures: Count = Field(
        3, description="stop when so many points in a row have failed, whatever their seeds"
    )
    cohort: Count | Literal["auto"] = Field("auto", description="most runs in one program")
    workers: Count | Literal["auto"] = Field("auto", description="processes that train")

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+=,-]*", self.name):
            raise mistake(
                f"name {self.name!r} names a folder: use letters, digits and any of . _ + = , -"
            )
        if self.search and (self.grid or self.lr_per_size or self.where):
            raise mistake("search and grid exclude each other; give one of them")
        if self.search and self.budget and self.budget.isoflop:
            raise mistake("budget.isoflop goes with a grid of sizes, not with search")
        if self.where and not self.grid:
            raise mistake("where leaves points of a grid out, and there is no grid")
        if len(set(self.seeds)) < len(self.seeds):
            raise mistake(f"seeds {list(self.seeds)} has one twice")
        return self
