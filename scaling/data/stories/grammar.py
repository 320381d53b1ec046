"""The machinery under the stories: templates compiled once, then walked to write a text.

A template is a sentence with holes:

    {toy}  {Toy.the}  {he}     a variable's form; a capital makes a capital letter
    [a big|an old|]            one of several, the likelier first
    <aside>                    any alternative of the rule of that name

The first mention of a variable draws its value, every later one repeats it; this holds alike for
writing and for reading (`parse.py` walks the very structure made here), so a text's probability
is the product of its draws and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

UNBOUND = -1
_STEEPNESS = 0.4  # alternatives fall off as rank^-0.4: a head and a tail, no option unheard of
_RESOLUTION = 24  # the weight of the first alternative; weights are whole numbers

# Templates say "a" before everything; the text says "an" where the next word begins with a vowel
# sound. One text has one underlying form and the other way round, so probabilities are the same.
_VOWEL_SOUND = re.compile(r"\b([Aa]) (?=(?!ukulele)[aeiou]|honest|hour)")
_ARTICLE_AN = re.compile(r"\b([Aa])n ")

PRONOUNS = ("he", "him", "his", "himself")


def alternative_weights(count: int) -> list[int]:
    """Return whole-number weights for `count` alternatives listed from likely to rare."""
    return [max(1, round(_RESOLUTION / (rank + 1) ** _STEEPNESS)) for rank in range(count)]


def zipf(count: int) -> list[int]:
    """Return whole-number weights for a lexicon of `count` entries, steeper than a rule's."""
    return [max(1, round(200 / (rank + 3) ** 0.8)) for rank in range(count)]


def with_articles(underlying: str) -> str:
    """Return the text as it is written: "a" made "an" where the next word asks for it."""
    return _VOWEL_SOUND.sub(r"\1n ", underlying)


def without_articles(text: str) -> str:
    """Return the underlying form of a text or template: every "an" made "a"."""
    return _ARTICLE_AN.sub(r"\1 ", text)


class Distribution:
    """A categorical distribution over row numbers by whole-number weights; a draw is a lookup."""

    __slots__ = ("logs", "rows", "size", "total", "weights")

    def __init__(self, weights: Mapping[int, int]) -> None:
        self.weights = dict(weights)
        self.total = sum(weights.values())
        self.logs = {row: math.log(weight / self.total) for row, weight in weights.items()}
        self.rows = [row for row, weight in weights.items() for _ in range(weight)]
        self.size = len(self.rows)
        if self.size == 0:
            raise ValueError("a distribution needs at least one value of positive weight")


@dataclass(eq=False)
class Variable:
    """Something a story may be about: a row of a table, drawn when it is first mentioned.

    `unlike` names variables of the same table whose values are left out of the draw; `given`
    names variables that must be bound before, from which `weigh` makes the weights of the rows
    (a sum given its parts: one row of weight 1).
    """

    name: str
    table: Sequence[object]
    weights: Sequence[int]
    unlike: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    weigh: Callable[..., Mapping[int, int]] | None = None
    number: int = UNBOUND
    _unlike: tuple[int, ...] = ()
    _given: tuple[int, ...] = ()
    _cache: dict[tuple[int, ...], Distribution] = field(default_factory=dict)

    def link(self, numbers: Mapping[str, int]) -> None:
        """Resolve the names of other variables to their places in a story's list of values."""
        self.number = numbers[self.name]
        self._unlike = tuple(numbers[name] for name in self.unlike)
        self._given = tuple(numbers[name] for name in self.given)

    def conditional(self, values: Sequence[int]) -> Distribution:
        """Return the exact distribution of this variable given what a story has bound so far.

        Raises:
            ValueError: a variable that this one depends on is not bound yet.
        """
        if self._given:
            key = tuple([values[i] for i in self._given])
            if UNBOUND in key:
                raise ValueError(f"{self.name} is mentioned before {', '.join(self.given)}")
        else:
            key = tuple(sorted([v for i in self._unlike if (v := values[i]) != UNBOUND]))
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = Distribution(self._weights(key))
        return found

    def _weights(self, key: tuple[int, ...]) -> Mapping[int, int]:
        if self.weigh is not None:
            return self.weigh(*(self.table[row] for row in key))
        return {row: w for row, w in enumerate(self.weights) if w and row not in key}


class Slot:
    """One mention of a variable, in one of its forms."""

    __slots__ = ("alternatives", "attribute", "forms", "number", "variable")

    def __init__(self, variable: Variable, attribute: str, capital: bool) -> None:
        forms = [without_articles(getattr(entity, attribute)) for entity in variable.table]
        self.forms = [form[:1].upper() + form[1:] for form in forms] if capital else forms
        self.alternatives = sorted(set(self.forms), key=len, reverse=True)
        self.variable = variable
        self.attribute = attribute
        self.number = variable.number


