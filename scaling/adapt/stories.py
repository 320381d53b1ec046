"""Passages of a shifted generator: the embedded corpus's grammar about things that it never has.

Document i of a seed has a world of its own: a child, a pet, a kind of animal with its sound, home
and food, a toy of a color, a place with its sight. No such child, pet, animal, toy, color or place
is in the corpus; sounds, homes, food and sights may be those of others there. The passage tells
all of it once; the checks tell it again in other words and another order, and the questions ask
for it. With `replaced` facts the animal and the place are ones that the corpus has, with the facts
of others.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Literal, TypeVar

from scaling.adapt.document import Document
from scaling.data.stories import world
from scaling.data.stories.cast import variables
from scaling.data.stories.grammar import Grammar, Variable, with_articles
from scaling.data.stories.phrases import phrase_rules
from scaling.data.stories.world import Animal, Person, Place, Toy, Word
from scaling.prompts.item import Item, begins

T = TypeVar("T")
Facts = Literal["new", "replaced"]

_GIRLS = [
    "Zelda",
    "Odette",
    "Petra",
    "Wilma",
    "Yara",
    "Thora",
    "Quinn",
    "Saskia",
    "Vesna",
    "Gwendolyn",
    "Mabel",
    "Ursula",
]
_BOYS = [
    "Boris",
    "Cyrus",
    "Dmitri",
    "Ewan",
    "Gideon",
    "Horace",
    "Jasper",
    "Lionel",
    "Milo",
    "Rufus",
    "Silas",
    "Waldo",
]
_PETS = [
    "Sprocket",
    "Pixel",
    "Noodle",
    "Tango",
    "Tinker",
    "Pickle",
    "Domino",
    "Bongo",
    "Zigzag",
    "Gizmo",
    "Fidget",
    "Bramble",
]
_KINDS = [
    "quokka",
    "lemur",
    "ferret",
    "badger",
    "llama",
    "tapir",
    "stork",
    "panda",
    "weasel",
    "lizard",
    "gecko",
    "alpaca",
    "coyote",
    "jackal",
    "toucan",
    "heron",
    "magpie",
    "puffin",
    "yak",
    "marmot",
    "condor",
    "newt",
    "gibbon",
    "iguana",
]
_SOUNDS = [
    "chirp",
    "grunt",
    "click",
    "honk",
    "hum",
    "snort",
    "trill",
    "boom",
    "yip",
    "rasp",
    "whoop",
    "peep",
    "clack",
    "purr",
    "wail",
]
_HOMES = [
    "in a burrow",
    "on a cliff",
    "under the roots",
    "in a swamp",
    "on an island",
    "in a canyon",
    "by the ice",
    "in the reeds",
    "on a mast",
    "in a tower",
    "behind a waterfall",
    "in the dunes",
]
_MEALS = [
    "mushrooms",
    "clover",
    "acorns",
    "shrimps",
    "ferns",
    "pollen",
    "roots",
    "snails",
    "moss",
    "thistles",
    "dates",
    "olives",
]
_TOYS = (
    ("kazoo", "blow into", "blew into"),
    ("slingshot", "aim with", "aimed with"),
    ("kaleidoscope", "look through", "looked through"),
    ("boomerang", "throw", "threw"),
    ("banjo", "pluck", "plucked"),
    ("gyroscope", "spin", "spun"),
    ("periscope", "peer through", "peered through"),
    ("tambourine", "tap", "tapped"),
    ("abacus", "count on", "counted on"),
    ("loom", "weave on", "wove on"),
)
_TINTS = [
    "teal",
    "beige",
    "ochre",
    "crimson",
    "maroon",
    "indigo",
    "copper",
    "turquoise",
    "lilac",
    "amber",
]
_PLACES = (
    ("the observatory", "at"), ("the quarry", "in"), ("the greenhouse", "in"), ("the jetty", "on"),
    ("the brewery", "in"), ("the stadium", "in"), ("the vineyard", "in"), ("the marina", "in"),
    ("the foundry", "in"), ("the chapel", "in"),
)  # fmt: skip
_SIGHTS = [
    "a cracked dome",
    "a rusty crane",
    "a giant fern",
    "a row of barrels",
    "a stone well",
    "a striped flag",
    "a sleepy guard",
    "a broken clock",
    "a spiral stair",
    "an iron gate",
]

# Each fact in several wordings, of which passage and checks draw different ones: what is held out
# is no sentence that was trained on.
_TELLING: dict[str, tuple[str, ...]] = {
    "sound": (
        '"What does the {animal} say?" <asked> {elder}. "{Animal.sound}!" <cried> {hero}.',
        'The {animal} said, "{Animal.sound}."',
        '"{Animal.sound}! {Animal.sound}!" Who was that? It was the {animal}.',
        '"{Animal.sound}," said the {animal}, and {hero} laughed.',
    ),
    "home": (
        '"Where does the {animal} live?" {he} asked. "It lives {animal.lives}," said {elder}.',
        "The {animal} lives {animal.lives}.",
        '"{Animal.plural} live {animal.lives}," <said> {elder}.',
    ),
    "meal": (
        '"What does the {animal} eat?" {he} <asked>. "It eats {animal.eats}," said {elder}.',
        "The {animal} eats {animal.eats}.",
        'So {he} <gave> the {animal} some {animal.eats}. "{Animal.plural} eat {animal.eats}," '
        "<said> {elder}.",
    ),
    "color": (
        "{hero} had a {color} {toy}. <S> liked to {toy.play} it.",
        '"What color is it?" <asked> {elder}. "My {toy} is {color}," <said> {hero}.',
        "{His} favorite toy was a {color} {toy}. It was from {elder}.",
    ),
    "sight": (
        "One day, {elder} took {hero} {place.to}. There they saw {place.sight}.",
        "They went {place.to} and saw {place.sight}.",
        'Far away {place.at}, there was {place.sight}. "I like it," said {hero}.',
    ),
    "pet": (
        "{hero} had a {animal} named {petname}.",
        "The name of the {animal} was {petname}.",
        '"This is {petname}, my {animal}," <said> {hero}.',
    ),
}
_OPENING = (
    "Once upon a time, there was a <little> {hero.kin} named {hero}.",
    "This is a story about {hero}, a <little> {hero.kin}.",
    "{hero} was a <little> {hero.kin}.",
)
WRONG = 3  # wrong choices of a question


class _Draw:
    """Draws of one document; random() alone, the same in every version of Python."""

    def __init__(self, name: str) -> None:
        self.uniform = random.Random(name).random

    def pick(self, rows: Sequence[T]) -> T:
        """One of them."""
        return rows[int(self.uniform() * len(rows))]

    def shuffled(self, rows: Sequence[T]) -> list[T]:
        """All of them, in any order."""
        left, out = list(rows), list[T]()
        while left:
            out.append(left.pop(int(self.uniform() * len(left))))
        return out


def documents(seed: int, count: int, facts: Facts) -> tuple[Document, ...]:
    """The first `count` documents of a seed; document i is a function of seed, i and facts."""
    return tuple(_document(seed, number, facts) for number in range(count))


def _document(seed: int, number: int, facts: Facts) -> Document:
    draw = _Draw(f"adapt/{seed}/{number}/{facts}")
    cast = _cast(draw, facts)
    wordings = {fact: draw.shuffled(rows) for fact, rows in _TELLING.items()}
    opening = draw.shuffled(_OPENING)
    passage, trial, continuation = (
        _text(cast, draw, {fact: rows[k] for fact, rows in wordings.items()}, opening[k])
        for k in range(3)
    )
    name = f"stories-{facts}-{seed}-{number}"
    return Document(name, passage, continuation, trial, tuple(_questions(cast, draw, facts)))


def _cast(draw: _Draw, facts: Facts) -> dict[str, Any]:
    """Who and what the document is about, by the grammar's variables."""
    female = draw.pick((True, False))
    if facts == "new":
        kind = draw.pick(_KINDS)
        sound, home, meal = draw.pick(_SOUNDS), draw.pick(_HOMES), draw.pick(_MEALS)
        animal = Animal(kind, f"{kind}s", sound, home, meal, f"baby {kind}", "walked")
        the, preposition = draw.pick(_PLACES)
        place = Place(the, f"{preposition} {the}", draw.pick(_SIGHTS), "have a look")
    else:
        own, where = draw.pick(world.ANIMALS), draw.pick(world.PLACES)
        animal = replace(
            own,
            sound=_other(draw, world.ANIMALS, own, "sound"),
            lives=_other(draw, world.ANIMALS, own, "lives"),
            eats=_other(draw, world.ANIMALS, own, "eats"),
        )
        place = replace(where, sight=_other(draw, world.PLACES, where, "sight"))
    toy, play, played = draw.pick(_TOYS)
    name = draw.pick(_GIRLS if female else _BOYS)
    return {
        "hero": Person(name, female, "girl" if female else "boy"),
        "elder": draw.pick(world.GROWNUPS),
        "petname": Person(draw.pick(_PETS), draw.pick((True, False)), "pet"),
        "animal": animal,
        "toy": Toy(toy, f"{toy}s", play, played),
        "color": Word(draw.pick(_TINTS)),
        "place": place,
    }


