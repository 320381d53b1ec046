"""Who and what the prompts are about, drawn from the corpus's tables."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from scaling.data.stories import world
from scaling.data.stories.phrases import SMALL
from scaling.data.stories.world import Person

T = TypeVar("T")

COLORS = 8  # of the first so many are the things in the prompts
COMMON = 12  # rows of a table from the start, which stories draw most
_CHILDREN = world.CHILDREN[: 4 * COMMON]
_LIKES = [phrase for phrase in SMALL["verb_play"] if not {"{", "<"} & set(phrase)]


@dataclass(frozen=True)
class Draft:
    """An item before it has a number."""

    prompt: str
    answer: str
    wrong: tuple[str, ...]  # what contradicts; also of a written answer, for the check alone
    difficulty: int
    written: bool = False
    after: str = ""  # what goes on behind the answer, where that alone makes it a word


class Teller:
    """Draws people and things for one category of items, from a seed of its own."""

    def __init__(self, category: str) -> None:
        # random() alone: the same in every version of Python.
        self._uniform = random.Random(f"stories/{category}").random

    def pick(self, rows: Sequence[T]) -> T:
        """One of them."""
        return rows[int(self._uniform() * len(rows))]

    def some(self, rows: Sequence[T], count: int, but: Sequence[T] = ()) -> list[T]:
        """So many different ones, none of which is in `but`."""
        found: list[T] = []
        while len(found) < count:
            row = self.pick(rows)
            if row not in found and row not in but:
                found.append(row)
        return found

    def girls_and_boys(self, pairs: int) -> list[tuple[Person, Person]]:
        """A girl and a boy, so many times, nobody twice."""
        girls = self.some([c for c in _CHILDREN if c.female], pairs)
        boys = self.some([c for c in _CHILDREN if not c.female], pairs)
        return list(zip(girls, boys, strict=True))

    def alike(self, count: int, but: Sequence[Person] = ()) -> list[Person]:
        """Children who are all girls or all boys."""
        female = self._uniform() < 0.5
        return self.some([c for c in _CHILDREN if c.female == female], count, but=but)

    def child(self, but: Sequence[Person] = ()) -> Person:
        """Anyone else."""
        return self.some(_CHILDREN, 1, but=but)[0]

    def elder(self) -> Person:
        """A grown-up."""
        return self.pick(world.GROWNUPS)

    def opening(self) -> "Opening":
        """How a story begins, whoever it is about."""
        return Opening(
            way=int(self._uniform() * 6),
            like=self.pick(_LIKES),
            skill=self.pick(["drawing", "singing", "running", "counting", "swimming"]),
            color=self.pick(world.COLORS[COLORS:]).name,  # no thing's: colors differ in a story
        )


@dataclass(frozen=True)
class Opening:
    """A story's first sentences: the same for each of several heroes."""

    way: int
    like: str
    skill: str
    color: str

    def of(self, hero: Person) -> str:
        """Told of one of them."""
        he, name, kin = hero.he.capitalize(), hero.name, hero.kin
        return (
            f"Once upon a time, there was a {kin} named {name}. {he} loved to {self.like}.",
            f"Once upon a time, there was a little {kin} named {name}. {he} liked to {self.like}.",
            f"Once upon a time, there was a {kin} named {name}. {he} lived in a small village.",
            f"This is a story about a {kin} named {name}. {he} was very good at {self.skill}.",
            f"Do you know {name}? {he} is a little {kin} who loves to {self.like}.",
            f"In a small village lived a {kin} named {name}."
            f" {hero.his.capitalize()} favorite color was {self.color}.",
        )[self.way]


def fours(rows: Sequence[T], start: int = 0, stop: int | None = None) -> list[list[T]]:
    """Rows in groups of four, those from `start` up to `stop`."""
    kept = list(rows)[start:stop]
    return [kept[i : i + 4] for i in range(0, len(kept) - 3, 4)]


def others(texts: Sequence[str], answer: str) -> tuple[str, ...]:
    """All of a group but the answer."""
    return tuple(text for text in texts if text != answer)
