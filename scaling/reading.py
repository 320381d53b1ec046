"""A user's file as text or as data, or one sentence on what is wrong with it."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from scaling.errors import UserError

try:
    from yaml import CSafeLoader as SafeLoader  # ten times as fast; PyYAML's wheels all have it
except ImportError:  # built where libyaml is not
    from yaml import SafeLoader  # type: ignore[assignment]


class _Loader(SafeLoader):
    """YAML in which `1e-3` and `5e6` are numbers, as people mean them (YAML 1.1 wants a dot).

    A date is text, as no field is one, and some, as 2026-02-30, are none.
    """

    yaml_implicit_resolvers = {  # a copy: the base class has its own
        start: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for start, found in SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9][0-9_]*)(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def read_text(path: Path) -> str:
    """The file's text; raises UserError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")  # without the mark that Windows puts first
    except OSError as error:
        raise UserError(f"{shown(path)}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{shown(path)}: cannot be read: it is not UTF-8.") from None


def read_data(path: Path) -> Any:
    """What a .json holds, the rows of a .jsonl, or else a file of YAML.

    Raises UserError, with the line, for a broken one.
    """
    text = read_text(path)
    try:
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_unrepeated)
        return _rows(text) if path.suffix == ".jsonl" else parse_yaml(text)
    except json.JSONDecodeError as error:
        kind, where, problem = "JSON", f" at line {error.lineno}", error.msg
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        kind, problem = "YAML", getattr(error, "problem", None) or "it cannot be parsed"
    except _RepeatedError as error:
        kind, where, problem = "JSON", "", str(error)
    raise UserError(f"{shown(path)}: not valid {kind}{where}: {problem}.")


def _rows(text: str) -> list[Any]:
    """The values of JSON lines; an error has its place in the whole text."""
    rows, start = [], 0
    for line in text.split("\n"):  # not also at U+2028, which a string may hold
        try:
            if line.strip():
                rows.append(json.loads(line, object_pairs_hook=_unrepeated))
        except json.JSONDecodeError as error:
            raise json.JSONDecodeError(error.msg, text, start + error.pos) from None
        start += len(line) + 1
    return rows


class _RepeatedError(ValueError):
    """An object has a key twice, of which JSON's readers would keep the last in silence."""


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedError(f"an object has the key {key!r} twice")
        found[key] = value
    return found


def parse_yaml(text: str) -> Any:
    """A text of YAML as data; raises `yaml.YAMLError` where it is none, or has a key twice."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_repeats(node, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_repeats(node: yaml.Node, seen: set[int]) -> None:
    """Raise where a mapping has a key twice, of which YAML's readers keep the last in silence."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    children = node.value
    if isinstance(node, yaml.MappingNode):
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if (key.tag, key.value) in keys:
                    problem = f"the key {key.value!r} stands twice in one mapping"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                keys.add((key.tag, key.value))
        children = [child for pair in node.value for child in pair]
    for child in children:
        _refuse_repeats(child, seen)
