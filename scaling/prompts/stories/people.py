"""Items about people: pronouns, names, and who speaks."""

from collections.abc import Iterator

from scaling.data.stories import world
from scaling.prompts.stories.teller import COLORS, COMMON, Draft, Teller, fours, others

_SPOTS = [spot.name for spot in world.OUTDOOR_SPOTS]
_NOOKS = [spot.name for spot in world.INDOOR_SPOTS]
_SKILLS = ["swim", "whistle", "skate", "read", "juggle", "ride a bike", "climb a rope"]
_TOUCHED = ["rubbed", "scratched", "brushed", "wiggled", "tied", "crossed"]
_CAUSES = {
    "sad": "nobody came to play",
    "tired": "it was past bedtime",
    "hungry": "there was no breakfast",
    "shy": "there were so many new faces",
    "bored": "there was nothing to do",
    "angry": "a boy pushed in line",
}


def pronouns(tell: Teller) -> Iterator[Draft]:
    """He or she, his or her: of one just named, by the name alone, of the one who is meant."""
    for pair in tell.girls_and_boys(6):
        little = tell.pick(["little", "small", "young", "kind", "happy", "clever", "brave"])
        for hero in pair:
            prompt = f"Once upon a time, there was a {little} {hero.kin} named {hero.name}."
            yield _of_pair(prompt, hero.he.capitalize(), ("She", "He"), 1)
    for verb, pair in zip(_TOUCHED, tell.girls_and_boys(6), strict=True):
        opening = tell.opening()
        for hero in pair:
            prompt = f"{opening.of(hero)} {hero.he.capitalize()} {verb}"
            yield _of_pair(prompt, hero.his, ("her", "his"), 1)
    for hero in (child for pair in tell.girls_and_boys(4) for child in pair):
        yield _of_pair(f"Do you know {hero.name}?", hero.he.capitalize(), ("She", "He"), 2)
    for hero in (child for pair in tell.girls_and_boys(4) for child in pair):
        yield _of_pair(f"{hero.name} and", hero.his, ("her", "his"), 2)
    for hero in (child for pair in tell.girls_and_boys(3) for child in pair):
        yield _of_pair(f"{hero.name} was a little", hero.kin, ("girl", "boy"), 3)
    for i in range(4):
        hero, opening = tell.child(), tell.opening()
        toy, color = tell.pick(world.TOYS[:COMMON]), tell.pick(world.COLORS[:COLORS])
        for elder in world.GROWNUPS[2 * i : 2 * i + 2]:
            prompt = (
                f"{opening.of(hero)} One day, {elder.name} gave {hero.him} a shiny {color.name}"
                f' {toy.name}. "It is for you,"'
            )
            yield _of_pair(prompt, elder.he, ("she", "he"), 3)
    for (feeling, cause), pair in zip(_CAUSES.items(), tell.girls_and_boys(6), strict=True):
        hero, opening = tell.child(but=pair), tell.opening()
        for friend in pair:
            prompt = (
                f"{opening.of(hero)} {hero.his.capitalize()} friend {friend.name} came over."
                f' {friend.name} looked {feeling}. "Why are you {feeling}?" asked {hero.name}.'
                f' "Because {cause},"'
            )
            if feeling in ("sad", "tired", "hungry"):
                yield _of_pair(prompt, friend.he, ("she", "he"), 4)
            else:
                prompt += f" {friend.he} said. {hero.name} took"
                yield _of_pair(prompt, friend.his, ("her", "his"), 5)


def names(tell: Teller) -> Iterator[Draft]:
    """Which name a girl has, and whose name it was."""
    for pair in tell.girls_and_boys(5):
        little = tell.pick(["little", "small", "young", "quiet", "curious", "gentle"])
        for hero in pair:
            prompt = f"Once upon a time, there was a {little} {hero.kin} named"
            yield _of_pair(prompt, hero.name, (pair[0].name, pair[1].name), 1)
    for pair in tell.girls_and_boys(5):
        hero, opening = tell.child(but=pair), tell.opening()
        for friend in pair:
            prompt = f"{opening.of(hero)} {hero.name} had a good friend."
            prompt += f" {friend.his.capitalize()} name was"
            yield _of_pair(prompt, friend.name, (pair[0].name, pair[1].name), 2)
    for i in range(4):
        heroes, opening, skill = tell.alike(4), tell.opening(), tell.pick(_SKILLS)
        every = [hero.name for hero in heroes]
        for hero in heroes:
            prompt = f"{opening.of(hero)} All {hero.his} friends could {skill}, but"
            yield Draft(prompt, hero.name, others(every, hero.name), 2, written=i == 3)
    for _ in range(5):
        one, two = tell.alike(2)
        opening, skill = tell.opening(), tell.pick(_SKILLS)
        for hero, friend in ((one, two), (two, one)):
            prompt = (
                f"{opening.of(hero)} {hero.name} wanted to learn to {skill}."
                f' {friend.name} could do it already. "I can\'t," said'
            )
            yield _of_pair(prompt, hero.name, (one.name, two.name), 4)
    for i, pets in enumerate(fours(world.PET_NAMES, 0, 12)):
        hero, opening = tell.child(), tell.opening()
        animal = world.ANIMALS[i]
        color = tell.pick(world.COLORS[:COLORS]).name
        every = [pet.name for pet in pets]
        for pet in pets:
            prompt = (
                f"{opening.of(hero)} {hero.name} had a {animal.name} named {pet.name}."
                f" {pet.he.capitalize()} was {color} and very gentle. Every day, {hero.name} gave"
            )
            yield Draft(prompt, pet.name, others(every, pet.name), 3, written=i == 2)


