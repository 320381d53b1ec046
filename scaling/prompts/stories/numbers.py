"""Items about numbers: plurals, days, digits, sums and differences."""

from collections.abc import Iterator

from scaling.data.stories import world
from scaling.prompts.stories.starts import at_a_lesson, with_pieces, with_toy
from scaling.prompts.stories.teller import COMMON, Draft, Teller, others

_PIECES = world.COUNTED[:COMMON]


def counting(tell: Teller) -> Iterator[Draft]:
    """Plurals, days, digits, sums and differences."""
    for i in range(4):
        start, number = with_toy(tell), world.NUMBERS[2 + i].name
        one, two = tell.some(_PIECES, 2)
        pocket = f"{start.text} In {start.hero.his} pocket {start.hero.he} had {number}"
        # With what comes behind them, since one word begins with the other.
        plural, singular = f"{one.plural} and", f"{one.name} and"
        yield Draft(pocket, plural, (singular,), 1, after=" a shiny")
        pocket += f" {two.plural} and a shiny"
        yield Draft(pocket, f"{one.name}.", (f"{one.plural}.",), 1)
    for written in (False, True):
        start, days = with_toy(tell), [day.name for day in world.DAYS]
        for day in world.DAYS:
            prompt = f"{start.text} It was {day.name}. Tomorrow would be"
            yield Draft(prompt, day.next, others(days, day.next), 2, written=written)
    for i, numbers in enumerate(([2, 3, 4, 5], [6, 8, 10, 12], [2, 4, 7, 9])):
        start = at_a_lesson(tell)
        pair, pair2 = tell.some(world.OPPOSITES[:COMMON], 2)
        words = [_word(value) for value in numbers]
        for value in numbers:
            prompt = (
                f'{start.text} "What is the opposite of {pair.name}?"'
                f' "{pair.opposite.capitalize()},"'
                f' said {start.hero.name}. "What about {pair2.name}?" Tim was quick.'
                f' "{pair2.opposite.capitalize()}," said {start.hero.name}. They wrote numbers:'
                f" {value} is"
            )
            yield Draft(prompt, _word(value), others(words, _word(value)), 1 + i, written=i == 2)
    sums = (
        [(2, 2), (3, 2), (2, 4), (5, 2)],
        [(3, 3), (4, 3), (3, 5), (4, 5)],
        [(6, 5), (8, 4), (7, 6), (8, 8)],
    )
    for level, terms in enumerate(sums, start=3):
        for way in range(2):
            piece = tell.pick(_PIECES).plural
            start = with_pieces(tell, piece)
            hero = start.hero
            every = [a + b for a, b in terms]
            for some, more in terms:
                if way:
                    prompt = f"{start.text} {hero.he.capitalize()} wrote {some} + {more} ="
                    answer, all_of = str(some + more), [str(value) for value in every]
                else:
                    prompt = (
                        f"{start.text} {hero.name} found {_word(some)} {piece} under a bush. Then"
                        f" {hero.he} found {_word(more)} more by the fence. Now {hero.he} had"
                    )
                    answer, all_of = _word(some + more), [_word(value) for value in every]
                written = level == 3 and way == 1
                yield Draft(prompt, answer, others(all_of, answer), level, written=written)
    for level, pairs in ((4, [(4, 2), (6, 3), (7, 3), (8, 3)]), (5, [(9, 3), (11, 4), (12, 4)])):
        piece, fruit = tell.pick(_PIECES).plural, tell.pick(world.FRUITS[:COMMON]).plural
        start, friend = with_pieces(tell, piece), tell.pick(world.CHILDREN[60:])
        words = [_word(many - fewer).capitalize() for many, fewer in pairs]
        for many, fewer in pairs:
            prompt = (
                f"{start.text} There were two {piece} under a bush and three behind a tree."
                f" {start.hero.name} counted them all. That made five."
                f' "If I have {_word(many)} {fruit} and eat {_word(fewer)}, how many are left?"'
                f' asked {friend.name}. "'
            )
            answer = _word(many - fewer).capitalize()
            yield Draft(prompt, answer, others(words, answer), level)


def _word(value: int) -> str:
    return world.NUMBERS[value - 1].name
