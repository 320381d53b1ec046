"""The config's schema as people meet it: field lists for help, one sentence for a mistake."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# Where each field's value came from: a file, or a flag.
Trail = dict[tuple[str, ...], str]


@dataclass(frozen=True)
class FieldHelp:
    """One settable field: its dotted flag, what it takes, its default, and what it means."""

    flag: str
    takes: str
    default: str
    description: str
    kind: str | None  # the variant that has it


def nearest(word: str, words: Sequence[str]) -> str | None:
    """The nearest known word, if one is near."""
    found = get_close_matches(word, words, n=1, cutoff=0.5)
    return found[0] if found else None


def parts_of(annotation: Any) -> list[type[BaseModel]]:
    """The config parts that a field's type admits."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return parts_of(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [part for arm in get_args(annotation) for part in parts_of(arm)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return []


def part_at(root: type[BaseModel], path: tuple[str, ...]) -> list[type[BaseModel]]:
    """The parts (more than one where variants share a place) at a path of field names."""
    parts = [root]
    for name in path:
        fields = [part.model_fields[name] for part in parts if name in part.model_fields]
        parts = [inner for field in fields for inner in parts_of(field.annotation)]
    return parts


def variants_at(root: type[BaseModel], path: tuple[str, ...]) -> dict[str, type[BaseModel]]:
    """`kind` to variant, at a path that holds a union."""
    found = {}
    for part in part_at(root, path):
        kind = part.model_fields.get("kind")
        if kind is not None:
            found.update({str(value): part for value in get_args(kind.annotation)})
    return found


def field_help(root: type[BaseModel]) -> Iterator[FieldHelp]:
    """Every settable field, in the order of the config."""
    yield from _help(root, (), None)


def fields_called(name: str, root: type[BaseModel]) -> list[str]:
    """Where in a config's parts there are fields of this name: `optimizer.lr` for `lr`."""
    found = []
    for outer, field in root.model_fields.items():
        for part in parts_of(field.annotation):
            inner = [name] if name in part.model_fields else []
            found += [f"{outer}.{one}" for one in inner + fields_called(name, part)]
    return list(dict.fromkeys(found))


