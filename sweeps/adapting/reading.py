"""From a file and flags to an `AdaptSweep`, or one sentence on what is wrong."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from scaling.adapt.config import StoriesTasks
from scaling.errors import UserError
from scaling.reading import shown
from scaling.recipes import parse_flags, read_yaml
from scaling.schema import explain
from sweeps.adapting.spec import AdaptSpec
from sweeps.fields import kinds_first, put
from sweeps.reading import ADAPTATION, Sweep, assemble, find_sweep

Words = tuple[str, ...]
SMALL = {"documents": 2, "practice": 2}


@dataclass(frozen=True)
class AdaptSweep:
    """A sweep of adaptations as read.

    Attributes:
        spec: what it says.
        source: the file, as a person would type it.
        baselines: the sweep whose runs are adapted; None where they are named.
    """

    spec: AdaptSpec
    source: str
    baselines: Sweep | None

    def facts(self) -> dict[str, str]:
        """What the parent's page shows of it."""
        spec = self.spec
        return {
            "source": self.source,
            "tasks": spec.tasks.kind,
            "edits": "; ".join(edit.label for edit in spec.edits),
            "inner_steps": ",".join(map(str, spec.inner_steps)),
            "rank": ",".join(map(str, spec.rank)),
            "seeds": ",".join(map(str, spec.seeds)),
        }

    def text(self) -> str:
        """All that it says, as YAML."""
        return yaml.safe_dump(
            self.spec.model_dump(mode="json", exclude_none=True), sort_keys=False
        )


def read_adapt_sweep(name: str, flags: Sequence[str] = (), *, smoke: bool = False) -> AdaptSweep:
    """The sweep of a file, or of a shipped one's name; flags set its fields.

    What flags or `smoke` change makes another record, under a name of its own.
    """
    path = find_sweep(name)
    tree = read_yaml(path)
    if tree.get("kind") != ADAPTATION:
        raise UserError(
            f"{shown(path)} is no sweep of adaptations (it has no `kind: {ADAPTATION}`); a sweep"
            " of trainings goes with `tinyscale sweep`."
        )
    given = parse_flags(flags)
    for field, value in kinds_first(_with_kind(given)):
        put(tree, field, value)
    tasks = tree.get("tasks")
    if isinstance(tasks, dict) and isinstance(tasks.get("file"), str):
        beside = path.parent / tasks["file"]
        if not Path(tasks["file"]).expanduser().exists() and beside.exists():
            tasks["file"] = str(beside)
    tree.setdefault("name", path.stem)
    if given and not any(field == ("name",) for field, _ in given):
        # By field alone: of a flag given twice the values may not compare.
        ordered = sorted(given, key=lambda flag: flag[0])
        told = json.dumps([[".".join(f), v] for f, v in ordered], default=str)
        tree["name"] = f"{tree['name']}-{hashlib.sha256(told.encode()).hexdigest()[:6]}"
    source = shown(path)
    spec = _validated(tree, source)
    if smoke:
        spec = _validated(_shrunk(spec), source)
    return AdaptSweep(spec, source, _baselines(spec, path, smoke))


def _with_kind(flags: list[tuple[Words, Any]]) -> list[tuple[Words, Any]]:
    """The same flags; those that name a file of tasks mean that kind of them, as in a file."""
    of_file = any(
        field == ("tasks", "file")
        or (field == ("tasks",) and isinstance(value, dict) and "file" in value)
        for field, value in flags
    )
    told = any(field == ("tasks", "kind") for field, _ in flags)
    return [(("tasks", "kind"), "file"), *flags] if of_file and not told else flags


def _validated(tree: dict[str, Any], source: str) -> AdaptSpec:
    try:
        return AdaptSpec.model_validate(tree)
    except ValidationError as error:
        raise UserError(explain(error, AdaptSpec, {(): source})) from None


def _baselines(spec: AdaptSpec, path: Path, smoke: bool) -> Sweep | None:
    """The sweep that trains the baselines, under a name of its own, in the same store and by as
    many workers of the same runtime, unless it has its own."""
    if not isinstance(spec.baselines, dict):
        return None
    own = spec.baselines
    if own.get("search") is not None:
        raise UserError(
            f"{shown(path)}: baselines has a search, of which nobody knows the runs beforehand;"
            " list them in a grid."
        )
    given = spec.model_dump(mode="json", include={"tracking", "runtime"}, exclude_unset=True)
    fields = {f"{part}.{key}": v for part, inner in given.items() for key, v in inner.items()}
    more = own.get("fields", {})
    tree = {
        "name": f"{spec.name.removesuffix('-smoke')}-baselines",
        "workers": spec.workers,
        **own,
        # What is no mapping is told of where the sweep is checked.
        "fields": {**fields, **more} if isinstance(more, dict) else more,
    }
    if smoke:
        # Both are shrunk, and each adds the ending.
        tree["experiment"] = spec.tracking.experiment.removesuffix("-smoke")
    return assemble(tree, path, smoke=smoke)


def _shrunk(spec: AdaptSpec) -> dict[str, Any]:
    """A minute's try: two small baselines, two passages, two numbers of steps, one seed."""
    tree = spec.model_dump(mode="json", exclude_unset=True)
    tree["name"] = f"{spec.name}-smoke"
    tree["seeds"] = spec.seeds[:1]
    tree["inner_steps"] = sorted(spec.inner_steps)[:2]
    if isinstance(spec.tasks, StoriesTasks):
        tree["tasks"] = spec.tasks.model_dump() | SMALL
    tree["forgetting_tokens"] = 512
    tree["edits"] = [edit.model_dump() | {"max_tokens": 8, "steps": 2} for edit in spec.edits]
    tracking = tree.get("tracking", {})
    tree["tracking"] = tracking | {"experiment": f"{spec.tracking.experiment}-smoke"}
    return tree
