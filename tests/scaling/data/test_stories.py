"""The embedded corpus: one text has one probability, and that is how often it comes."""

from __future__ import annotations

import hashlib
import itertools
import lzma
import math
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data import stories
from scaling.data.stories import world
from scaling.data.stories.grammar import (
    UNBOUND,
    Choice,
    Grammar,
    Parts,
    Variable,
    with_articles,
    without_articles,
    zipf,
)
from scaling.data.stories.parse import Reader
from scaling.data.stories.world import NUMBERS, Noun, Number, Person

SEED = 7


@pytest.fixture(scope="module")
def sample() -> list[stories.Story]:
    return list(stories.generate(SEED, 0, 3000))


def chi_square_fits(counts: Sequence[int], probabilities: Sequence[float]) -> bool:
    """Whether counts agree with probabilities: the statistic within five sigma of its mean."""
    expected = np.asarray(probabilities) * sum(counts)
    statistic = float((((np.asarray(counts) - expected) ** 2) / expected).sum())
    freedom = len(counts) - 1
    return statistic < freedom + 5 * math.sqrt(2 * freedom)


# --- a small grammar, whose every text can be listed ---


def small_grammar() -> Grammar:
    people = (Person("Ann", True, "girl"), Person("Bo", False, "boy"), Person("Cy", False, "boy"))
    things = (Noun("ball", "balls"), Noun("apple", "apples"), Noun("ukulele", "ukuleles"))
    three = NUMBERS[:3]

    def up_to_four(some: Number) -> dict[int, int]:
        return {value - 1: value for value in range(1, 5 - some.value)}

    def total(some: Number, more: Number) -> dict[int, int]:
        return {some.value + more.value - 1: 1}

    variables = [
        Variable("hero", people, zipf(3), unlike=("friend",)),
        Variable("friend", people, zipf(3), unlike=("hero",)),
        Variable("thing", things, [5, 3, 1]),
        Variable("some", three, [1, 2, 3]),
        Variable("more", NUMBERS, (), given=("some",), weigh=up_to_four),
        Variable("total", NUMBERS, (), given=("some", "more"), weigh=total),
    ]
    rules = {
        "story": (
            "<open> <sum>",
            "<open>[ {He} met {friend}.| {He} met {friend} and {friend.his} friend.|]",
            "The end.",
        ),
        "open": ("A {hero.kin}, {hero}, had a [|old |new ]{thing}.", "{hero} was here."),
        "sum": ("{Some} and {more} make {total}.",),
    }
    return Grammar(rules, variables, "story")


def every_text(grammar: Grammar) -> Iterator[tuple[str, float]]:
    """List all derivations with their probabilities, straight from the definition."""

    def expand(
        parts: Parts, values: tuple[int, ...]
    ) -> Iterator[tuple[str, float, tuple[int, ...]]]:
        if not parts:
            yield "", 1.0, values
            return
        part, rest = parts[0], parts[1:]
        heads: list[tuple[str, float, tuple[int, ...]]]
        if isinstance(part, str):
            heads = [(part, 1.0, values)]
        elif isinstance(part, Choice):
            weight = sum(part.weights)
            heads = [
                (text, p * w / weight, after)
                for option, w in zip(part.options, part.weights, strict=True)
                for text, p, after in expand(option, values)
            ]
        elif values[part.number] != UNBOUND:
            heads = [(part.forms[values[part.number]], 1.0, values)]
        else:
            drawn = part.variable.conditional(values)
            heads = [
                (
                    part.forms[row],
                    weight / drawn.total,
                    (*values[: part.number], row, *values[part.number + 1 :]),
                )
                for row, weight in drawn.weights.items()
            ]
        for text, p, after in heads:
            for more, q, end in expand(rest, after):
                yield text + more, p * q, end

    start = (UNBOUND,) * len(grammar.variables)
    for text, p, _ in expand((grammar.root,), start):
        yield with_articles(text), p


def test_the_small_grammar_sums_to_one_and_samples_as_it_says() -> None:
    grammar = small_grammar()
    listed = list(every_text(grammar))
    exact = dict(listed)
    assert len(exact) == len(listed) > 100  # no text twice
    assert math.fsum(exact.values()) == pytest.approx(1, abs=1e-12)
    source = random.Random(SEED)
    drawn = [grammar.write(source.random) for _ in range(20_000)]
    for text, log_probability in drawn[:500]:
        assert math.exp(log_probability) == pytest.approx(exact[text], rel=1e-12)
    counts = Counter(text for text, _ in drawn)
    assert counts.keys() <= exact.keys()
    assert chi_square_fits([counts[text] for text in exact], list(exact.values()))


def test_the_small_grammar_reads_every_text_at_its_probability() -> None:
    grammar = small_grammar()
    reader = Reader(grammar)
    for text, p in every_text(grammar):
        reading = reader.read(text)
        assert reading.derivations == 1
        assert reading.log_probability == pytest.approx(math.log(p), abs=1e-12)