def any_of(words: Sequence[str]) -> str:
    """In a sentence: `a, b or c`."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _help(part: type[BaseModel], path: tuple[str, ...], kind: str | None) -> Iterator[FieldHelp]:
    for name, field in part.model_fields.items():
        here = (*path, name)
        inner = parts_of(field.annotation)
        variants = [variant for variant in inner if "kind" in variant.model_fields]
        flag = "--" + ".".join(here)
        if variants:
            kinds = {kind: v for v in variants for kind in _literals(v.model_fields["kind"])}
            default = field.get_default(call_default_factory=False)
            chosen = str(getattr(default, "kind", "required"))
            about = "; ".join(f"{k}: {_first_line(v)}" for k, v in kinds.items())
            yield FieldHelp(f"{flag}.kind", "|".join(kinds), chosen, about, kind)
            for key, variant in kinds.items():
                yield from _help(variant, here, key)
        elif inner:
            for sub in inner:
                yield from _help(sub, here, kind)
        elif name != "kind":
            default = "required" if field.is_required() else _show(field.default)
            yield FieldHelp(flag, _takes(field.annotation), default, field.description or "", kind)


def _first_line(part: type[BaseModel]) -> str:
    return (part.__doc__ or "").strip().splitlines()[0].rstrip(".")


def _literals(field: Any) -> list[str]:
    return [str(value) for value in get_args(field.annotation)]


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    return (
        "null" if value is None else str(value).lower() if value in (True, False) else f"{value}"
    )


def _takes(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _takes(get_args(annotation)[0])
    if origin is Literal:
        return "|".join(str(value) for value in get_args(annotation))
    if origin in (Union, UnionType):
        return "|".join(dict.fromkeys(_takes(arm) for arm in get_args(annotation)))
    if origin is tuple:
        return f"[{_takes(get_args(annotation)[0])}, ...]"
    names = {int: "int", float: "float", str: "text", bool: "true|false", NoneType: "null"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def explain(error: ValidationError, root: type[BaseModel], trail: Trail) -> str:
    """The first mistake of a validation as one sentence: file, field, what, and what to do."""
    details = error.errors(include_url=False)[0]
    path = _field_path(root, details["loc"])
    if details["type"] == "mistake":  # a rule over several fields: the last one set is to blame
        last = [source for place, source in trail.items() if place[: len(path)] == path]
        source = f"{last[-1]}: " if last else _source(path, trail)
        field, message = ".".join(path), details["msg"]
        told = field in message or source.startswith(f"flag --{field}")
        return f"{source}{message}." if told else f"{source}{field}: {message}."
    if details["type"] == "union_tag_invalid":
        path = (*path, "kind")
    return f"{_source(path, trail)}{_what(details, path, root)}"


def _field_path(root: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """A pydantic location without the union tags in it, down to the field."""
    path: tuple[str, ...] = ()
    tags: set[str] = set()
    for step in loc:
        if isinstance(step, int) or step in tags:
            tags = set()
            continue
        parts = part_at(root, path)
        known = any(step in part.model_fields for part in parts)
        if not known and path and not parts:
            break  # inside a plain field: the arm of a union, such as 'int' or 'literal[...]'
        path = (*path, step)
        tags = set(variants_at(root, path))
    return path


def _source(path: tuple[str, ...], trail: Trail) -> str:
    """The file or flag that set a field, or the nearest enclosing place that one set."""
    for length in range(len(path), 0, -1):
        if path[:length] in trail:
            return f"{trail[path[:length]]}: "
    files = [source for source in trail.values() if not source.startswith("flag ")]
    return f"{files[-1]}: " if files else ""


def _what(details: ErrorDetails, path: tuple[str, ...], root: type[BaseModel]) -> str:
    dotted = ".".join(path)
    given = details["input"]
    match details["type"]:
        case "extra_forbidden":
            owner = path[:-1]
            parts = part_at(root, owner)
            names = sorted({name for part in parts for name in part.model_fields})
            place = f"{'.'.join(owner)} has" if owner else "a config has"
            close = nearest(path[-1], names)
            if not owner and (deeper := fields_called(path[-1], root)):
                return f"{dotted} is not a known field; did you mean {any_of(deeper)}?"
            if close == path[-1]:  # another variant's field
                kinds = [
                    kind
                    for kind, part in variants_at(root, owner).items()
                    if close in part.model_fields
                ]
                return (
                    f"{dotted} belongs to kind {' or '.join(kinds)},"
                    f" not to the {'.'.join(owner)}.kind chosen here."
                )
            hint = (
                f"did you mean {'.'.join((*owner, close))}?"
                if close
                else f"{place} {', '.join(names)}."
            )
            return f"{dotted} is not a known field; {hint}"
        case "missing":
            if path == ("budget",):
                return (
                    "budget is missing; give exactly one of budget.tokens, .steps, .epochs,"
                    " .flops or .tokens_per_param."
                )
            return f"{dotted} is missing."
        case "union_tag_invalid" | "union_tag_not_found" | "literal_error":
            kinds = list(variants_at(root, path[:-1] if path[-1] == "kind" else path))
            if kinds:
                wrong = given.get("kind") if isinstance(given, dict) else given
                close = nearest(str(wrong), kinds)
                hint = f"did you mean {close}?" if close else f"it is one of {', '.join(kinds)}."
                return f"{dotted} {wrong!r} is not known; {hint}"
            expected = str((details.get("ctx") or {}).get("expected", "another value"))
            return f"{dotted} is {given!r}, but it is one of {expected}."
        case "model_type" | "model_attributes_type":
            if str(given) in variants_at(root, path):
                return f"{dotted} is a mapping of fields; did you mean {dotted}.kind {given}?"
            return f"{dotted} is {given!r}, but it is a mapping of fields."
        case "tuple_type":
            return f"{dotted} is {given!r}, but it is a list."
        case "too_short":
            return f"{dotted} is empty; leave it out, or give it something."
    message = details["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{dotted} is {given!r}, but it {message}."
