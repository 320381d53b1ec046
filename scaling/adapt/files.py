"""Tasks from a file of one's own: a YAML list, or JSON lines, a passage each."""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scaling.adapt.document import Document, TaskSet
from scaling.errors import UserError
from scaling.prompts.item import Item
from scaling.reading import read_data
from scaling.schema import nearest


class _Entry(BaseModel):
    """A passage as a file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = Field(None, min_length=1)
    passage: str = Field(min_length=1)
    continuation: str = Field(min_length=1)
    trial: str = ""
    questions: tuple[dict[str, Any], ...] = ()
    practice: bool = False


def digest_file(name: str) -> str:
    """Hash of a file of tasks; `UserError` where it cannot be read."""
    try:
        return hashlib.sha256(Path(name).expanduser().read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"tasks.file {name}: cannot be read: {error.strerror}.") from None


def read_tasks(name: str) -> TaskSet:
    """The passages of a file.

    Raises:
        UserError: one sentence that names the file, the passage and the field.
    """
    path = Path(name).expanduser()
    rows = _rows(path)
    if not rows:
        raise UserError(f"{path}: there are no passages.")
    documents, practice = list[Document](), list[Document]()
    seen = set[str]()
    for number, row in enumerate(rows, start=1):
        entry = _entry(path, number, row)
        own = entry.id or f"{path.stem}-{number}"
        if own in seen:
            raise UserError(f"{path}: passage {number}: id {own!r} is another's already.")
        seen.add(own)
        questions = tuple(
            _question(path, number, i, given) for i, given in enumerate(entry.questions, start=1)
        )
        made = Document(own, entry.passage, entry.continuation, entry.trial, questions)
        (practice if entry.practice else documents).append(made)
    if not documents:
        raise UserError(f"{path}: all passages are for practice; there is none to adapt to.")
    return TaskSet(tuple(documents), tuple(practice))


def _rows(path: Path) -> list[Any]:
    tree = read_data(path)
    if isinstance(tree, dict) and set(tree) == {"passages"}:
        tree = tree["passages"]
    if tree is not None and not isinstance(tree, list):
        raise UserError(f"{path}: a file of tasks is a list of passages.")
    return tree or []


def _entry(path: Path, number: int, row: Any) -> _Entry:
    if not isinstance(row, dict):
        raise UserError(f"{path}: passage {number} is {row!r:.60}, but a passage is a mapping.")
    try:
        return _Entry.model_validate(row)
    except ValidationError as error:
        raise UserError(f"{path}: passage {number}: {_what(error, _Entry)}.") from None


def _question(path: Path, number: int, which: int, given: dict[str, Any]) -> Item:
    where = f"{path}: passage {number}: question {which}"
    try:
        item = Item.model_validate({"id": f"q{which}", "category": "question"} | given)
    except ValidationError as error:
        raise UserError(f"{where}: {_what(error, Item)}.") from None
    if not item.by_probability:
        raise UserError(
            f"{where}: choices is missing: list wrong answers to hold the right against."
        )
    return item


def _what(error: ValidationError, model: type[BaseModel]) -> str:
    details = error.errors(include_url=False)[0]
    if details["type"] == "mistake":
        return str(details["msg"])
    name = str(details["loc"][0])
    if details["type"] == "missing":
        return f"{name} is missing"
    if details["type"] == "extra_forbidden":
        close = nearest(name, list(model.model_fields))
        hint = f"did you mean {close}" if close else f"it has {', '.join(model.model_fields)}"
        return f"{name} is not a known field; {hint}"
    if details["type"] == "string_too_short":
        return f"{name} is empty"
    said = details["msg"].removeprefix("Input ")
    return f"{name} is {details['input']!r:.60}, but it {said}"
