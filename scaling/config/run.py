"""What a run is, as data: `RunConfig`, and the parts that say how it is trained and recorded."""

import hashlib
import json
import os
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from scaling.budget import Budget, Count
from scaling.config.data import PLACES, DataConfig
from scaling.config.model import LearnedPosition, MaximalUpdate, ModelConfig
from scaling.config.optimizer import (
    SGD,
    Adafactor,
    Adam,
    AdamW,
    OptimizerConfig,
    rate_by_size,
)
from scaling.config.part import Interval, Part, Share, mistake, nearest_divisor
from scaling.config.schedule import Cosine, ScheduleConfig, WarmupStableDecay


class BatchConfig(Part):
    """How many sequences make a step."""

    size: Count = Field(16, description="sequences an optimizer step")
    micro_size: Count | Literal["auto"] = Field(
        "auto", description="sequences a pass; less than size accumulates gradients"
    )

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.micro_size != "auto" and self.size % self.micro_size:
            raise mistake(
                f"batch.micro_size {self.micro_size} does not divide batch.size {self.size};"
                f" the nearest that does is {nearest_divisor(self.size, self.micro_size)}",
            )
        return self


class EvaluationConfig(Part):
    """When and on what the run is judged."""

    every: Interval | None = Field(
        0.1,
        description="validate at this share of the run (or so many steps), but for one that comes"
        " shortly before the end; null: at the ends",
    )
    tokens: Count | Literal["all"] = Field(
        "all", description="validation tokens: the whole split, or a fixed prefix of it"
    )
    ema: Share | None = Field(
        None, description="memory of averaged weights that are judged beside the raw; null: none"
    )
    prompts: tuple[str, ...] = Field(
        ("Once upon a time", "One day"), description="what samples of text begin with; []: none"
    )
    watch_every: Interval | None = Field(
        None,
        description="write samples and ask the prompt set at this share of the run (or so many"
        " steps); null: samples at the end alone",
    )
    prompt_set: str | None = Field(
        None, description="what is asked then: stories, tinystories, or a prompt file"
    )
    prompt_limit: Count = Field(100, description="how many of its prompts, spread over the set")

    @model_validator(mode="after")
    def _asked_at_some_time(self) -> Self:
        if self.prompt_set is not None and self.watch_every is None:
            raise mistake(
                "evaluation.prompt_set is asked at evaluation.watch_every: give that too"
            )
        return self


class CheckpointConfig(Part):
    """What is kept besides the last and the best."""

    every: Interval | None = Field(
        None, description="keep a checkpoint at this share of the run (or so many steps)"
    )
    keep: Count = Field(3, description="how many of those to keep, the newest")
    save_every: Interval = Field(
        0.1, description="refresh the last checkpoint at this share of the run (or so many steps)"
    )


