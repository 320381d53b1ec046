"""From names, files, `extends` and flags to a `RunConfig`, or one sentence on what is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.reading import parse_yaml, read_data, shown
from scaling.schema import Trail, any_of, explain, fields_called, nearest, part_at, variants_at

Tree = dict[str, Any]

# Pairs of fields that say one thing in two ways: setting one drops an inherited other.
ALTERNATIVES: dict[tuple[str, ...], str] = {
    ("model", "n_heads"): "head_dim",
    ("model", "head_dim"): "n_heads",
    ("data", "corpus", "files"): "train",
    ("data", "corpus", "train"): "files",
}

_NOTHING = {"", "~", "null", "Null", "NULL", "''", '""'}  # words that mean none, or an empty text


def recipe_folder() -> Path:
    """Where the shipped recipes are: in the package when installed, else beside it."""
    inside = Path(str(files("scaling"))) / "configs"
    return inside if inside.is_dir() else inside.parent.parent / "configs"


def recipe_names() -> list[str]:
    """The shipped recipes."""
    return sorted(path.stem for path in recipe_folder().glob("*.yaml"))


def load_config(name: str, overrides: Sequence[str] = ()) -> RunConfig:
    """The config called `name` (a shipped recipe or a YAML file) with dotted flags applied.

    `overrides` are command-line words: `--optimizer.lr 1e-3` or `--optimizer.lr=1e-3`.
    Raises `UserError` with one sentence for any mistake in either.
    """
    tree, trail = read_tree(name)
    merge_flags(tree, parse_flags(overrides), trail)
    return validate(tree, trail)


def validate(tree: Tree, trail: Trail) -> RunConfig:
    """The tree as a config; `trail` says where each field came from, for the error's sentence."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise UserError(explain(error, RunConfig, trail)) from None


def read_tree(name: str) -> tuple[Tree, Trail]:
    """The merged fields of a config and what it extends, and which file gave each."""
    return _read(_find(name, None), ())


def read_yaml(path: Path) -> Tree:
    """A YAML file's mapping, or a sentence on why it is none."""
    tree = read_data(path)
    if not isinstance(tree, dict):
        raise UserError(
            f"{shown(path)}: a config is a mapping of fields, this is {_kind_of(tree)}."
        )
    return tree


