"""The prompt file: YAML or JSON, strict, and a sentence for each mistake in it."""

import hashlib
import json
import re
from itertools import permutations
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from scaling.errors import UserError
from scaling.prompts.match import MatchKind, compile_pattern
from scaling.reading import read_data
from scaling.schema import nearest


def _mistake(what: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("mistake", "{what} {message}", {"what": what, "message": message})


def begins(one: str, other: str) -> bool:
    """Whether an option begins another: then it is never the less likely of the two, whatever a
    model knows."""
    return other.strip().startswith(one.strip())


class Item(BaseModel):
    """One prompt, and what counts as an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, description="its name, one of a kind in its file")
    category: str = Field(min_length=1, description="what it asks about")
    difficulty: int = Field(1, ge=1, le=5, description="1 to 5")
    score: float = Field(1.0, gt=0, description="points for an answer that passes")
    prompt: str = Field(min_length=1, description="what the model goes on from")
    answers: tuple[str, ...] = Field(min_length=1, description="any of these passes")
    match: MatchKind | None = Field(
        None, description="how an answer is found in what the model writes; `contains` unless said"
    )
    choices: tuple[str, ...] = Field(
        (),
        description="wrong answers: then nothing is written, and probabilities decide; each"
        " follows the prompt after a space, if it does not go on or close (as a comma or bracket)"
        " and the prompt does not end in what opens (as a quotation mark)",
    )
    max_tokens: int = Field(16, ge=1, le=1024, description="how much the model writes")
    stop: tuple[str, ...] = Field((), description="what it writes is cut before any of these")
    case_sensitive: bool = Field(False, description="whether small and capital letters differ")

    @property
    def by_probability(self) -> bool:
        """Whether the answer is judged by its probability, with nothing written."""
        return bool(self.choices)

    @property
    def options(self) -> tuple[str, ...]:
        """The right answers, then the wrong ones."""
        return (*self.answers, *self.wrong)

    @property
    def wrong(self) -> tuple[str, ...]:
        """The choices that are not answers; a file may list the answer among its choices."""
        return tuple(choice for choice in self.choices if choice not in self.answers)

    @property
    def chance(self) -> float:
        """How often blind choice passes; 0 for what is written."""
        return len(self.answers) / len(self.options) if self.by_probability else 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for field, texts in (("answers", self.answers), ("choices", self.choices)):
            if any(not text.strip() for text in texts):
                raise _mistake(field, "holds an empty text")
            if len(set(texts)) < len(texts):
                raise _mistake(field, "holds one text twice")
        if "" in self.stop:
            raise _mistake("stop", "holds an empty text")
        if not self.prompt.strip():
            raise _mistake("prompt", "is empty")
        if self.choices:
            if not self.wrong:
                raise _mistake("choices", "holds right answers alone; list wrong ones")
            if self.match is not None:
                raise _mistake("match", "is for answers that are written; choices have none")
            for one, other in permutations(self.options, 2):
                if begins(one, other):
                    raise _mistake(
                        repr(one),
                        f"begins {other!r}, and would count for it as well: add what follows, such"
                        " as a full stop",
                    )
        elif self.match == "regex":
            for pattern in self.answers:
                compile_pattern(pattern, self.case_sensitive)  # raises a sentence of its own
        return self


class PromptSet(BaseModel):
    """A named list of items."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""
    items: tuple[Item, ...]

    @property
    def hash(self) -> str:
        """Of everything that decides an evaluation; not of name and description."""
        content = [item.model_dump(mode="json") for item in self.items]
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def first(self, limit: int | None) -> "PromptSet":
        """So many items, each category with its share: `stories-20-of-497`, since scores of a
        part are no scores of the whole."""
        whole = len(self.items)
        if limit is None or limit >= whole:
            return self
        # Mirrored items stand in turn (She, He, She, He), and even steps over them would take one
        # side alone: within a category, chance decides (the same every time).
        mixed = sorted(
            self.items,
            key=lambda item: (item.category, hashlib.sha256(item.id.encode()).digest()),
        )
        chosen = {mixed[k * whole // limit].id for k in range(limit)}
        items = tuple(item for item in self.items if item.id in chosen)
        return self.model_copy(update={"name": f"{self.name}-{limit}-of-{whole}", "items": items})


def read_prompts(path: Path) -> PromptSet:
    """A prompt file: a mapping with `items`, or a bare list of items.

    Raises:
        UserError: one sentence that names the file, the item and the field.
    """
    tree = read_data(path)
    if isinstance(tree, list):
        tree = {"items": tree}
    if not isinstance(tree, dict) or not isinstance(tree.get("items"), list):
        raise UserError(f"{path}: a prompt file is a list of items, or a mapping with `items`.")
    unknown = sorted(set(tree) - {"name", "description", "items"})
    if unknown:
        raise UserError(f"{path}: {unknown[0]} is not known; a file has name, description, items.")
    if not tree["items"]:
        raise UserError(f"{path}: there are no items.")
    items = [_item(path, number, given) for number, given in enumerate(tree["items"], start=1)]
    seen: dict[str, int] = {}
    for number, item in enumerate(items, start=1):
        if item.id in seen:
            raise UserError(
                f"{path}: item {number}: id {item.id!r} is item {seen[item.id]}'s already."
            )
        seen[item.id] = number
    name = str(tree.get("name") or re.sub(r"[^\w.-]+", "-", path.stem).lstrip("-.") or "prompts")
    if not re.fullmatch(r"\w[\w.-]*", name):  # it names a folder, artifacts and metrics
        raise UserError(
            f"{path}: name {name!r} names a folder: use letters, digits and any of . _ -"
        )
    return PromptSet(
        name=name,
        description=str(tree.get("description") or ""),
        items=tuple(items),
    )


def _item(path: Path, number: int, given: Any) -> Item:
    if not isinstance(given, dict):
        raise UserError(f"{path}: item {number} is {given!r:.60}, but an item is a mapping.")
    name = f"item {number} ({given['id']})" if isinstance(given.get("id"), str) else None
    try:
        return Item.model_validate(given)
    except ValidationError as error:
        what = _sentence(error, given)
        raise UserError(f"{path}: {name or f'item {number}'}: {what}.") from None


def _sentence(error: ValidationError, given: dict[str, Any]) -> str:
    details = error.errors(include_url=False)[0]
    if details["type"] == "mistake":
        return str(details["msg"])
    field = str(details["loc"][0])
    value = given.get(field)
    match details["type"]:
        case "missing":
            return f"{field} is missing"
        case "extra_forbidden":
            close = nearest(field, list(Item.model_fields))
            hint = f"did you mean {close}" if close else f"it has {', '.join(Item.model_fields)}"
            return f"{field} is not a known field; {hint}"
        case "tuple_type":
            return f"{field} is {value!r:.60}, but it is a list of texts"
        case "literal_error":
            expected = (details.get("ctx") or {}).get("expected")
            return f"{field} is {value!r:.60}, but it is one of {expected}"
    if len(details["loc"]) > 1:
        value = details["input"]
        field = f"{field}[{details['loc'][1]}]"
    return f"{field} is {value!r:.60}, but it {_lower(details['msg'])}"


def _lower(message: str) -> str:
    return message.removeprefix("Input ").replace("String ", "").replace("Tuple ", "")
