"""The embedded corpus: children's stories by the seed, each with its exact probability.

Story `index` of a seed is a function of these two numbers alone, so the corpus needs no files, and
since the probability of every text is known, so is the loss that no model can get below:

    >>> from scaling.data import stories
    >>> text = stories.story(seed=42, index=0)
    >>> stories.parse(text).accepted
    True

`world` holds the facts that all stories agree on; `parse` says which of them a text contradicts.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from . import world
from .cast import variables
from .grammar import Grammar
from .parse import Contradiction, Parse, Reader
from .phrases import phrase_rules
from .plots import PLOTS, plot_rules

__all__ = [
    "PLOTS",
    "VERSION",
    "Contradiction",
    "Parse",
    "Story",
    "begins",
    "generate",
    "grammar",
    "log_probability",
    "parse",
    "plot_of",
    "story",
    "world",
]

VERSION = "stories-1"
"""Changes whenever any story or probability does; part of what a packed corpus is known by."""

_SEED_BITS = 64


class Story(NamedTuple):
    """One story and how likely the grammar is to tell it."""

    text: str
    log_probability: float
    """Nats, of the whole text with its end."""


@cache
def grammar() -> Grammar:
    """Return the compiled grammar of the stories (some milliseconds the first time)."""
    phrases, plots = phrase_rules(), plot_rules()
    if twice := phrases.keys() & plots.keys():
        raise ValueError(f"rules defined twice: {', '.join(sorted(twice))}")
    return Grammar(phrases | plots, variables(), root="story")


@cache
def _reader() -> Reader:
    return Reader(grammar())


def generate(seed: int, start: int, stop: int) -> Iterator[Story]:
    """Yield stories `start` up to `stop` of a seed, in order.

    Raises:
        ValueError: an index is negative, or the seed is not a whole number of 64 bits.
    """
    if not 0 <= seed < 1 << _SEED_BITS:
        raise ValueError(f"a seed is a whole number from 0 to 2^{_SEED_BITS} - 1, not {seed}")
    if start < 0:
        raise ValueError(f"stories are numbered from 0, not {start}")
    return _generate(seed, start, stop)


def _generate(seed: int, start: int, stop: int) -> Iterator[Story]:
    write = grammar().write
    source = random.Random()
    for index in range(start, stop):
        # seeding by one whole number, and random() itself, are the same in every Python version
        source.seed(index << _SEED_BITS | seed)
        yield Story(*write(source.random))


def story(seed: int, index: int) -> str:
    """Return the text of one story.

    Raises:
        ValueError: the index is negative, or the seed is not a whole number of 64 bits.
    """
    return next(generate(seed, index, index + 1)).text


def parse(text: str) -> Parse:
    """Read a text as a story: its facts, its probability, and what it contradicts."""
    return _reader().read(text)


def begins(text: str) -> bool:
    """Whether some story begins with this text and contradicts nothing in it.

    The text must end where a piece of the grammar does: a fact, or what is written around it.
    """
    return _reader().begins(text)


def log_probability(text: str) -> float:
    """Return the log-probability of a whole text in nats; -inf if no story reads so.

    It is summed over all derivations; the grammar is worded so that there is just one.
    """
    return parse(text).log_probability


def plot_of(reading: Parse) -> str | None:
    """Return the name of the plot that a text follows; None if it follows none."""
    return list(PLOTS)[reading.path[0][1]] if reading.path else None
