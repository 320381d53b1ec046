"""Items about what happens in the story at hand: who, where, what, and what is felt."""

from collections.abc import Iterator

from scaling.data.stories import world
from scaling.data.stories.phrases import ASIDES
from scaling.data.stories.world import Feeling
from scaling.prompts.stories.teller import COLORS, COMMON, Draft, Teller, fours, others

_SPOTS = [spot.name for spot in world.OUTDOOR_SPOTS]
_NOOKS = [spot.name for spot in world.INDOOR_SPOTS]
_COLORS = [color.name for color in world.COLORS[:COLORS] if color.a.startswith("a ")]
# Feelings with a cause that says nothing of him or her: those a friend can name.
_SPOKEN = ("sad", "angry", "scared", "tired", "hungry", "shy", "bored", "thirsty")


def comprehension(tell: Teller) -> Iterator[Draft]:
    """What was lost, which color it had, who hid where, where they went, what was found."""
    for i, toys in enumerate([*fours(world.TOYS, 0, 12), *fours(world.TOYS, 0, 4)]):
        hero, opening, elder = tell.child(), tell.opening(), tell.elder()
        color, every = tell.pick(_COLORS), [toy.name for toy in toys]
        for toy in toys:
            prompt = (
                f"{opening.of(hero)} {hero.his.capitalize()} favorite toy was a {color}"
                f" {toy.name}. {elder.name} gave it to {hero.him} last week. But one day, the"
            )
            yield Draft(prompt, toy.name, others(every, toy.name), 2, written=i == 3)
    for i in range(3):
        hero, opening, toy = tell.child(), tell.opening(), tell.pick(world.TOYS[:COMMON])
        colors, (nook, nook2, nook3) = tell.some(_COLORS, 4), tell.some(_NOOKS, 3)
        for color in colors:
            prompt = (
                f"{opening.of(hero)} {hero.name} had a shiny {color} {toy.name}."
                f" {hero.he.capitalize()} liked to {toy.play} it every day. But one day, the"
                f" {toy.name} was gone. {hero.name} was very sad. First {hero.he} looked {nook}."
                f" Nothing. Then {hero.he} looked {nook2} and found an old sock. Soon, {hero.he}"
                f" looked {nook3}, and there it was: the"
            )
            yield Draft(prompt, color, others(colors, color), 4, written=i == 2)
    for _ in range(4):
        hero, one, two = tell.alike(3)
        opening, (spot, spot2, spot3) = tell.opening(), tell.some(_SPOTS, 3)
        for friend, third in ((one, two), (two, one)):
            prompt = _hidden(opening.of(hero), hero, friend, third, (spot, spot2, spot3))
            prompt += f" Then {hero.he} looked {spot} and found"
            yield Draft(prompt, friend.name, (third.name,), 4)
        for here, there in ((spot, spot2), (spot2, spot)):
            prompt = _hidden(opening.of(hero), hero, one, two, (here, there, spot3))
            prompt += f' "I see you, {one.name}!" {hero.he} called. "You are'
            yield Draft(prompt, here, (there,), 5)
    for places in fours(world.PLACES, 0, 8):
        hero, opening, elder = tell.child(), tell.opening(), tell.elder()
        every = [place.to for place in places]
        for place in places:
            prompt = (
                f"{opening.of(hero)} {hero.name} had never been {place.to}. One day,"
                f' {elder.name} said, "We are going!" They walked for a while. On the way they saw'
                " a rose by the gate. They came"
            )
            yield Draft(prompt, place.to, others(every, place.to), 3)
    for i, animals in enumerate(fours(world.ANIMALS, 0, 12)):
        hero, opening, spot = tell.child(), tell.opening(), tell.pick(_SPOTS)
        every = [animal.name for animal in animals]
        for animal in animals:
            prompt = (
                f"{opening.of(hero)} One day, {hero.he} found a baby animal {spot}. It was lost."
                f' It was a little {animal.name}. "Are you lost, little'
            )
            yield Draft(prompt, animal.name, others(every, animal.name), 1, written=i == 2)


def feelings(tell: Teller) -> Iterator[Draft]:
    """What a feeling looks like, what it comes from, and what one does then."""
    for i, group in enumerate(fours(world.FEELINGS, 0, 12)):
        for felt in ("felt", "was"):
            hero = tell.child()
            start = _learning(tell, hero)
            every = [_filled(feeling.shows, hero) for feeling in group]
            for feeling, shows in zip(group, every, strict=True):
                cause = _filled(tell.pick(feeling.causes), hero)
                prompt = f"{start} {hero.name} {felt} {feeling.name} because {cause}."
                prompt += f" {hero.he.capitalize()}"
                yield Draft(prompt, shows, others(every, shows), 2 + i // 2)
    for group in fours(world.FEELINGS, 0, 12):
        hero = tell.child()
        start = _learning(tell, hero)
        causes = [_filled(tell.pick(feeling.causes), hero) for feeling in group]
        for feeling, cause in zip(group, causes, strict=True):
            prompt = f"{start} {hero.name} was {feeling.name} because"
            yield Draft(prompt, cause, others(causes, cause), 4)
    for i, names in enumerate([*fours(_SPOKEN), list(_SPOKEN[:4])]):
        hero, opening = tell.child(), tell.opening()
        friend = tell.child(but=[hero])
        for name in names:
            prompt = (
                f"{opening.of(hero)} {hero.his.capitalize()} friend {friend.name} came over."
                f' {friend.name} looked {name}. "Why are you'
            )
            yield Draft(prompt, name, others(names, name), 1, written=i == 2)
    for group in fours(world.FEELINGS, 0, 8):
        hero = tell.child()
        start = _learning(tell, hero)
        every = [_reaction(tell, feeling, hero) for feeling in group]
        for feeling, reaction in zip(group, every, strict=True):
            cause = _filled(tell.pick(feeling.causes), hero)
            prompt = (
                f"{start} {hero.name} felt {feeling.name} because {cause}."
                f" {hero.he.capitalize()} {_filled(feeling.shows, hero)} and"
            )
            yield Draft(prompt, reaction, others(every, reaction), 5)


def _hidden(
    opening: str,
    hero: world.Person,
    friend: world.Person,
    third: world.Person,
    spots: tuple[str, str, str],
) -> str:
    return (
        f"{opening} One day, {hero.name} played hide and seek with {friend.name} and"
        f" {third.name} in the park. {hero.name} closed {hero.his} eyes and counted to ten."
        f" {friend.name} hid {spots[0]}, and {third.name} hid {spots[1]}. {hero.name} heard a"
        f" giggle. Was it {spots[2]}? No."
    )


def _learning(tell: Teller, hero: world.Person) -> str:
    return (
        f"{tell.opening().of(hero)} All {hero.his} friends could swim, but {hero.name} could not."
        f" {hero.he.capitalize()} tried, but it was hard."
        f" {hero.he.capitalize()} tried {tell.pick(['two', 'three', 'four', 'five'])} times."
    )


def _filled(template: str, hero: world.Person) -> str:
    return template.format(he=hero.he, him=hero.him, his=hero.his)


def _reaction(tell: Teller, feeling: Feeling, hero: world.Person) -> str:
    """What one does who feels so, where the corpus says it in plain words."""
    (options,) = ASIDES[f"did_{feeling.name}"]
    plain = [o for o in options.strip("[]").split("|") if not set("<>{}") & set(o)]
    return _filled(tell.pick(plain), hero)
