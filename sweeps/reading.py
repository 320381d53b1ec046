"""From a sweep file, its base config and flags to a `Sweep`, or one sentence on what is wrong."""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from scaling.errors import UserError
from scaling.reading import shown
from scaling.recipes import (
    Tree,
    merge,
    merge_flags,
    parse_flags,
    read_tree,
    read_yaml,
    refuse_two_budgets,
)
from scaling.schema import Trail, explain, nearest
from sweeps.axes import axes_of, check_field, leaves
from sweeps.fields import kinds_first, nest, put
from sweeps.smoke import smoke_base, smoke_spec
from sweeps.space import Space
from sweeps.spec import SweepSpec

SHIPPED = Path(__file__).parent
ADAPTATION = "adaptation"  # the `kind` of a file that `tinyscale adapt` reads


@dataclass(frozen=True)
class Sweep:
    """A sweep as read: what it says, and the tree of fields that its runs start from."""

    spec: SweepSpec
    base: Tree
    trail: Trail
    source: str  # the file, as a person would type it
    smoke: bool = False

    def tree(self, settings: Mapping[str, Any], where: str) -> tuple[Tree, Trail]:
        """The base with settings laid on it; `where` is told in errors."""
        tree, trail = copy.deepcopy(self.base), dict(self.trail)
        merge(tree, nest(settings), trail, where)
        return tree, trail

    def facts(self) -> dict[str, str]:
        """What the parent's page shows of it."""
        spec = self.spec
        found = {"base": spec.base, "source": self.source}
        if spec.seeds:
            found["seeds"] = ",".join(map(str, spec.seeds))
        if spec.search:
            found |= {"sampler": spec.search.sampler.kind, "trials": str(spec.search.trials)}
        return found

    def text(self) -> str:
        """All that it says, as YAML."""
        spec = self.spec.model_dump(mode="json", exclude_none=True)
        return yaml.safe_dump({"spec": spec, "base": self.base}, sort_keys=False)


def read_sweep(
    name: str,
    flags: Sequence[str] = (),
    *,
    seeds: Sequence[int] | None = None,
    corpus: str | None = None,
    smoke: bool = False,
) -> Sweep:
    """The sweep of a file or a shipped one's name.

    Flags set fields of the sweep where it has one of that name (`--name`, `--budget.tokens`), else
    of the base config. What changes every run changes the sweep's name too, so that its record is
    another: `corpus` (`width-tinystories`), `smoke` (`width-smoke`), flags (`width-1a2b3c`).
    Other seeds and another grid do not: the record is of whatever the sweep asks for now.
    """
    path = find_sweep(name)
    tree = read_yaml(path)
    if tree.get("kind") == ADAPTATION:
        raise UserError(f"{shown(path)} is a sweep of adaptations: `tinyscale adapt {name}`.")
    for_base: dict[tuple[str, ...], Any] = {}
    changed: dict[str, Any] = {}  # of every run
    given = parse_flags(flags)
    refuse_two_budgets(words for words, _ in given)
    for words, value in kinds_first(given):
        field = _place(tree, words)
        dotted = ".".join(field)
        if smoke and field[0] == "budget":
            raise UserError(f"--smoke has a budget of its own: leave out --{dotted}.")
        if field[0] in SweepSpec.model_fields:
            put(tree, field, value)
        else:
            check_field(dotted)
            for_base[field] = value
        if field[0] in ("base", "fields", "budget") or field in for_base:
            changed[dotted] = value
    if seeds is not None:
        tree["seeds"] = list(seeds)
    suffixes = [corpus] if corpus else []
    if changed:
        told = json.dumps(sorted(changed.items()), default=str)
        suffixes.append(hashlib.sha256(told.encode()).hexdigest()[:6])
    named = any(words == ("name",) for words, _ in given)
    tree.setdefault("name", path.stem)
    if not named:
        tree["name"] = "-".join([str(tree["name"]), *suffixes])
    sweep = assemble(tree, path, flags=for_base, corpus=corpus, smoke=smoke)
    if smoke and seeds is not None:  # of a file's only some are tried
        sweep = replace(sweep, spec=sweep.spec.model_copy(update={"seeds": tuple(seeds)}))
    return sweep


def _place(tree: Tree, words: tuple[str, ...]) -> tuple[str, ...]:
    """Where a flag's value goes: names of fields in `grid`, `fields` and `search.space` are dotted
    themselves, and what is there may be set in part (`--search.space.optimizer.lr.low`)."""
    for head in (("grid",), ("fields",), ("search", "space")):
        rest, inner = words[len(head) :], dict[str, Any](tree)
        if words[: len(head)] != head or not rest:
            continue
        for key in head:
            inner = inner.get(key) or {}
        for cut in range(len(rest) - 1, 0, -1):
            if isinstance(inner.get(name := ".".join(rest[:cut])), Mapping):
                return (*head, name, ".".join(rest[cut:]))
        return (*head, ".".join(rest))
    return words


