"""Tasks: of the shifted generator, and from files."""

import json
import re
from pathlib import Path
from typing import Literal

import pytest

from scaling.adapt import stories
from scaling.adapt.config import FileTasks, StoriesTasks
from scaling.adapt.document import TaskSet, check_trials
from scaling.adapt.files import digest_file
from scaling.adapt.tasks import load_tasks
from scaling.data.stories import grammar, world
from scaling.data.stories.grammar import Choice, Part
from scaling.errors import UserError

KINDS = (world.ANIMALS, world.QUIET_ANIMALS, world.CHILDREN, world.TOYS)
OLD = {row.name for rows in KINDS for row in rows}


def test_new_facts_are_told_in_passage_and_checks_and_known_to_no_story() -> None:
    tasks = load_tasks(StoriesTasks(documents=12, practice=2))
    assert (len(tasks.documents), len(tasks.practice)) == (12, 2)
    for document in tasks.documents:
        assert len(document.questions) == 6
        for item in document.questions:
            (answer,) = item.answers
            for text in (document.passage, document.trial, document.continuation):
                assert answer.lower() in text.lower()
            for wrong in item.choices:
                assert not re.search(rf"\b{wrong}\b", document.passage, re.IGNORECASE)
        assert len({document.passage, document.trial, document.continuation}) == 3
        animal = document.questions[0].prompt.split(".")[0].rsplit(" ", 1)[-1]
        assert animal in document.passage
        assert animal not in OLD


def test_what_is_new_is_in_no_word_of_the_corpus() -> None:
    words, seen, parts = set[str](), set[int](), list[Part]([grammar().root])
    while parts:
        part = parts.pop()
        if isinstance(part, Choice):
            if id(part) not in seen:
                seen.add(id(part))
                parts += [one for option in part.options for one in option]
            continue
        for text in [part] if isinstance(part, str) else part.forms:
            words.update(re.findall(r"[a-z]+", text.lower()))
    assert {"pier", "mango", "hedgehog"} <= words
    new = [*stories._GIRLS, *stories._BOYS, *stories._PETS, *stories._KINDS, *stories._TINTS]
    new += [toy for toy, *_ in stories._TOYS]
    new += [place.removeprefix("the ") for place, _ in stories._PLACES]
    assert [one for one in new if words & set(one.lower().split())] == []


@pytest.mark.parametrize("facts", ["new", "replaced"])
def test_what_is_held_out_repeats_no_sentence_of_the_passage(
    facts: Literal["new", "replaced"],
) -> None:
    def clauses(text: str) -> set[str]:
        parts = {part.strip('" ') for part in re.split(r"[.!?,]", text)}
        return {part for part in parts if len(part.split()) > 3}

    for document in load_tasks(StoriesTasks(documents=60, practice=0, facts=facts)).documents:
        assert not clauses(document.continuation) & clauses(document.passage)
        assert not clauses(document.continuation) & clauses(document.trial)
        assert not clauses(document.trial) & clauses(document.passage)


def test_replaced_facts_are_of_things_that_stories_have_and_contradict_them() -> None:
    tasks = load_tasks(StoriesTasks(documents=6, practice=0, facts="replaced"))
    for document in tasks.documents:
        by_fact = {item.id: item for item in document.questions}
        name = by_fact["home"].prompt.split(".")[0].rsplit(" ", 1)[-1]
        animal = next(row for row in world.ANIMALS if row.name == name)
        assert by_fact["home"].answers != (animal.lives,)
        assert animal.lives in by_fact["home"].choices
        assert animal.eats in by_fact["meal"].choices
        assert by_fact["home"].answers[0] in document.passage


@pytest.mark.slow
def test_no_sound_stands_beside_one_that_it_begins() -> None:
    # A dove's coo-coo and a pigeon's coo: the shorter is never the less likely.
    for document in load_tasks(
        StoriesTasks(documents=400, practice=0, facts="replaced")
    ).documents:
        (sound,) = (item for item in document.questions if item.id == "sound")
        assert len(sound.options) == 4 and not {"Coo", "Coo-coo"} <= set(sound.options)