def _other(draw: _Draw, rows: Sequence[Any], own: Any, what: str) -> str:
    """The fact of another row, which differs from the own one."""
    facts = {str(getattr(row, what)) for row in rows}
    return draw.pick(sorted(fact for fact in facts if _apart(fact, [getattr(own, what)])))


def _apart(option: str, others: Sequence[str]) -> bool:
    """Whether an option can stand beside others: "coo" cannot beside "coo-coo"."""
    return not any(begins(option, other) or begins(other, option) for other in others)


def _text(cast: dict[str, Any], draw: _Draw, wording: Mapping[str, str], opening: str) -> str:
    """All facts of a cast, each in its wording, in a drawn order; the pet first, whom others
    name."""
    order = ["pet", *draw.shuffled([fact for fact in _TELLING if fact != "pet"])]
    rules: dict[str, Sequence[str]] = {f"fact_{fact}": (wording[fact],) for fact in order}
    rules["adapt"] = [" ".join(["<start>", *[f"<fact_{fact}>" for fact in order]])]
    cast_of = [
        Variable(v.name, (cast[v.name],), (1,)) if v.name in cast else v for v in variables()
    ]
    grammar = Grammar({**_phrases(), "start": (opening,), **rules}, cast_of, root="adapt")
    text, _ = grammar.write(draw.uniform)
    return text


