"""The prompt sets that come with the project."""

from importlib.resources import files
from pathlib import Path

from scaling.errors import UserError
from scaling.prompts.item import PromptSet, read_prompts
from scaling.schema import nearest


def shipped_sets() -> dict[str, Path]:
    """Name to file."""
    folder = Path(str(files("scaling.prompts"))) / "sets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_prompts(name: str) -> PromptSet:
    """The set of a shipped name, or of a file.

    Raises:
        UserError: there is neither, or the file has a mistake.
    """
    sets, path = shipped_sets(), Path(name).expanduser()
    if name in sets and not path.is_file():
        return read_prompts(sets[name])
    if not path.is_file():
        close = nearest(name, list(sets))
        hint = f"did you mean {close}?" if close else f"shipped sets are {', '.join(sets)}."
        raise UserError(f"There is no prompt file {name}; {hint}")
    return read_prompts(path)