def test_a_document_is_a_function_of_seed_and_number() -> None:
    few = load_tasks(StoriesTasks(documents=3, practice=1))
    more = load_tasks(StoriesTasks(documents=4, practice=1))
    assert few.documents + few.practice == more.documents
    other = load_tasks(StoriesTasks(documents=3, practice=1, seed=1))
    assert other.documents != few.documents


GOOD = {
    "passage": "Ada has a red hat.",
    "continuation": "The hat of Ada is red.",
    "trial": "Red is Ada's hat.",
    "questions": [{"prompt": "Ada's hat is", "answers": ["red"], "choices": ["blue"]}],
}


def read(tmp_path: Path, rows: object, name: str = "t.yaml") -> TaskSet:
    path = tmp_path / name
    if name.endswith("jsonl"):
        path.write_text("\n".join(json.dumps(row) for row in rows))  # type: ignore[attr-defined]
    else:
        path.write_text(json.dumps(rows))
    return load_tasks(FileTasks(file=str(path)))


@pytest.mark.parametrize("name", ["t.yaml", "t.jsonl"])
def test_a_file_has_its_passages(tmp_path: Path, name: str) -> None:
    tasks = read(tmp_path, [GOOD, {**GOOD, "id": "b", "practice": True}], name)
    (document,), (practice,) = tasks.documents, tasks.practice
    assert (document.id, practice.id) == ("t-1", "b")
    assert document.continuation == GOOD["continuation"]
    assert document.questions[0].wrong == ("blue",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "there are no passages"),
        ({"a": 1}, "is a list of passages"),
        (["text"], "passage 1 is 'text', but a passage is a mapping"),
        ([{"passage": "x"}], "passage 1: continuation is missing"),
        ([{**GOOD, "passage": ""}], "passage 1: passage is empty"),
        ([{**GOOD, "pasage": "x"}], "did you mean passage"),
        ([{**GOOD, "id": "a"}, {**GOOD, "id": "a"}], "id 'a' is another's already"),
        ([{**GOOD, "practice": True}], "none to adapt to"),
        ([{**GOOD, "questions": [{"prompt": "x", "answers": ["y"]}]}], "choices is missing"),
        ([{**GOOD, "questions": [{"answers": ["y"]}]}], "question 1: prompt is missing"),
    ],
)
def test_a_file_that_is_amiss_is_one_sentence(tmp_path: Path, rows: object, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        read(tmp_path, rows)
    assert "\n" not in str(error.value)


def test_a_file_that_has_changed_is_not_learned_from(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(GOOD))
    tasks = FileTasks(file=str(path), digest=digest_file(str(path)))
    assert len(load_tasks(tasks).documents) == 1
    path.write_text(json.dumps({**GOOD, "passage": "Ada has a blue hat."}))
    with pytest.raises(UserError, match=r"t\.jsonl has changed since the sweep began"):
        load_tasks(tasks)


def test_choosing_needs_a_trial_and_rounds_need_practice(tmp_path: Path) -> None:
    bare = read(tmp_path, [{k: v for k, v in GOOD.items() if k != "trial"}])
    check_trials(bare, 1, 0)
    with pytest.raises(UserError, match="t-1 has no `trial` text"):
        check_trials(bare, 2, 0)
    with pytest.raises(UserError, match="practice"):
        check_trials(bare, 2, 1)
    with pytest.raises(UserError, match=r"raise tasks\.practice, or"):
        check_trials(load_tasks(StoriesTasks(documents=1, practice=0)), 2, 1)
    with pytest.raises(UserError, match="cannot be read"):
        load_tasks(FileTasks(file=str(tmp_path / "none.yaml")))
    (tmp_path / "bad.jsonl").write_text("{\n")
    with pytest.raises(UserError, match="not valid JSON at line 1"):
        load_tasks(FileTasks(file=str(tmp_path / "bad.jsonl")))
