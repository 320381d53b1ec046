"""From drafts to the set: each checked by the corpus's own reader, then numbered."""

from collections.abc import Callable, Iterator

import yaml

from scaling.data import stories
from scaling.prompts.answer import joined
from scaling.prompts.item import Item, PromptSet
from scaling.prompts.stories import events, facts, numbers, people
from scaling.prompts.stories.teller import Draft, Teller

CATEGORIES: dict[str, Callable[[Teller], Iterator[Draft]]] = {
    "pronouns": people.pronouns,
    "names": people.names,
    "counting": numbers.counting,
    "associations": facts.associations,
    "comprehension": events.comprehension,
    "feelings": events.feelings,
    "opposites": facts.opposites,
    "dialogue": people.dialogue,
}
_TOKENS = 12  # enough for any answer of the set, whatever the tokenizer's pieces
_HEADER = """\
# What the embedded corpus's facts decide, in its own words, by category and difficulty (1 to 5).
# Made by `python -m scaling.prompts.stories`, which checks each item with the corpus's reader:
# the answer goes on with a story, each wrong choice contradicts it. Do not edit by hand.
"""


def make(*, checked: bool = True) -> PromptSet:
    """The whole set; the same every time.

    Raises:
        ValueError: a draft disagrees with the corpus (where `checked`, which takes seconds).
    """
    items: list[Item] = []
    for category, write in CATEGORIES.items():
        seen: set[str] = set()
        for draft in write(Teller(category)):
            if draft.prompt in seen:
                continue
            seen.add(draft.prompt)
            if checked:
                check(draft)
            number = len(seen)
            items.append(
                Item(
                    id=f"{category}-{number:02d}",
                    category=category,
                    difficulty=draft.difficulty,
                    score=float(draft.difficulty),
                    prompt=draft.prompt,
                    answers=(draft.answer,),
                    match="prefix" if draft.written else None,
                    choices=() if draft.written else draft.wrong,
                    max_tokens=_TOKENS if draft.written else 16,
                )
            )
    return PromptSet(
        name="stories",
        description="Facts of the embedded corpus and of the story at hand.",
        items=tuple(items),
    )


def check(draft: Draft) -> None:
    """Raise where the corpus could not tell the answer, or could tell a wrong choice."""
    if not stories.begins(joined(draft.prompt, draft.answer) + draft.after):
        raise ValueError(f"no story goes on so: {draft.prompt} [{draft.answer}]")
    for wrong in draft.wrong:
        if wrong == draft.answer or stories.begins(joined(draft.prompt, wrong) + draft.after):
            raise ValueError(f"not wrong: {draft.prompt} [{wrong}]")


def to_yaml(prompts: PromptSet) -> str:
    """As a prompt file; fields at their defaults are left out."""
    tree = {
        "name": prompts.name,
        "description": prompts.description,
        "items": [item.model_dump(mode="json", exclude_defaults=True) for item in prompts.items],
    }
    body = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=98)
    return _HEADER + body
