"""A user's file of prompts as a tree, or a sentence on what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import yaml

from scaling.errors import UserError


def read_text(path: Path) -> str:
    """The file's text; raises UserError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: cannot be read: it is not UTF-8.") from None


def read_tree(path: Path) -> Any:
    """What a .json holds, or a file of YAML; raises UserError, with the line, for a broken one."""
    text = read_text(path)
    try:
        if path.suffix == ".json":
            return json.loads(text)
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else getattr(error, "lineno", None)
        problem = getattr(error, "problem", None) or getattr(error, "msg", "it cannot be parsed")
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise UserError(f"{path}: not valid {kind} at line {line}: {problem}.") from None
