"""What a report consists of, before it is HTML or Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from analysis.evidence import Finding
from analysis.figures.style import Saved


@dataclass(frozen=True)
class Text:
    """A paragraph; `lead` ones are set larger, as what a hurried reader should read."""

    text: str
    lead: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Lines to be copied."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table; cells are text already, and columns of numbers are set to the right.

    Attributes:
        columns: the head.
        rows: the cells.
        caption: what it shows.
        left: how many columns from the left are words.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    left: int = 1


@dataclass(frozen=True)
class Picture:
    """A figure that lies in the report's folder under figures/."""

    saved: Saved


@dataclass(frozen=True)
class Card:
    """The evidence for one law: every rule with its verdict, and what may be claimed."""

    law: str
    findings: Sequence[Finding]
    claim: str


Block = Text | Bullets | Code | Table | Picture | Card


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    about: str
    sections: Sequence[Section] = field(default_factory=list)


def figure(value: object, digits: int = 4) -> str:
    """A number as a table shows it; a dash for nothing."""
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    number = float(value)  # type: ignore[arg-type]
    if number.is_integer() and abs(number) < 1e9:
        return f"{number:,.0f}"
    return f"{number:.{digits}g}"


def between(value: float | None, ci: Sequence[float] | None) -> str:
    """A number with its interval, in as many digits as tell the two ends apart by two."""
    if value is None:
        return "–"
    if not ci:
        return figure(value)
    digits, width = 3, abs(ci[1] - ci[0])
    if width > 0:
        largest = max(abs(value), abs(ci[0]), abs(ci[1]))
        digits = max(3, math.floor(math.log10(largest)) - math.floor(math.log10(width)) + 2)
    return f"{figure(value, digits)} [{figure(ci[0], digits)}, {figure(ci[1], digits)}]"
