"""What the stories begin with: one text, or a file of many."""

from pathlib import Path

from scaling.errors import UserError
from scaling.reading import read_data, read_text


def read_texts(path: Path) -> list[str]:
    """Prompts of a file: YAML or JSON, a list of texts or of mappings with `prompt`, or .txt.

    A .txt holds one a line. One that is there twice, but for spaces at its end, is read once: its
    stories would be the same. Raises UserError, with the place, for anything else.
    """
    if path.suffix == ".txt":
        found = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    else:
        found = _listed(path)
    if not found:
        raise UserError(f"{path}: there are no prompts.")
    return list(dict.fromkeys(prompt.rstrip(" ") for prompt in found))


def _listed(path: Path) -> list[str]:
    tree = read_data(path)
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