def test_two_derivations_of_one_text_count_together() -> None:
    grammar = Grammar({"story": ("a <x>", "a c"), "x": ("b", "c")}, [], "story")
    reading = Reader(grammar).read("a c")
    assert reading.derivations == 2
    assert reading.log_probability == pytest.approx(math.log(_mass_of(grammar, "a c")))


def _mass_of(grammar: Grammar, text: str) -> float:
    return sum(p for other, p in every_text(grammar) if other == text)


def test_bad_grammars_are_refused() -> None:
    for rules in ({"story": ("a", "a")}, {"story": ("[a|b",)}, {"story": ("a]]",), "x": ()}):
        with pytest.raises(ValueError):
            Grammar(rules, [], "story")
    late = Grammar({"story": ("{total}",)}, small_grammar().variables, "story")
    with pytest.raises(ValueError, match="mentioned before some"):
        late.write(lambda: 0.0)


# --- the stories themselves ---


def test_stories_are_what_their_version_says() -> None:
    """Should this fail after a change of words or weights, give VERSION its next number."""
    texts = "\0".join(s.text for s in stories.generate(42, 0, 200))
    pinned = {"stories-1": "f3ae18dc54fde317"}
    assert hashlib.sha256(texts.encode()).hexdigest()[:16] == pinned[stories.VERSION]


def test_a_story_is_a_function_of_seed_and_index_in_any_process() -> None:
    program = "from scaling.data import stories; print(stories.story(3, 5), end='')"
    environment = os.environ | {"PYTHONHASHSEED": "99"}
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == stories.story(3, 5) == list(stories.generate(3, 0, 6))[5].text
    assert stories.story(4, 5) != stories.story(3, 5) != stories.story(3, 6)


@pytest.mark.parametrize(("seed", "start"), [(-1, 0), (1 << 64, 0), (0, -1)])
def test_numbers_out_of_range_are_refused(seed: int, start: int) -> None:
    with pytest.raises(ValueError):
        stories.generate(seed, start, start + 1)


@pytest.fixture(scope="module")
def readings(sample: list[stories.Story]) -> list[stories.Parse]:
    return [stories.parse(told.text) for told in sample[:150]]


def check_one_derivation(told: stories.Story) -> None:
    check_reading(told, stories.parse(told.text))


def check_reading(told: stories.Story, reading: stories.Parse) -> None:
    assert reading.derivations == 1, told.text
    assert reading.log_probability == told.log_probability
    assert reading.accepted and not reading.contradictions
    assert stories.plot_of(reading) in stories.PLOTS


def test_a_story_has_one_derivation_and_its_own_probability(
    sample: list[stories.Story], readings: list[stories.Parse]
) -> None:
    for told, reading in zip(sample, readings, strict=False):
        check_reading(told, reading)


@pytest.mark.slow
def test_very_many_stories_have_one_derivation() -> None:
    for told in stories.generate(SEED + 1, 0, 1_500):
        check_one_derivation(told)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_any_seed_and_index_will_do(seed: int, index: int) -> None:
    check_one_derivation(next(stories.generate(seed, index, index + 1)))


def test_plots_and_names_come_as_often_as_stated(readings: list[stories.Parse]) -> None:
    root = stories.grammar().root
    names = {plot: i for i, plot in enumerate(stories.PLOTS)}
    counts = [0] * len(names)
    heroes: Counter[str] = Counter()
    for reading in readings:
        counts[names[stories.plot_of(reading) or ""]] += 1
        hero = reading.facts.get("hero")
        if isinstance(hero, Person):
            heroes[hero.name] += 1
    assert chi_square_fits(counts, [math.exp(log) for log in root.logs])
    weights = zipf(len(world.CHILDREN))
    head = sum(heroes[child.name] for child in world.CHILDREN[:20]) / heroes.total()
    assert head == pytest.approx(sum(weights[:20]) / sum(weights), abs=0.1)


def test_entropy_length_and_variety(sample: list[stories.Story]) -> None:
    sizes = [len(told.text.encode()) for told in sample]
    bits_per_byte = -sum(told.log_probability for told in sample) / math.log(2) / sum(sizes)
    assert 0.3 < bits_per_byte < 0.7
    assert np.percentile(sizes, 2) > 300 and np.percentile(sizes, 98) < 1400
    assert len({told.text for told in sample}) == len(sample)
    words = Counter(re.findall(r"[a-z]+", " ".join(t.text for t in sample).lower()))
    assert len(words) > 1500


def test_a_general_compressor_stays_far_above_the_floor(sample: list[stories.Story]) -> None:
    raw = "\n\n".join(told.text for told in sample[:1500]).encode()
    floor = -sum(told.log_probability for told in sample[:1500]) / math.log(2)
    assert len(lzma.compress(raw)) * 8 > 2 * floor


