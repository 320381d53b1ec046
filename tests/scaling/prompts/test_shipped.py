"""The shipped sets: whole, unambiguous, and the stories' one made from the corpus."""

from collections import Counter, defaultdict

import pytest

from scaling.data import stories
from scaling.prompts.answer import joined
from scaling.prompts.item import PromptSet
from scaling.prompts.shipped import find_prompts, shipped_sets
from scaling.prompts.stories import make, to_yaml

CATEGORIES = {
    "pronouns",
    "names",
    "counting",
    "associations",
    "comprehension",
    "feelings",
    "opposites",
    "dialogue",
}


@pytest.fixture(params=sorted(shipped_sets()))
def prompts(request: pytest.FixtureRequest) -> PromptSet:
    return find_prompts(request.param)


def test_sets_are_as_large_and_wide_as_promised(prompts: PromptSet) -> None:
    assert len(prompts.items) >= {"stories": 200, "tinystories": 150}[prompts.name]
    counted = Counter(item.category for item in prompts.items)
    assert set(counted) == CATEGORIES and min(counted.values()) >= 18
    assert {item.difficulty for item in prompts.items} == {1, 2, 3, 4, 5}
    assert any(not item.by_probability for item in prompts.items)


LIMITS = [100, 166, 249, 250, 333, 400]


@pytest.mark.parametrize("limit", [1, 20, *LIMITS])
def test_a_part_of_a_set_keeps_the_shares_of_its_categories(limit: int) -> None:
    whole = find_prompts("stories")
    part = whole.first(limit)
    assert [item for item in whole.items if item in part.items] == list(part.items)
    assert len(part.items) == limit
    counted = Counter(item.category for item in part.items)
    for category, count in Counter(item.category for item in whole.items).items():
        assert abs(counted[category] - count * limit / len(whole.items)) < 1


@pytest.mark.parametrize("limit", LIMITS)
def test_of_a_part_of_a_set_a_constant_model_passes_by_chance(limit: int) -> None:
    # Girls and boys stand in turn in the file: of every second item, none would be a girl's.
    items = find_prompts("stories").first(limit).items
    answers = [item.answers[0] for item in items if item.category == "pronouns"]
    boys = sum(answer in ("He", "he", "his", "boy") for answer in answers)
    assert 0.3 < boys / len(answers) < 0.7


def test_no_two_items_are_the_same(prompts: PromptSet) -> None:
    asked = Counter((item.prompt, item.by_probability) for item in prompts.items)
    assert max(asked.values()) == 1


def test_the_file_of_the_stories_is_what_the_corpus_makes_now() -> None:
    made = to_yaml(make(checked=False))
    assert made == shipped_sets()["stories"].read_text(), (
        "run: python -m scaling.prompts.stories > scaling/prompts/sets/stories.yaml"
    )


def test_a_model_that_does_not_read_the_prompt_passes_by_chance() -> None:
    # Items come in groups that share their options, each option right once: whatever a model
    # prefers by itself, it is right once a group.
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for item in find_prompts("stories").items:
        if item.by_probability and item.category in ("pronouns", "names", "feelings", "opposites"):
            groups[tuple(sorted(item.options))].append(item.answers[0])
    for options, answers in groups.items():
        counted = Counter(answers)
        assert len(set(counted.values())) == 1 and set(counted) == set(options)


def test_the_answer_goes_on_with_a_story_and_no_other_does() -> None:
    # A few; all of them are checked as the set is made.
    whole_words = [
        item
        for item in find_prompts("stories").items
        if item.answers[0] not in ("Yes", "No") and not item.answers[0].endswith(" and")
    ]
    for item in whole_words[::40]:
        assert stories.begins(joined(item.prompt, item.answers[0])), item.id
        for wrong in item.wrong:
            assert not stories.begins(joined(item.prompt, wrong)), item.id


@pytest.mark.slow
def test_so_does_every_item() -> None:
    make(checked=True)