class Choice:
    """One of several sequences of parts, by whole-number weights."""

    __slots__ = ("logs", "name", "options", "size", "table", "weights")

    def __init__(self, name: str) -> None:
        self.name = name
        self.options: list[Parts] = []
        self.weights: list[int] = []
        self.logs: list[float] = []
        self.table: list[tuple[float, str | Parts]] = []
        self.size = 0

    def fill(self, options: Iterable[Parts]) -> None:
        """Set the alternatives, the likelier first; two equal ones are refused.

        Raises:
            ValueError: there is no alternative, or two are the same.
        """
        self.options = list(options)
        if len(set(self.options)) != len(self.options) or not self.options:
            raise ValueError(f"rule {self.name!r} has no or equal alternatives")
        self.weights = alternative_weights(len(self.options))
        total = sum(self.weights)
        self.logs = [math.log(weight / total) for weight in self.weights]
        for option, weight, log in zip(self.options, self.weights, self.logs, strict=True):
            first = option[0] if len(option) == 1 else None
            written = first if isinstance(first, str) else option  # a plain word needs no walk
            self.table += [(log, written)] * weight
        self.size = len(self.table)


Part = str | Slot | Choice
Parts = tuple[Part, ...]


class Grammar:
    """Rules and variables compiled into one structure, which is both written from and read by.

    Rules may not call themselves: every story ends. `root` is the rule that a whole text is.
    """

    def __init__(
        self, rules: Mapping[str, Sequence[str]], variables: Sequence[Variable], root: str
    ) -> None:
        self.variables = list(variables)
        numbers = {variable.name: i for i, variable in enumerate(self.variables)}
        for variable in self.variables:
            variable.link(numbers)
        self._named = {variable.name: variable for variable in self.variables}
        self._slots: dict[str, Slot] = {}
        self._inline: dict[str, Choice] = {}
        self.rules = {name: Choice(name) for name in rules}
        for name, templates in rules.items():
            self.rules[name].fill([self._compile(template) for template in templates])
        self.root = self.rules[root]

    def write(self, uniform: Callable[[], float]) -> tuple[str, float]:
        """Draw one text; return it with its log-probability in nats.

        `uniform` gives independent numbers in [0, 1).
        """
        values = [UNBOUND] * len(self.variables)
        out: list[str] = []
        logs: list[float] = []
        _write((self.root,), values, out, logs, uniform)
        # fsum: the same sum in whatever order one reads
        return with_articles("".join(out)), math.fsum(logs)

    def _compile(self, template: str) -> Parts:
        template = without_articles(template)
        parts, end = self._sequence(template, 0, closing="")
        if end != len(template):
            raise ValueError(f"unbalanced brackets in {template!r}")
        return parts

    def _sequence(self, template: str, at: int, closing: str) -> tuple[Parts, int]:
        """Compile from `at` up to one of the `closing` characters or the end of the template."""
        parts: list[Part] = []
        text = ""
        while at < len(template) and template[at] not in closing:
            mark = template[at]
            if mark not in "{[<":
                text += mark
                at += 1
                continue
            if text:
                parts.append(text)
                text = ""
            if mark == "[":
                choice, at = self._alternatives(template, at + 1)
                parts.append(choice)
            else:
                end = template.index("}" if mark == "{" else ">", at)
                name = template[at + 1 : end]
                parts.append(self._slot(name) if mark == "{" else self.rules[name])
                at = end + 1
        if text:
            parts.append(text)
        return tuple(parts), at

    def _alternatives(self, template: str, at: int) -> tuple[Choice, int]:
        start, options = at, []
        while True:
            parts, at = self._sequence(template, at, closing="|]")
            options.append(parts)
            if at >= len(template):
                raise ValueError(f"unclosed bracket in {template!r}")
            at += 1
            if template[at - 1] == "]":
                break
        source = template[start - 1 : at]
        if source not in self._inline:  # equal brackets are one node, which keeps memory small
            self._inline[source] = Choice(source)
            self._inline[source].fill(options)
        return self._inline[source], at

    def _slot(self, source: str) -> Slot:
        if source not in self._slots:
            name, _, attribute = source.partition(".")
            capital = name[0].isupper()
            name = name[0].lower() + name[1:]
            if name in PRONOUNS:  # a bare pronoun is the hero's
                name, attribute = "hero", name
            self._slots[source] = Slot(self._named[name], attribute or "name", capital)
        return self._slots[source]


def _write(
    parts: Parts,
    values: list[int],
    out: list[str],
    logs: list[float],
    uniform: Callable[[], float],
) -> None:
    for part in parts:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, Choice):
            log, option = part.table[int(uniform() * part.size)]
            logs.append(log)
            if isinstance(option, str):
                out.append(option)
            else:
                _write(option, values, out, logs, uniform)
        else:
            row = values[part.number]
            if row == UNBOUND:
                drawn = part.variable.conditional(values)
                row = values[part.number] = drawn.rows[int(uniform() * drawn.size)]
                logs.append(drawn.logs[row])
            out.append(part.forms[row])