def dialogue(tell: Teller) -> Iterator[Draft]:
    """Who it is that answers, and yes or no."""
    for _ in range(6):
        one, two = tell.alike(2)
        opening = tell.opening()
        for hero, friend in ((one, two), (two, one)):
            prompt = f'{opening.of(hero)} "Hello, {friend.name}!" called'
            yield _of_pair(prompt, hero.name, (one.name, two.name), 2)
    for _ in range(4):
        hero, friend, third = tell.alike(3)
        opening = tell.opening()
        lost, said = _lost(tell, opening.of(hero), hero), f'," said {hero.name}'
        yield Draft(f'{lost} "', "No", ("Yes",), 1, after=said)
        prompt = f"{opening.of(hero)} {friend.name} and {third.name} came to play."
        prompt += f' "Let us play hide and seek!" cried {third.name}. "'
        yield Draft(prompt, "Yes", ("No",), 1, after=said)
    for _ in range(4):
        pair, opening = tell.alike(2), tell.opening()
        elder = tell.elder()
        animal = tell.pick(world.ANIMALS[:COMMON])
        speakers = [*[hero.name for hero in pair], elder.name]
        for hero in pair:
            lost = _lost(tell, opening.of(hero), hero, elder)
            yield Draft(f'{lost} "No," said', hero.name, others(speakers, hero.name), 3)
            prompt = (
                f"{opening.of(hero)} One day, {elder.name} took {hero.him} to see the animals."
                f' {hero.name} was very happy. "What does the {animal.name} say?" asked'
                f' {elder.name}. "{animal.sound.capitalize()}!" cried'
            )
            yield Draft(prompt, hero.name, others(speakers, hero.name), 3)
    for i in range(4):
        hero, opening = tell.child(), tell.opening()
        elders = world.GROWNUPS[2 * i : 2 * i + 2]
        place = tell.pick(world.PLACES[:COMMON])
        speakers = [hero.name, *[elder.name for elder in elders]]
        for elder in elders:
            prompt = (
                f"{opening.of(hero)} One day, {hero.name} went {place.to} with {elder.name}. It"
                f" was rainy, so {hero.he} took a raincoat."
                f' "Are we there yet?" asked {hero.name}. "Not yet," said'
            )
            yield Draft(prompt, elder.name, others(speakers, elder.name), 4)
    for _ in range(4):
        hero, one, two = tell.alike(3)
        opening = tell.opening()
        spot, spot2, spot3 = tell.some(_SPOTS, 3)
        for friend, third in ((one, two), (two, one)):
            prompt = (
                f"{opening.of(hero)} One day, {hero.name} played hide and seek with"
                f" {friend.name} and {third.name} in the park. {hero.name} closed {hero.his} eyes"
                f" and counted to ten. {friend.name} hid {spot}, and {third.name} hid {spot2}."
                f" {hero.name} heard a giggle. Was it {spot3}? No."
                f' Then {hero.he} looked {spot} and found {friend.name}! "You found me!"'
            )
            yield Draft(prompt, friend.name, (third.name, hero.name), 5)


def _of_pair(prompt: str, answer: str, pair: tuple[str, str], difficulty: int) -> Draft:
    return Draft(prompt, answer, others(pair, answer), difficulty)


def _lost(
    tell: Teller, opening: str, hero: world.Person, elder: world.Person | None = None
) -> str:
    """A toy is lost, and somebody asks where it is."""
    toy, color = tell.pick(world.TOYS[:COMMON]), tell.pick(world.COLORS[:COLORS])
    return (
        f"{opening} {hero.name} had a shiny {color.name} {toy.name}."
        f" {hero.he.capitalize()} liked to {toy.play} it every day. But one day, the {toy.name}"
        f' was gone. {hero.name} was very sad. "Is it {tell.pick(_NOOKS)}?" asked'
        f" {(elder or tell.elder()).name}."
    )
