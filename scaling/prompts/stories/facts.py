"""Items about what is the same in every story: animals, things, weather, jobs, opposites."""

from collections.abc import Iterator

from scaling.data.stories import world
from scaling.prompts.stories.starts import (
    at_a_lesson,
    at_the_animals,
    at_the_market,
    with_toy,
)
from scaling.prompts.stories.teller import COLORS, Draft, Teller, fours, others


def associations(tell: Teller) -> Iterator[Draft]:
    """Weather, sounds, homes, meals, colors, and what toys and jobs are for."""
    for weathers in fours(world.WEATHERS):
        signs, wears = [w.sign for w in weathers], [w.wear for w in weathers]
        hero, day = tell.child(), tell.pick(world.DAYS).name
        for weather in weathers:
            prompt = f"It was a {weather.name} day, and"
            yield Draft(prompt, weather.sign, others(signs, weather.sign), 1)
            prompt = f"On a {weather.name} {day}, {weather.sign}, so {hero.name} put on"
            yield Draft(prompt, weather.wear, others(wears, weather.wear), 3)
    for i, group in enumerate([*fours(world.ANIMALS, 0, 12), *fours(world.ANIMALS, 0, 4)]):
        start = at_the_animals(tell)
        sounds = [animal.sound.capitalize() for animal in group]
        for animal, sound in zip(group, sounds, strict=True):
            prompt = f'{start.text} "What does the {animal.name} say?" asked Mom. "'
            yield Draft(prompt, sound, others(sounds, sound), 2 + i % 3, written=i == 3)
    for form, first in (("lives", 0), ("eats", 5)):
        animals = world.ANIMALS[first : first + 4]
        start = at_the_animals(tell)
        every = [str(getattr(animal, form)) for animal in animals]
        for animal, answer in zip(animals, every, strict=True):
            prompt = (
                f'{start.text} The {animal.name} said "{animal.sound}." The crow said "caw."'
                f' It was loud! "{animal.plural.capitalize()} live'
            )
            if form == "eats":
                prompt += f" {animal.lives} and eat"
            yield Draft(prompt, answer, others(every, answer), 3 if form == "lives" else 4)
    for i, fruits in enumerate((world.FRUITS[0:4], world.FRUITS[4:8], world.FRUITS[0:4])):
        start = at_the_market(tell)
        colors = [fruit.color.capitalize() for fruit in fruits]
        for fruit, color in zip(fruits, colors, strict=True):
            prompt = f'{start.text} "What color is {fruit.a}?" asked Mom. "'
            wrong = others(sorted(set(colors)), color)
            yield Draft(prompt, color, wrong, 3 + i % 2, written=i == 2)
    for fruit, vegetable in zip(world.FRUITS[:4], world.VEGETABLES[:4], strict=True):
        start = at_the_market(tell)
        prompt = f'{start.text} "Is {fruit.a} a fruit or a vegetable?" asked {start.hero.name}.'
        prompt += f' "{fruit.a.capitalize()} is a'
        yield Draft(prompt, "fruit", ("vegetable",), 2)
        prompt += f' fruit," said Mom. "Is {vegetable.a} a fruit?" asked {start.hero.name}.'
        prompt += f' "No, {vegetable.a} is a'
        yield Draft(prompt, "vegetable", ("fruit",), 2)
    for i, toys in enumerate((world.TOYS[0:4], world.TOYS[5:9], world.TOYS[0:4])):
        hero, opening = tell.child(), tell.opening()
        plays = [toy.play for toy in toys]
        color = tell.pick(world.COLORS[:COLORS]).name
        for toy in toys:
            prompt = f"{opening.of(hero)} {hero.name} had a shiny {color} {toy.name}."
            prompt += f" {hero.he.capitalize()} liked to"
            yield Draft(prompt, toy.play, others(plays, toy.play), 2, written=i == 2)
    for places in ((0, 1, 2, 3), (6, 8, 11, 12)):
        things = [world.FIXED_COLORS[place] for place in places]
        start = with_toy(tell)
        colors = [thing.color for thing in things]
        for thing in things:
            prompt = f"{start.text} On the way, there was {thing.a} {thing.where}. It was"
            yield Draft(prompt, thing.color, others(colors, thing.color), 4)
    for jobs in fours(world.JOBS, 0, 4):
        hero, opening = tell.child(), tell.opening()
        does = [job.does for job in jobs]
        for job in jobs:
            prompt = f"{opening.of(hero)} One day, {hero.name} met a {job.name}."
            prompt += f' "What does a {job.name} do?" asked {hero.name}. "A {job.name}'
            yield Draft(prompt, job.does, others(does, job.does), 5)


def opposites(tell: Teller) -> Iterator[Draft]:
    """The pairs of the corpus, the commonest first."""
    for i, pairs in enumerate(fours(world.OPPOSITES, 0, 40)):
        start = at_a_lesson(tell)
        words = [pair.opposite for pair in pairs]
        for pair in pairs:
            prompt = f'{start.text} "The opposite of {pair.name} is'
            wrong = others(words, pair.opposite)
            yield Draft(prompt, pair.opposite, wrong, 1 + i // 2)
    for i, pairs in enumerate(fours(world.OPPOSITES, 0, 16)):
        start = at_a_lesson(tell)
        words = [pair.opposite.capitalize() for pair in pairs]
        for pair, word in zip(pairs, words, strict=True):
            prompt = f'{start.text} "What is the opposite of {pair.name}?" "'
            yield Draft(prompt, word, others(words, word), 2 + i // 2, written=True)
