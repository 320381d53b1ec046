"""Whether what a model wrote passes."""

from functools import lru_cache
from typing import Any, Literal

import regex
from pydantic_core import PydanticCustomError

MatchKind = Literal["contains", "exact", "prefix", "regex"]
SECONDS = 0.5  # for one pattern on one text; honest ones take microseconds
_EDGES = " \t\n\r\"'“”‘’.,;:!?。，、；：！？「」『』"
# Scripts that put no space between words, for a class of the `regex` package.
SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
_SPACELESS = regex.compile(f"[{SPACELESS}]")
# Two characters within a word that spaces set apart, or a letter and a mark on it; and what makes
# the contrary of a word, as "can't" of "can".
_WITHIN = regex.compile(
    rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{SPACELESS}]]{{2}}|[\p{{L}}\p{{M}}]\p{{M}}|n['’]t\b",
    regex.V1,
)


class PatternTimeoutError(Exception):
    """A pattern took too long on a text."""


def passes(written: str, answer: str, kind: MatchKind, case_sensitive: bool) -> bool:
    """Whether `written` has the answer.

    `contains`: somewhere, as whole words. `prefix`: at its start, as whole words, quotes and
    spaces aside. `exact`: it is the answer, but for spaces and punctuation around it. `regex`:
    the pattern is found in it, within a time limit.

    Raises:
        PatternTimeoutError: a pattern that is searched for longer than `SECONDS`.
    """
    if kind == "regex":
        try:
            found = compile_pattern(answer, case_sensitive).search(written, timeout=SECONDS)
        except TimeoutError:
            raise PatternTimeoutError(answer) from None
        return found is not None
    text, wanted = _even(written, case_sensitive), _even(answer, case_sensitive)
    edges = _EDGES if wanted.strip(_EDGES) else ""  # of an answer like "!" they are all there is
    if kind == "exact":
        return text.strip(edges) == wanted.strip(edges)
    if kind == "prefix":
        return _at(text.lstrip(edges), wanted.lstrip(edges), 0)
    start = text.find(wanted)
    while start >= 0:
        if _at(text, wanted, start):
            return True
        start = text.find(wanted, start + 1)
    return False


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str, case_sensitive: bool) -> Any:
    """A user's pattern, or a sentence for a prompt file's mistake.

    The `regex` package's, which is Python's own syntax: `re` cannot be interrupted.
    """
    try:
        return regex.compile(pattern, 0 if case_sensitive else regex.IGNORECASE)
    except (regex.error, OverflowError) as error:
        raise PydanticCustomError(
            "mistake",
            "answers holds {pattern}, which is no regular expression: {why}",
            {"pattern": repr(pattern), "why": str(error)},
        ) from None


def _even(text: str, case_sensitive: bool) -> str:
    """Runs of white space made one space, and small letters unless they count."""
    text = " ".join(text.split())
    return text if case_sensitive else text.casefold()


def _at(text: str, wanted: str, start: int) -> bool:
    """Whether `wanted` stands at `start` and is no part of a longer word."""
    end = start + len(wanted)
    if text[start:end] != wanted:
        return False
    cuts = [at for at in (start, end) if at > 0 and _WITHIN.match(text, at - 1)]
    return not cuts


def spaceless(character: str) -> bool:
    """Whether it is of a script that puts no space between words."""
    return _SPACELESS.match(character) is not None
