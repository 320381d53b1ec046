"""How the stories of the prompts about facts begin."""

from dataclasses import dataclass

from scaling.data.stories import world
from scaling.prompts.stories.teller import COLORS, COMMON, Teller


@dataclass(frozen=True)
class Start:
    """The beginning of a story, and whom it is about."""

    hero: world.Person
    text: str


def with_toy(tell: Teller) -> Start:
    """Someone has a toy."""
    hero, opening = tell.child(), tell.opening()
    toy, color = tell.pick(world.TOYS[:COMMON]), tell.pick(world.COLORS[:COLORS])
    return Start(
        hero,
        f"{opening.of(hero)} {hero.name} had a shiny {color.name} {toy.name}."
        f" {hero.he.capitalize()} liked to {toy.play} it every day.",
    )


def with_pieces(tell: Teller, pieces: str) -> Start:
    """Someone collects something."""
    hero, opening = tell.child(), tell.opening()
    return Start(
        hero,
        f"{opening.of(hero)} {hero.name} liked {pieces}. {hero.he.capitalize()} kept them in a"
        " shiny box.",
    )


def at_the_animals(tell: Teller) -> Start:
    """Someone goes to see animals."""
    hero, opening = tell.child(), tell.opening()
    return Start(
        hero,
        f"{opening.of(hero)} One day, Mom took {hero.him} to see the animals. {hero.name} was"
        " very happy.",
    )


def at_the_market(tell: Teller) -> Start:
    """Someone goes shopping."""
    hero, opening = tell.child(), tell.opening()
    return Start(
        hero,
        f"{opening.of(hero)} There was a nice stall with fruit and vegetables. {hero.name} wanted"
        " to try it all.",
    )


def at_a_lesson(tell: Teller) -> Start:
    """Someone is asked opposites."""
    hero, opening, elder = tell.child(), tell.opening(), tell.elder()
    return Start(
        hero,
        f"{opening.of(hero)} {hero.name} played a word game with {elder.name}."
        f' "I say a word, and you say the opposite," {elder.he} said.',
    )