class RuntimeConfig(Part):
    """How the machine is used; it changes speed, not what is computed, but for rounding."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to train")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of activations and products; weights are always fp32"
    )
    compile: Literal["auto"] | bool = Field("auto", description="use torch.compile")
    deterministic: bool = Field(False, description="refuse operations that vary between runs")
    threads: Count | None = Field(None, description="CPU threads; else all cores")


class TrackingConfig(Part):
    """Where the record goes."""

    experiment: str = Field("tinyscale", min_length=1, description="MLflow experiment")
    uri: str | None = Field(
        None, description="MLflow store; else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here"
    )
    folder: Annotated[str, AfterValidator(os.path.expanduser)] = Field(
        "runs", description="where run folders are made"
    )
    log_every: Interval = Field(
        0.01, description="log the training loss at this share of the run (or so many steps)"
    )
    norms_every: Interval | None = Field(
        0.1, description="log gradient and weight norms by layer; null: never"
    )


class RunConfig(Part):
    """One training run: everything that decides what is computed, and where it is recorded."""

    name: str = Field("baseline", description="what the run is called")
    seed: int = Field(42, ge=0, lt=2**63, description="of initial weights and data order")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = AdamW()
    schedule: ScheduleConfig = Cosine()
    budget: Budget
    batch: BatchConfig = BatchConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    tracking: TrackingConfig = TrackingConfig()

    @model_validator(mode="after")
    def _name_is_a_file_name(self) -> Self:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+=,-]*", self.name):
            raise mistake(
                f"name {self.name!r} names a folder: use letters, digits and any of . _ + = , -",
            )
        return self

    @model_validator(mode="after")
    def _positions_suffice(self) -> Self:
        position, context = self.model.position, self.data.context_length
        if isinstance(position, LearnedPosition):
            allowed = position.max_length or context
            if allowed < context:
                raise mistake(
                    f"data.context_length {context} is longer than the {allowed} positions of"
                    f" model.position.max_length; the longest context here is {allowed}",
                )
            position = position.model_copy(update={"max_length": allowed})
            self._derive(model=self.model.model_copy(update={"position": position}))
        return self

    @model_validator(mode="after")
    def _rate(self) -> Self:
        optimizer = self.optimizer
        if isinstance(self.model.parametrization, MaximalUpdate) and isinstance(
            optimizer, SGD | Adafactor
        ):
            raise mistake(
                f"model.parametrization.kind mup has no rule for optimizer.kind {optimizer.kind};"
                " use adamw, adam, lion or muon",
            )
        if isinstance(self.model.parametrization, MaximalUpdate) and (
            isinstance(optimizer, Adam) and optimizer.weight_decay
        ):
            raise mistake(
                "model.parametrization.kind mup has no rule for adam's optimizer.weight_decay, a"
                " penalty in the gradient, which Adam rescales; use adamw, or a weight_decay of 0"
            )
        if optimizer.lr is None and not isinstance(optimizer, Adam | AdamW):
            usual = type(optimizer).model_fields["lr"].default  # no rule by size is known
            self._derive(optimizer=optimizer.model_copy(update={"lr": usual}))
        elif optimizer.lr is None:  # in muP it is tuned at the base width and holds at others
            width = round(self.model.d_model / self.model.width_ratio)
            rate = rate_by_size(width, self.model.n_layers)
            self._derive(optimizer=optimizer.model_copy(update={"lr": rate}))
        return self

    @property
    def tokens_per_step(self) -> int:
        """Training tokens of one optimizer step."""
        return self.batch.size * self.data.context_length

    @property
    def identity(self) -> str:
        """Hash of all that decides the outcome but the seed: runs that share it are one group.

        Left out: name, seed, store, folders, checkpoints, samples, and how the machine is used.
        """
        return _hash(self._kept())

    @property
    def training(self) -> str:
        """Hash of all that decides the final losses but the seed: the identity without what is
        only seen of the run on the way."""
        kept = self._kept()
        for seen in ("every", "ema"):
            del kept["evaluation"][seen]
        return _hash(kept)

    def _kept(self) -> dict[str, Any]:
        """The fields that the identity is of."""
        kept = self.model_dump(mode="json", exclude={"name", "seed", "tracking", "checkpoint"})
        kept["runtime"] = {"precision": self.runtime.precision}
        del kept["batch"]["micro_size"]
        for watched in ("prompts", "watch_every", "prompt_set", "prompt_limit"):
            del kept["evaluation"][watched]
        kept["schedule"].pop("branches", None)  # they leave the run itself as it is
        for part in (kept["data"]["corpus"], kept["data"]["tokenizer"]):
            if part.get("content") is not None:  # which says what the files do, wherever they are
                for place in PLACES:
                    part.pop(place, None)
        return kept

    @property
    def cohort_key(self) -> str:
        """Runs that share it can train as one program: equal shapes, steps and evaluations."""
        kept = self.model_dump(mode="json", exclude={"name", "seed", "schedule"})
        for field in ("fraction", "max_documents"):
            del kept["data"][field]
        kept["optimizer"] = self.optimizer.kind
        if isinstance(self.schedule, WarmupStableDecay) and self.schedule.branches:
            kept["branches"] = [self.schedule.branches, self.schedule.decay]
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _hash(tree: dict[str, Any]) -> str:
    canonical = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
