"""Dotted fields, such as `optimizer.lr`, as trees."""

from collections.abc import Mapping
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
    """Set the field at `path`; a mapping is laid upon what is there, but a budget replaces it."""
    if path[0] == "budget":  # one budget replaces another whole
        tree.pop("budget", None)
    for key in path[:-1]:
        inner = tree.get(key)
        if isinstance(inner, str):  # `sampler: gp` is short for `sampler: {kind: gp}`
            inner = {"kind": inner}
        tree[key] = dict(inner) if isinstance(inner, Mapping) else {}
        tree = tree[key]
    last = tree.get(path[-1])
    if isinstance(last, dict) and isinstance(value, Mapping):
        value = {**last, **value}
    tree[path[-1]] = value
