"""Dotted fields, such as `optimizer.lr`, as trees."""

from collections.abc import Iterable, Mapping
from typing import Any

from scaling.errors import UserError
from scaling.recipes import Tree


def nest(settings: Mapping[str, Any]) -> Tree:
    """Dotted fields as one tree, so that a `kind` comes in together with its fields.

    Raises UserError for two budgets, of which one would be lost.
    """
    budgets = [dotted for dotted in settings if dotted.split(".")[0] == "budget"]
    if len(budgets) > 1:
        raise UserError(f"{' and '.join(budgets)} are set together: give one budget.")
    tree: Tree = {}
    for dotted, value in settings.items():
        put(tree, tuple(dotted.split(".")), value)
    return tree


def put(tree: Tree, path: tuple[str, ...], value: Any) -> None:
    """Set the field at `path`; a mapping is laid upon what is there.

    A budget replaces another whole, and what is of another `kind` replaces what was there.
    """
    for key in path[:-1]:
        if key == "budget":
            tree.pop(key, None)
        inner = tree.get(key)
        if isinstance(inner, str):  # `sampler: gp` is short for `sampler: {kind: gp}`
            inner = {"kind": inner}
        tree[key] = dict(inner) if isinstance(inner, Mapping) else {}
        tree = tree[key]
    last = path[-1]
    if last == "kind" and len(path) > 1 and tree.get("kind", value) != value:
        tree.clear()
    there = tree.get(last)
    if isinstance(there, dict) and isinstance(value, Mapping) and last != "budget":
        kind = there.get("kind")
        value = value if value.get("kind", kind) != kind else {**there, **value}
    tree[last] = value


def kinds_first(flags: Iterable[tuple[tuple[str, ...], Any]]) -> list[tuple[tuple[str, ...], Any]]:
    """Flags in the order to `put` them: a new kind clears away the fields of the old one alone."""
    return sorted(flags, key=lambda flag: flag[0][-1] != "kind")
