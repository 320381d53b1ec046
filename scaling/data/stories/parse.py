"""Reading a text back through the grammar: its derivations, facts and contradictions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .grammar import (
    UNBOUND,
    Choice,
    Grammar,
    Part,
    Parts,
    Slot,
    with_articles,
    without_articles,
)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A mention that disagrees with the story before it, or with a fact of the world."""

    position: int
    """Where it stands, in characters from the start of the text."""
    variable: str
    """What it is about, as the grammar calls it: `hero`, `toy`, `total`."""
    attribute: str
    """Which form of it: `name`, `he`, `sound`."""
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Parse:
    """What a text says, or how far it makes sense."""

    derivations: int
    """How many ways the grammar can produce the text; 0 for a text that it cannot."""
    log_probability: float
    """Nats, of the whole text with its end; -inf where there is no derivation."""
    path: tuple[tuple[str, int], ...] = ()
    """The choices in order of the text: the name of the rule, the number of its alternative."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """Each variable that the story mentions and the row of its table."""
    contradictions: tuple[Contradiction, ...] = ()
    """The least set of mentions that disagree with what was said first, or with the world."""
    reach: int = 0
    """Characters that some story begins with, up to the end of a piece of the grammar (a fact, or
    what is written around it); a text that is read with contradictions is reached whole."""

    @property
    def accepted(self) -> bool:
        """Whether the grammar produces this very text."""
        return self.derivations > 0


_Candidate = tuple[int, str]  # the number of an alternative and the characters it begins with


class _Trail(NamedTuple):
    """What one reading has chosen so far, latest first: shared by all that branch from it."""

    log: float
    choice: Choice | None
    option: int
    before: _Trail | None


class _Rest(NamedTuple):
    """What is still to be read once the parts at hand are done."""

    parts: Parts
    at: int
    then: _Rest | None


class _End(NamedTuple):
    """A reading that has come to the end of the text."""

    values: tuple[int, ...]
    trail: _Trail | None
    contradictions: tuple[Contradiction, ...]


# A reading on its way: where in the text it is, the parts at hand, at which of them it is, what
# follows them, the variables' values, what it has chosen and what contradicts it. A plain tuple,
# since there are so many of them.
_State = tuple[
    int,
    Parts,
    int,
    _Rest | None,
    tuple[int, ...],
    _Trail | None,
    tuple[Contradiction, ...],
]


class Reader:
    """Reads texts by the structure they are written from.

    Depth first over the choices, an alternative being tried only if the next character can start
    it. A text that no derivation fits is read again with up to `tolerance` contradictions, fewest
    first.
    """

    def __init__(self, grammar: Grammar, tolerance: int = 3) -> None:
        self._grammar = grammar
        self._tolerance = tolerance
        self._initials: dict[Choice, dict[str, list[_Candidate]]] = {}
        self._anything: dict[Choice, list[_Candidate]] = {}
        self._furthest = 0
        self._forms: dict[tuple[Slot, int], list[str]] = {}  # that the text has at a place

    def read(self, text: str) -> Parse:
        """Return every derivation of `text` summed up, or the nearest story's contradictions."""
        self._furthest = 0
        written, text = text, without_articles(text)
        right = with_articles(text)
        if right != written:  # "a owl", "an cow": no story says that, and none goes on from there
            both = zip(written, right, strict=False)
            wrong = next(i for i, (found, due) in enumerate(both) if found != due)
            return Parse(0, -math.inf, reach=self.read(written[:wrong]).reach)
        found = list(self._readings(text, 0))
        if found:
            logs = [sum_of_logs(end.trail) for end in found]
            top = max(logs)  # of one derivation: the very number that writing it gave
            total = top + math.log(math.fsum(math.exp(log - top) for log in logs))
            return self._parse(written, found[0], len(found), total)
        nearest = next(self._readings(text, self._tolerance), None)
        if nearest is not None:
            return self._parse(written, nearest, 0, -math.inf)
        return Parse(0, -math.inf, reach=_as_written(written, self._furthest))

    def begins(self, text: str) -> bool:
        """Whether some story begins with this text and contradicts nothing in it.

        The text must end where a piece of the grammar does: a fact, or what is written around it.
        """
        self._furthest = 0
        written, text = text, without_articles(text)
        if with_articles(text) != written:
            return False
        whole = any(True for _ in self._readings(text, 0))
        return whole or self._furthest >= len(text)

    def _parse(self, written: str, end: _End, derivations: int, log_probability: float) -> Parse:
        path: list[tuple[str, int]] = []
        trail = end.trail
        while trail is not None:
            if trail.choice is not None:
                path.append((trail.choice.name, trail.option))
            trail = trail.before
        facts = {
            variable.name: variable.table[row]
            for variable, row in zip(self._grammar.variables, end.values, strict=True)
            if row != UNBOUND
        }
        return Parse(
            derivations,
            log_probability,
            tuple(reversed(path)),
            facts,
            tuple(
                replace(
                    wrong,
                    position=_as_written(written, wrong.position),
                    expected=with_articles(wrong.expected),
                    found=with_articles(wrong.found),
                )
                for wrong in end.contradictions
            ),
            reach=len(written),
        )

    def _readings(self, text: str, tolerance: int) -> Iterator[_End]:
        """Yield the end of every reading of `text` with at most `tolerance` contradictions.

        Those with the fewest come first, and of them those that are contradicted latest.
        """
        self._forms.clear()
        unbound = (UNBOUND,) * len(self._grammar.variables)
        stack: list[_State] = [(0, (self._grammar.root,), 0, None, unbound, None, ())]
        for count in range(tolerance + 1):
            lenient = count < tolerance
            wrong: list[_State] = []  # with one contradiction more
            while stack:
                position, parts, at, then, values, trail, wrongs = stack.pop()
                while True:  # along what leaves no choice
                    if at == len(parts):
                        if then is None:
                            if position == len(text):
                                yield _End(values, trail, wrongs)
                            break
                        parts, at, then = then
                        continue
                    part = parts[at]
                    at += 1
                    if isinstance(part, str):
                        if not text.startswith(part, position):
                            break
                        position += len(part)
                    else:
                        here = (position, parts, at, then, values, trail, wrongs)
                        if isinstance(part, Choice):
                            stack += self._alternatives(part, text, here)
                            break
                        if values[part.number] == UNBOUND:
                            bound = self._bindings(part, text, here)
                            stack += bound
                            if lenient and not bound:
                                wrong += self._wrongly_implied(part, text, here)
                            break
                        expected = part.forms[values[part.number]]
                        if lenient:
                            wrong += self._past_mistakes(part, expected, text, here)
                        if not text.startswith(expected, position):
                            break
                        position += len(expected)
                    self._furthest = max(self._furthest, position)
            wrong.sort(key=lambda state: [contradiction.position for contradiction in state[-1]])
            stack = wrong

    def _alternatives(self, choice: Choice, text: str, here: _State) -> list[_State]:
        """Return the state within each alternative that the text may go on with."""
        position, parts, at, then, values, trail, wrongs = here
        rest, options, logs = _Rest(parts, at, then), choice.options, choice.logs
        return [
            (position, options[k], 0, rest, values, _Trail(logs[k], choice, k, trail), wrongs)
            for k, lead in self._candidates(choice, text[position : position + 1])
            if text.startswith(lead, position)
        ]

    def _bindings(self, slot: Slot, text: str, here: _State) -> list[_State]:
        """Return the state behind each value that the text gives to a variable not yet known."""
        position, parts, at, then, values, trail, wrongs = here
        number, given = slot.number, slot.variable.conditional(values)
        before, after, found = values[:number], values[number + 1 :], list[_State]()
        for row in given.weights:
            form = slot.forms[row]
            if text.startswith(form, position):
                end, bound = position + len(form), (*before, row, *after)
                self._furthest = max(self._furthest, end)
                chosen = _Trail(given.logs[row], None, row, trail)
                found.append((end, parts, at, then, bound, chosen, wrongs))
        return found

    def _wrongly_implied(self, slot: Slot, text: str, here: _State) -> list[_State]:
        """Return the states behind a mention that is not what the rest implies: a wrong sum."""
        position, parts, at, then, values, trail, wrongs = here
        rows = list(slot.variable.conditional(values).weights)
        if len(rows) != 1:
            return []
        bound = (*values[: slot.number], rows[0], *values[slot.number + 1 :])
        sure = _Trail(0.0, None, rows[0], trail)
        told = (position, parts, at, then, bound, sure, wrongs)
        return self._past_mistakes(slot, slot.forms[rows[0]], text, told)

    def _past_mistakes(self, slot: Slot, expected: str, text: str, here: _State) -> list[_State]:
        """Return the state behind every other form that the text has in place of the expected."""
        position, parts, at, then, values, trail, wrongs = here
        forms = self._forms.get((slot, position))
        if forms is None:
            forms = [one for one in slot.alternatives if one and text.startswith(one, position)]
            self._forms[slot, position] = forms
        found: list[_State] = []
        for form in forms:
            if form != expected:
                wrong = Contradiction(position, slot.variable.name, slot.attribute, expected, form)
                end = position + len(form)
                found.append((end, parts, at, then, values, trail, (*wrongs, wrong)))
        return found

    def _candidates(self, choice: Choice, character: str) -> list[_Candidate]:
        """Return the alternatives that may go on with `character`, or may be empty."""
        table = self._initials.get(choice)
        if table is None:
            table = self._initials[choice] = {}
            self._anything[choice] = []
            for option, parts in enumerate(choice.options):
                lead = parts[0] if parts and isinstance(parts[0], str) else ""
                initials = self._first(parts)
                if initials is None:
                    self._anything[choice].append((option, lead))
                for initial in initials or ():
                    table.setdefault(initial, []).append((option, lead))
        return table.get(character, []) + self._anything[choice]

    def _first(self, parts: Parts) -> set[str] | None:
        """Return the characters `parts` can start with; None where the first may be empty."""
        return self._first_of(parts[0]) if parts else None

    def _first_of(self, part: Part) -> set[str] | None:
        if isinstance(part, str):
            return {part[0]}
        if isinstance(part, Slot):
            return {form[0] for form in part.forms if form}
        initials: set[str] = set()
        for option in part.options:
            first = self._first(option)
            if first is None:
                return None
            initials |= first
        return initials


def _as_written(text: str, position: int) -> int:
    """Return where a position of the underlying form stands in the text, its "an"s counted."""
    for article in re.finditer(r"\b[Aa]n ", text):
        if article.start() + 1 >= position:
            break
        position += 1
    return position


def sum_of_logs(trail: _Trail | None) -> float:
    """Add up the log-probabilities along a trail, in nats, rounded once."""
    logs = []
    while trail is not None:
        logs.append(trail.log)
        trail = trail.before
    return math.fsum(logs)