def test_the_english_is_sound(sample: list[stories.Story]) -> None:
    for told in sample:
        text = told.text
        assert not re.search(
            r"[{}<>\[\]|]|  | [.,!?]|\n\n|[.,!?][a-zA-Z]", text.replace("...", "")
        ), text
        assert all(re.search(r'[.!?]"?$', line) for line in text.split("\n")), text
        assert text.count('"') % 2 == 0, text
        assert re.match(r'["A-Z]', text), text
        assert not re.search(r"(?<![,\w])[.!?] [a-z]", text), text
        assert not re.search(r"\b[Aa] (?!ukulele|one)[aeiou]|\b[Aa]n [^aeiouh]", text), text


def test_articles_go_there_and_back() -> None:
    written = "An owl had a ukulele, an egg and a bun."
    assert with_articles(without_articles(written)) == written
    assert stories.log_probability("A owl had a egg.") == -math.inf


# --- what is wrong with a text ---


def test_a_wrong_sound_is_named() -> None:
    for told in stories.generate(SEED, 0, 400):
        wrong = re.sub(r"\bMoo\b", "Quack", told.text)
        if wrong == told.text or told.text.lower().count("cow") < 2:
            continue
        reading = stories.parse(wrong)
        assert not reading.accepted and reading.log_probability == -math.inf
        found = reading.contradictions[0]
        assert (found.attribute, found.expected, found.found) == ("sound", "Moo", "Quack")
        assert wrong[found.position :].startswith("Quack")
        return
    raise AssertionError("no story with a cow")


def test_a_wrong_sum_is_named() -> None:
    sums = re.compile(r"(\d+) \+ (\d+) = (\d+)")
    for told in stories.generate(SEED, 0, 3000):
        if match := sums.search(told.text):
            assert int(match[1]) + int(match[2]) == int(match[3])
            total = next(str(n) for n in (19, 20) if str(n) != match[3])
            wrong = told.text[: match.start(3)] + total + told.text[match.end(3) :]
            found = stories.parse(wrong).contradictions[0]
            assert (found.variable, found.expected, found.found) == ("total", match[3], total)
            assert found.position == match.start(3)
            return
    raise AssertionError("no story with a written sum")


def test_a_wrong_thing_is_named_with_its_article() -> None:
    for told in stories.generate(SEED, 0, 2000):
        match = re.search(r"\bA \w+ (?=is a fruit)", told.text)
        if match is None or told.text.count(match[0].split()[1]) < 2:
            continue
        wrong = told.text[: match.start()] + "An orange " + told.text[match.end() :]
        for found in stories.parse(wrong).contradictions[:1]:
            assert (found.expected, found.found) == (match[0].rstrip(), "An orange")
            assert wrong[found.position :].startswith(found.found)
            return
    raise AssertionError("no story with a fruit")


def test_a_text_of_no_story_says_how_far_it_makes_sense() -> None:
    told = stories.story(SEED, 1)
    reading = stories.parse(told[:200] + " xyzzy" + told[200:])
    assert not reading.accepted and not reading.facts
    assert 150 <= reading.reach <= 200 + 6
    assert stories.log_probability("") == -math.inf
    assert stories.plot_of(stories.parse("Hello.")) is None


# --- the world ---


@pytest.mark.parametrize(
    "table",
    [
        world.CHILDREN,
        world.GROWNUPS,
        world.PET_NAMES,
        world.ANIMALS + world.QUIET_ANIMALS,
        world.FRUITS + world.VEGETABLES,
        world.TOYS,
        world.COLORS,
        world.PLACES,
        world.NUMBERS,
        world.INDOOR_SPOTS,
        world.OUTDOOR_SPOTS,
        world.OPPOSITES,
        world.JOBS,
        world.TOOLS,
        world.TREATS,
        world.COUNTED,
        world.WEATHERS,
        world.DAYS,
        world.SKILLS,
        world.FIXED_COLORS,
        world.FEELINGS,
    ],
)
def test_each_row_has_a_name_of_its_own(table: Sequence[Person]) -> None:
    names = [row.name for row in table]
    assert len(set(names)) == len(names)


def test_facts_have_one_answer() -> None:
    sounds = [animal.sound for animal in world.ANIMALS]
    assert len(set(sounds)) == len(sounds) and all(sounds)
    causes = list(itertools.chain(*(feeling.causes for feeling in world.FEELINGS)))
    assert len(set(causes)) == len(causes)
    assert {child.he for child in world.CHILDREN} == {"he", "she"}
    assert [number.value for number in NUMBERS] == list(range(1, 21))
    assert world.DAYS[6].next == world.DAYS[0].name
    assert not {p.name for p in world.CHILDREN} & {p.name for p in world.PET_NAMES}
