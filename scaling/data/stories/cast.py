"""Who and what a story can be about: each variable of the grammar and how it is drawn.

Two variables that must differ within a story (the hero and the friend) name each other in
`unlike`; a value that follows from others (a sum) names them in `given`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from . import world
from .grammar import Variable, zipf
from .world import NUMBERS, Number

LARGEST_SUM = 20
_PETS = frozenset({"dog", "cat", "bird", "mouse", "duck", "hen", "goat", "parrot", "donkey"})


def _family(names: str, table: Sequence[object]) -> list[Variable]:
    """Make variables over one table that never share a value within a story."""
    each = names.split()
    weights = zipf(len(table))
    return [
        Variable(name, table, weights, unlike=tuple(other for other in each if other != name))
        for name in each
    ]


def _number(name: str, given: str, weigh: Callable[..., Mapping[int, int]]) -> Variable:
    return Variable(name, NUMBERS, (), given=tuple(given.split()), weigh=weigh)


def _row(value: int) -> int:
    return value - 1  # NUMBERS starts at one


def _addends(some: Number) -> dict[int, int]:
    room = LARGEST_SUM - some.value
    return {_row(value): weight for value, weight in enumerate(zipf(room)[1:], start=2)}


def _smaller(many: Number) -> dict[int, int]:
    # both the part taken and what is left are at least two, so the nouns stay plural
    return {_row(value): 1 for value in range(2, many.value - 1)}


_TWO_TO_TWELVE = [0, *zipf(11)] + [0] * 8
_FOUR_TO_TWENTY = [0] * 3 + zipf(17)


def variables() -> list[Variable]:
    """Make every variable of the stories afresh, in a fixed order."""
    petted = tuple(a for a in world.ANIMALS if a.name in _PETS)
    return [
        *_family("hero friend third", world.CHILDREN),
        *_family("elder elder2", world.GROWNUPS),
        *_family("petname petname2", world.PET_NAMES),
        *_family("pet", petted),
        *_family("animal animal2 animal3 beast beast2", world.ANIMALS),
        *_family("quiet critter", world.QUIET_ANIMALS),
        *_family("fruit fruit2 fruit3 snack", world.FRUITS),
        *_family("vegetable vegetable2", world.VEGETABLES),
        *_family("toy toy2 toy3 plaything", world.TOYS),
        *_family("color color2 hue", world.COLORS),
        *_family("thing", world.FIXED_COLORS),
        *_family("nook nook2 nook3", world.INDOOR_SPOTS),
        *_family("spot spot2 spot3", world.OUTDOOR_SPOTS),
        *_family("place place2", world.PLACES),
        *_family("pair pair2", world.OPPOSITES),
        *_family("job job2", world.JOBS),
        *_family("tool tool2", world.TOOLS),
        *_family("treat", world.TREATS),
        *_family("item item2 trinket trinket2", world.COUNTED),
        *_family("weather", world.WEATHERS),
        *_family("skill", world.SKILLS),
        *_family("day", world.DAYS),
        Variable("few", NUMBERS, _TWO_TO_TWELVE),
        Variable("few2", NUMBERS, _TWO_TO_TWELVE),
        Variable("some", NUMBERS, _TWO_TO_TWELVE),
        _number("more", "some", _addends),
        _number("total", "some more", lambda a, b: {_row(a.value + b.value): 1}),
        Variable("many", NUMBERS, _FOUR_TO_TWENTY),
        _number("fewer", "many", _smaller),
        _number("rest", "many fewer", lambda a, b: {_row(a.value - b.value): 1}),
    ]
