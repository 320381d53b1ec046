"""What one adaptation is, as data: `AdaptConfig` and its parts."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field

from scaling.budget import Count, Positive
from scaling.config import Part, RuntimeConfig, TrackingConfig

TEXTS = 4  # of `stories.py`: other passages of the same seed make another adaptation
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Lora(Part):
    """Low-rank adaptation: a trained product of two thin matrices beside each frozen one."""

    kind: Literal["lora"] = "lora"
    rank: Count = Field(8, description="of the products; at most the smaller side of a matrix")
    alpha: Positive = Field(16.0, description="what is added is scaled by alpha over rank")
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the products' inputs zeroed in training; not of experts'",
    )
    targets: tuple[str, ...] = Field(
        ("attention", "feedforward"),
        min_length=1,
        description="which matrices: all of attention or of feedforward, or one by its name, such"
        " as attention.qkv",
    )
    lr: Positive = Field(3e-3, description="learning rate of AdamW, constant")


class Full(Part):
    """Full fine-tuning: all weights are trained."""

    kind: Literal["full"] = "full"
    lr: Positive = Field(3e-4, description="learning rate of AdamW, constant")


Method = Annotated[Lora | Full, Field(discriminator="kind")]


class StoriesTasks(Part):
    """Passages of the embedded corpus about people, animals and things that it does not have."""

    kind: Literal["stories"] = "stories"
    documents: Count = Field(8, description="passages that are adapted to")
    practice: int = Field(8, ge=0, description="other ones, which rounds train the policy on")
    facts: Literal["new", "replaced"] = Field(
        "new",
        description="of things that the corpus does not have; or other facts of those it has",
    )
    seed: Seed = Field(0, description="which passages")


class FileTasks(Part):
    """Passages of a file of one's own, YAML or JSON lines."""

    kind: Literal["file"] = "file"
    file: str = Field(description="its path")
    digest: str = Field("", description="of its content; found when it is read")


Tasks = Annotated[StoriesTasks | FileTasks, Field(discriminator="kind")]

EditKind = Literal["verbatim", "continuation", "restatement", "questions"]


class Edit(Part):
    """How a passage becomes training text."""

    kind: EditKind = Field(
        "verbatim",
        description="the passage as it is; or with what the policy writes of it besides: what"
        " comes next, the passage retold, or questions with answers",
    )
    policy: str | None = Field(
        None,
        description="who writes: a run, an export, or a transformers folder; else the baseline",
    )
    digest: str = Field("", description="of the policy's weights; found when it is read")
    candidates: Count = Field(1, description="edits that are written and tried; the best is used")
    rounds: int = Field(
        0,
        ge=0,
        description="times that the policy is trained on its best edits of practice passages",
    )
    pieces: Count = Field(2, description="texts that the policy writes for an edit")
    max_tokens: Count = Field(64, description="of a text at most")
    temperature: Positive = Field(0.8, description="of the sampling")
    steps: Count = Field(10, description="inner steps that a candidate is tried with")
    rank: Count = Field(8, description="LoRA's rank in trying, and in training the policy")
    lr: Positive = Field(3e-3, description="learning rate in trying, and in training the policy")

    @property
    def label(self) -> str:
        """A few words that tell it from others: `restatement x4, 1 round, by big`."""
        parts = [self.kind if self.candidates == 1 else f"{self.kind} x{self.candidates}"]
        if self.rounds:
            parts.append(f"{self.rounds} round{'s' * (self.rounds > 1)}")
        if self.policy:
            parts.append(f"by {self.policy.rstrip('/').rsplit('/', 1)[-1]}")
        for name in ("pieces", "max_tokens", "temperature", "steps", "rank", "lr"):
            value = getattr(self.plain(), name)
            if value != type(self).model_fields[name].default:
                parts.append(f"{name} {value:g}")
        return ", ".join(parts)

    def plain(self) -> "Edit":
        """The same edit, with defaults for what decides nothing of it."""
        if self.kind == "verbatim":  # nobody writes it
            return Edit()
        if self.candidates == 1:  # nothing is tried, nor a policy trained
            return Edit(**self.model_dump(exclude={"steps", "rank", "lr"}))
        return self


class Baseline(Part):
    """The trained model that is adapted."""

    label: str = Field(description="what it is called")
    place: str = Field(description="where it is: a run's folder, or an exported one")
    fingerprint: str = Field(description="hash of weights, shape and tokenizer")


class AdaptConfig(Part):
    """One adaptation: a baseline, what it learns, how, and for how long."""

    name: str = "adaptation"
    seed: Seed = Field(
        0, description="of the edits' sampling, LoRA's first weights, and the order"
    )
    baseline: Baseline
    tasks: Tasks = StoriesTasks()
    edit: Edit = Edit()
    method: Method = Lora()
    inner_steps: Count = Field(10, description="optimizer steps on each passage's edit")
    tokens_per_step: Count = Field(128, description="predicted tokens of an inner step")
    price: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="of a nat of forgetting, in nats of gain"
    )
    forgetting_tokens: Count = Field(
        2048, description="of the baseline's validation text, which tells forgetting"
    )
    runtime: RuntimeConfig = RuntimeConfig()
    tracking: TrackingConfig = TrackingConfig()

    @property
    def identity(self) -> str:
        """Hash of all that decides the outcome but the seed; where things lie does not."""
        return _hash(self._kept())

    def plain(self) -> "AdaptConfig":
        """The same adaptation, with defaults for what decides nothing of it."""
        tasks = self.tasks
        if isinstance(tasks, StoriesTasks) and not self.edit.rounds:
            tasks = tasks.model_copy(update={"practice": 0})
        return self.model_copy(update={"edit": self.edit.plain(), "tasks": tasks})

    @property
    def cohort_key(self) -> str:
        """Adaptations that share it are made by one job.

        They differ in seed, steps and method: their edits are written once, and one training to
        the most steps has been through the fewer on its way, since the rate is constant.
        """
        kept = self._kept()
        del kept["inner_steps"], kept["method"]
        return _hash(kept)

    def _kept(self) -> dict[str, Any]:
        kept = self.plain().model_dump(mode="json", exclude={"name", "seed", "tracking"})
        kept["baseline"] = self.baseline.fingerprint
        kept["runtime"] = {"precision": self.runtime.precision}
        kept["edit"]["policy"] = kept["edit"].pop("digest") if self.edit.digest else None
        if isinstance(self.tasks, FileTasks):
            del kept["tasks"]["file"]
        else:
            kept["tasks"]["texts"] = TEXTS
        return kept


def _hash(tree: dict[str, Any]) -> str:
    canonical = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