def parse_flags(words: Sequence[str]) -> list[tuple[tuple[str, ...], Any]]:
    """Command-line words as (path, value) pairs; values are read as YAML."""
    pairs: list[tuple[tuple[str, ...], Any]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or len(word) < 3:
            raise UserError(
                f"{word!r} is not a flag; after the name of a config or sweep, fields are set as"
                " --optimizer.lr 1e-3."
            )
        flag, equals, text = word[2:].partition("=")
        if not equals:
            if not rest:
                raise UserError(f"flag --{flag} needs a value.")
            text = rest.pop(0)
        pairs.append((tuple(flag.split(".")), parse_value(text)))
    return pairs


def parse_value(text: str) -> Any:
    """One value as YAML reads it; what YAML cannot read, or reads as nothing or as a part of it
    (all before a ` #`), is a string."""
    try:
        value = parse_yaml(text)
    except yaml.YAMLError:
        return text
    bare = text.strip()
    if isinstance(value, str) and bare[:1] not in ("'", '"') and value != bare:
        return text
    # A comment (###), a mark of documents (---) or blocks (|) is more likely a separator of texts.
    return text if value in (None, "") and text.strip() not in _NOTHING else value


def merge_flags(tree: Tree, flags: Iterable[tuple[tuple[str, ...], Any]], trail: Trail) -> None:
    """Lay flags on `tree` in place: they replace what files say, and none replaces another."""
    given = dict(flags)
    refuse_two_budgets(given)
    for path, value in given.items():
        over = _nest(path, value)
        if (other := ALTERNATIVES.get(path)) and (both := (*path[:-1], other)) in given:
            over = _nest(path[:-1], {path[-1]: value, other: given[both]})
        merge(tree, over, trail, f"flag --{'.'.join(path)}")


def refuse_two_budgets(flags: Iterable[tuple[str, ...]]) -> None:
    """Raise one sentence where flags of these names are two budgets, of which one would win."""
    budgets = [".".join(path) for path in dict.fromkeys(flags) if path[0] == "budget"]
    if len(budgets) > 1:
        raise UserError(f"--{budgets[0]} and --{budgets[1]} are given together: give one budget.")


def merge(base: Tree, over: Mapping[str, Any], trail: Trail, source: str) -> None:
    """Lay `over` on `base` in place.

    Mappings merge field by field, with three exceptions: a budget replaces the inherited one
    whole; a new `kind` keeps only those inherited fields that the new variant has too, and no
    learning rate that was a file's choice for another optimizer; and of two alternatives (heads
    and head width; files to be split and training files) the new one drops the inherited other.
    """
    _merge(base, over, (), trail, source)


def _merge(
    base: Tree, over: Mapping[str, Any], path: tuple[str, ...], trail: Trail, source: str
) -> None:
    if path == ("budget",):
        base.clear()
    if "kind" in over and over["kind"] != base.get("kind"):
        _keep_shared(base, path, over["kind"], trail)
    for key, value in over.items():
        here = (*path, str(key))
        other = ALTERNATIVES.get(here)
        if other is not None and value is not None and other not in over:
            base.pop(other, None)
        if isinstance(value, Mapping):
            inner = base.get(key)
            base[key] = inner = dict(inner) if isinstance(inner, Mapping) else {}
            if not value or here not in trail:
                trail.pop(here, None)
                trail[here] = source
            _merge(inner, value, here, trail, source)
        else:
            base[key] = value
            trail.pop(here, None)  # so that the trail's order is the order of setting
            trail[here] = source


def _keep_shared(base: Tree, path: tuple[str, ...], kind: object, trail: Trail) -> None:
    variants = variants_at(RunConfig, path)
    if not variants:  # there is no `kind` here: validation says so
        return
    variant = variants.get(str(kind))
    shared = variant.model_fields if variant else {}
    own: frozenset[str] = getattr(variant, "own_fields", frozenset())
    for key in list(base):
        if key not in shared or (key in own and not _is_chosen(trail.get((*path, key), ""))):
            del base[key]


def _is_chosen(source: str) -> bool:
    """Whether a person set a field for whatever runs: by a flag, or in a sweep's `fields`."""
    return source.startswith("flag ") or source.endswith(": fields")


def _read(path: Path, seen: tuple[Path, ...]) -> tuple[Tree, Trail]:
    if path in seen:
        raise UserError(f"{shown(path)}: extends itself, by way of {shown(seen[-1])}.")
    own = read_yaml(path)
    parent = own.pop("extends", None)
    if parent is None:
        tree: Tree = {}
        trail: Trail = {}
    elif isinstance(parent, str):
        tree, trail = _read(_find(parent, path), (*seen, path))
    else:
        raise UserError(f"{shown(path)}: extends names one config, this is {_kind_of(parent)}.")
    merge(tree, own, trail, shown(path))
    if "name" not in own:
        tree["name"] = path.stem
    return tree, trail


def _find(name: str, asked_by: Path | None) -> Path:
    """A path as given (from the asking file's folder for `extends`), else a shipped recipe."""
    given = Path(name).expanduser()
    places = [given] if asked_by is None else [asked_by.parent / given, given]
    for place in places:
        for candidate in (place, Path(f"{place}.yaml")):
            if candidate.is_file():
                return candidate.resolve()
    shipped = recipe_folder() / f"{given.stem if given.parent == Path('configs') else name}.yaml"
    if shipped.is_file():
        return shipped.resolve()
    asker = f"{shown(asked_by)}: extends: " if asked_by else ""
    if given.suffix in (".yaml", ".yml") or len(given.parts) > 1:
        raise UserError(f"{asker}there is no file {name}.")
    close = nearest(name, recipe_names())
    hint = f"did you mean {close}?" if close else f"there are {', '.join(recipe_names())}."
    raise UserError(f"{asker}there is no config called {name}; {hint}")


def _nest(path: tuple[str, ...], value: Any) -> Tree:
    tree: Any = value
    for key in reversed(path):
        tree = {key: tree}
    return dict(tree)


def _kind_of(value: object) -> str:
    names = {list: "a list", str: "a string", int: "a number", float: "a number"}
    return "empty" if value is None else names.get(type(value), f"a {type(value).__name__}")


def field_at(path: Sequence[str]) -> tuple[type[BaseModel], str]:
    """The part and field name that a dotted path leads to; `UserError` where it leads nowhere."""
    parts = part_at(RunConfig, tuple(path[:-1]))
    for part in parts:
        if path[-1] in part.model_fields:
            return part, path[-1]
    dotted = ".".join(path)
    names = sorted({name for part in parts for name in part.model_fields})
    close = nearest(path[-1], names)
    hint = f"; did you mean {'.'.join((*path[:-1], close))}?" if close else "."
    if deeper := fields_called(dotted, RunConfig):
        hint = f"; did you mean {any_of(deeper)}?"
    raise UserError(f"{dotted} is not a field of a config{hint}")
