"""What a sweep of adaptations is, as data: `AdaptSpec`."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from scaling.adapt.config import Edit, Full, Lora, StoriesTasks, Tasks
from scaling.budget import Count
from scaling.config import RuntimeConfig, TrackingConfig
from sweeps.spec import Seed, SpecPart, mistake


class AdaptSpec(SpecPart):
    """Every baseline, edit, method, number of steps and seed, with each other."""

    kind: Literal["adaptation"] = Field(description="what this file is")
    name: str = Field(description="what the sweep is called; its record is found by it again")
    question: str | None = Field(None, description="what it is to answer")
    baselines: tuple[str, ...] | dict[str, Any] = Field(
        description="what is adapted: runs or exports, or a sweep's fields (base, budget, grid,"
        " ...) whose runs are trained where they are not there yet"
    )
    tasks: Tasks = Field(
        StoriesTasks(),
        description="the passages: {facts: new}, {facts: replaced}, or {file: my.jsonl}",
    )
    edits: tuple[Edit, ...] = Field(
        (Edit(),),
        min_length=1,
        description="how a passage becomes training text: verbatim, continuation, restatement or"
        " questions, or a mapping such as {kind: questions, candidates: 4}",
    )
    inner_steps: tuple[Count, ...] = Field(
        (1, 3, 10, 30), min_length=1, description="optimizer steps on each passage's text"
    )
    rank: tuple[Count, ...] = Field((4, 8), description="LoRA's; none: full fine-tuning alone")
    lora: Lora = Field(Lora(), description="of every rank: alpha, dropout, targets, lr")
    full: Full | None = Field(None, description="full fine-tuning beside, for comparison")
    seeds: tuple[Seed, ...] = Field(
        (1, 2, 3), min_length=1, description="every combination is made with each"
    )
    tokens_per_step: Count = Field(128, description="predicted tokens of an inner step")
    price: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="of a nat of forgetting, in nats of gain"
    )
    forgetting_tokens: Count = Field(
        2048, description="tokens of the baseline's validation text that forgetting is judged on"
    )
    runtime: RuntimeConfig = Field(
        RuntimeConfig(), description="of adapting, which is never compiled, and of the baselines"
    )
    tracking: TrackingConfig = Field(TrackingConfig(), description="where the record goes")
    max_consecutive_failures: Count = Field(
        8, description="stop when so many jobs (a baseline and an edit) in a row have failed"
    )
    workers: Count | Literal["auto"] = Field(
        "auto", description="processes that adapt, or train the baselines"
    )

    @field_validator("edits", mode="before")
    @classmethod
    def _short_edits(cls, given: Any) -> Any:
        """`verbatim` is `{kind: verbatim}`."""
        if not isinstance(given, list):
            return given
        return [{"kind": one} if isinstance(one, str) else one for one in given]

    @field_validator("full", "tasks", "lora", mode="before")
    @classmethod
    def _kinds(cls, given: Any, info: Any) -> Any:
        """The `kind` that goes without saying: `full: {lr: 1e-3}`, `tasks: {file: my.yaml}`."""
        if not isinstance(given, Mapping) or "kind" in given:
            return given
        if info.field_name == "tasks":
            return {"kind": "file" if "file" in given else "stories", **given}
        return {"kind": info.field_name, **given}

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+=,-]*", self.name):
            raise mistake(
                f"name {self.name!r} names a folder: use letters, digits and any of . _ + = , -"
            )
        if not self.rank and self.full is None:
            raise mistake("rank is empty and full is not given, so that there is no method")
        if "rank" in self.lora.model_fields_set:
            raise mistake("lora.rank would change nothing: the ranks are those of `rank`")
        for field in ("inner_steps", "rank", "seeds", "edits"):
            values = getattr(self, field)
            if len(set(values)) < len(values):
                raise mistake(f"{field} has one twice")
        labels = [edit.label for edit in self.edits]
        if len(set(labels)) < len(labels):
            raise mistake(f"edits has two that are both called {max(labels, key=labels.count)}")
        for edit in self.edits:
            if edit.rounds and edit.policy:
                raise mistake(
                    f"edits: {edit.label} has rounds, but only a baseline's own policy is trained"
                )
            if edit.rounds and edit.candidates < 2:
                raise mistake(
                    f"edits: {edit.label} has rounds, which keep the best of several candidates;"
                    " give it 2 or more"
                )
            if edit.kind == "verbatim" and (edit.candidates > 1 or edit.rounds or edit.policy):
                raise mistake("edits: a verbatim edit is the passage as it is; nobody writes it")
        if isinstance(self.baselines, tuple) and not self.baselines:
            raise mistake("baselines is empty")
        return self
