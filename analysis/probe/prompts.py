"""What the stories begin with: one text, or a file of many."""

import json
from pathlib import Path

import yaml

from scaling.errors import UserError


def read_texts(path: Path) -> list[str]:
    """Prompts of a file: YAML or JSON, a list of texts or of mappings with `prompt`, or .txt.

    A .txt holds one a line. Raises UserError, with the place, for anything else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: cannot be read: it is not UTF-8.") from None
    if path.suffix == ".txt":
        found = [line.strip() for line in text.splitlines() if line.strip()]
    else:
        found = _listed(path, text)
    if not found:
        raise UserError(f"{path}: there are no prompts.")
    return found


def _listed(path: Path, text: str) -> list[str]:
    try:
        tree = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be parsed: {str(error).splitlines()[0]}.") from None
    if isinstance(tree, dict):
        tree = tree.get("items", tree.get("prompts"))
    if not isinstance(tree, list):
        raise UserError(f"{path}: a file of prompts is a list of texts.")
    found = []
    for number, entry in enumerate(tree, start=1):
        prompt = entry.get("prompt") if isinstance(entry, dict) else entry
        if not isinstance(prompt, str) or not prompt.strip():
            raise UserError(f"{path}: prompt {number} is {prompt!r:.60}, but it is a text.")
        found.append(prompt)
    return found