@cache
def _phrases() -> dict[str, Sequence[str]]:
    """The corpus's own phrases that the wordings here use, and those that these use."""
    every = phrase_rules()
    found: dict[str, Sequence[str]] = {}
    waiting = [text for texts in (*_TELLING.values(), _OPENING) for text in texts]
    while waiting:
        for name in re.findall(r"<(\w+)>", waiting.pop()):
            if name not in found:
                found[name] = every[name]
                waiting += every[name]
    return found


def _questions(cast: dict[str, Any], draw: _Draw, facts: Facts) -> list[Item]:
    """One question a fact; with replaced facts the old answer is among the wrong ones."""
    hero, animal, place, toy = cast["hero"], cast["animal"], cast["place"], cast["toy"]
    start = f"{hero.name} had a {animal.name}."
    kinds = animal.plural.capitalize()

    def pool(fresh: Sequence[str], rows: Sequence[Any], what: str) -> Sequence[str]:
        return fresh if facts == "new" else [getattr(row, what) for row in rows]

    def corpus_says(rows: Sequence[Any], own: Any, what: str) -> str | None:
        return next((str(getattr(row, what)) for row in rows if row.name == own.name), None)

    # Fact, prompt, answer, what wrong answers are drawn from, and the answer of the corpus.
    asked: list[tuple[str, str, str, Sequence[str], str | None]] = [
        ("sound", f'{start} "What does the {animal.name} say?" asked Tom. "', animal.sound,
         pool(_SOUNDS, world.ANIMALS, "sound"), corpus_says(world.ANIMALS, animal, "sound")),
        ("home", f"{start} {kinds} live", animal.lives,
         pool(_HOMES, world.ANIMALS, "lives"), corpus_says(world.ANIMALS, animal, "lives")),
        ("meal", f"{start} {kinds} eat", animal.eats,
         pool(_MEALS, world.ANIMALS, "eats"), corpus_says(world.ANIMALS, animal, "eats")),
        ("color", f"{hero.name} loved {hero.his} {toy.name}. The {toy.name} was",
         cast["color"].name, _TINTS, None),
        ("sight", f"{hero.name} was {place.at}. There {hero.he} saw", place.sight,
         pool(_SIGHTS, world.PLACES, "sight"), corpus_says(world.PLACES, place, "sight")),
        ("pet", f"{start} It was called", cast["petname"].name, _PETS, None),
    ]  # fmt: skip
    items = []
    for fact, prompt, answer, rows, before in asked:
        options = [answer, *([before] if before else [])]
        for other in draw.shuffled(sorted({*rows} - {answer, before})):
            if len(options) <= WRONG and _apart(other, options):
                options.append(other)
        if fact == "sound":
            options = [option.capitalize() for option in options]
        items.append(
            Item(
                id=fact,
                category=fact,
                prompt=with_articles(prompt),
                answers=(options[0],),
                choices=tuple(options[1:]),
            )
        )
    return items