def assemble(
    tree: Mapping[str, Any],
    path: Path,
    *,
    flags: Mapping[tuple[str, ...], Any] | None = None,
    corpus: str | None = None,
    smoke: bool = False,
) -> Sweep:
    """The sweep that a tree means, as the file at `path` says it; `flags` set base fields."""
    source = shown(path)
    spec = parse_spec(tree, source)
    for words, value in (flags or {}).items():
        _check_overruled(spec, f"--{'.'.join(words)}", ".".join(words), value)
    for dotted, value in spec.fields.items():
        _check_overruled(spec, f"fields: {dotted}", dotted, value)
    if corpus:
        _check_overruled(spec, "--corpus", "data.corpus.kind", corpus)
    if smoke:
        spec = smoke_spec(spec)
    base, trail = _base(spec, path)
    for dotted in spec.fields:
        check_field(dotted)
    if spec.fields:
        merge(base, nest(spec.fields), trail, f"{source}: fields")
    if spec.budget and not spec.budget.isoflop:
        budget = spec.budget.model_dump(exclude={"isoflop"}, exclude_none=True)
        merge(base, {"budget": budget}, trail, f"{source}: budget")
    if smoke:
        smoke_base(spec, base, trail)
    if corpus:
        merge(base, {"data": {"corpus": {"kind": corpus}}}, trail, "flag --corpus")
    if spec.experiment:
        merge(base, {"tracking": {"experiment": spec.experiment}}, trail, f"{source}: experiment")
    merge_flags(base, (flags or {}).items(), trail)
    return Sweep(spec, base, trail, source, smoke)


def _check_overruled(spec: SweepSpec, said: str, dotted: str, value: Any) -> None:
    """Raise one sentence where a field is set for all runs, and by the sweep for each again.

    `said`: how the field at `dotted` was given its value, which may be a mapping of several.
    """
    if dotted == "seed" and spec.seeds:
        raise UserError(f"{said} would change nothing: the sweep lists its seeds (--seeds).")
    if dotted.split(".")[0] == "budget" and spec.budget:
        raise UserError(f"the sweep has a budget, and {said} another.")
    varied = Space(spec.search.space).always if spec.search else set()
    varied |= {field for axis in axes_of(spec) for field in axis.always}
    for field in sorted({dotted} | leaves({dotted: value})):
        if field in varied:
            raise UserError(f"{said} would change nothing: the sweep sets {field} in every run.")


def parse_spec(tree: Mapping[str, Any], source: str) -> SweepSpec:
    """The tree as a spec, or one sentence."""
    budget = tree.get("budget")
    given = budget if isinstance(budget, Mapping) else {}
    if "budget" in tree and not given:
        raise UserError(f"{source}: budget is a mapping, such as {{tokens: 2_000_000}}.")
    try:
        return SweepSpec.model_validate(tree)
    except ValidationError as error:
        raise UserError(explain(error, SweepSpec, {(): source})) from None


def find_sweep(name: str) -> Path:
    """A sweep file as given, else a shipped sweep's."""
    given = Path(name).expanduser()
    for candidate in (given, Path(f"{given}.yaml")):
        if candidate.is_file():
            return candidate.resolve()
    shipped = SHIPPED / f"{given.stem if given.parent in (Path('sweeps'), Path('.')) else name}"
    if shipped.with_suffix(".yaml").is_file():
        return shipped.with_suffix(".yaml")
    if given.suffix in (".yaml", ".yml") or len(given.parts) > 1:
        raise UserError(f"there is no file {name}.")
    close = nearest(name, sweep_names())
    hint = f"did you mean {close}?" if close else f"there are {', '.join(sweep_names())}."
    raise UserError(f"there is no sweep called {name}; {hint}")


def sweep_names() -> list[str]:
    """The shipped sweeps, but for those of adaptations."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml") if not _is_adaptation(path))


def _is_adaptation(path: Path) -> bool:
    return f"kind: {ADAPTATION}" in path.read_text(encoding="utf-8").splitlines()


def _base(spec: SweepSpec, path: Path) -> tuple[Tree, Trail]:
    """The base config's tree; a file beside the sweep's goes before a shipped recipe."""
    beside = path.parent / spec.base
    for candidate in (beside, Path(f"{beside}.yaml")):
        if candidate.is_file() and candidate != path:
            return read_tree(str(candidate))
    return read_tree(spec.base)
