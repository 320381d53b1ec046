"""The prompt file and its mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scaling.errors import UserError
from scaling.prompts.item import Item, read_prompts
from scaling.prompts.shipped import find_prompts

GOOD: dict[str, Any] = {
    "id": "one",
    "category": "facts",
    "difficulty": 2,
    "score": 3,
    "prompt": "The cow said",
    "answers": ["moo"],
    "match": "prefix",
}


def _write(path: Path, *items: Any) -> Path:
    path.write_text(json.dumps(list(items)) if path.suffix == ".json" else yaml.safe_dump(items))
    return path


@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_both_formats_read_alike(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    tree = {"name": "mine", "items": [GOOD, {**GOOD, "id": "two"}]}
    path.write_text(json.dumps(tree) if name.endswith("json") else yaml.safe_dump(tree))
    found = read_prompts(path)
    assert found.name == "mine" and [item.id for item in found.items] == ["one", "two"]
    assert found.items[0].score == 3 and found.items[0].match == "prefix"


def test_a_bare_list_is_named_by_its_file(tmp_path: Path) -> None:
    assert read_prompts(_write(tmp_path / "facts.json", GOOD)).name == "facts"


def test_a_name_is_one_of_a_folder_and_of_metrics(tmp_path: Path) -> None:
    assert read_prompts(_write(tmp_path / "my facts (2).json", GOOD)).name == "my-facts-2-"
    path = tmp_path / "a.json"
    for name in ("Grade 1 (easy)", "../../escaped"):
        path.write_text(json.dumps({"name": name, "items": [GOOD]}))
        with pytest.raises(UserError, match="names a folder: use letters, digits and any of"):
            read_prompts(path)


def test_a_part_of_a_set_has_a_name_of_its_own(tmp_path: Path) -> None:
    items = [{**GOOD, "id": str(i)} for i in range(5)]
    whole = read_prompts(_write(tmp_path / "facts.json", *items))
    part = whole.first(2)
    assert part.name == "facts-2-of-5" and [item.id for item in part.items] == ["0", "4"]
    assert whole.first(5) is whole.first(None) is whole


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"difficulty": 7}, "item 1 (one): difficulty is 7, but it should be less than"),
        ({"difficulty": "hard"}, "item 1 (one): difficulty is 'hard'"),
        ({"match": "similar"}, "item 1 (one): match is 'similar', but it is one of 'contains'"),
        ({"answers": "moo"}, "item 1 (one): answers is 'moo', but it is a list of texts"),
        ({"answers": []}, "item 1 (one): answers is []"),
        ({"answers": ["moo", 3]}, "item 1 (one): answers[1] is 3"),
        ({"answers": [" "]}, "item 1 (one): answers holds an empty text"),
        ({"stop": ["\n", ""]}, "item 1 (one): stop holds an empty text"),
        ({"anwsers": ["moo"]}, "item 1 (one): anwsers is not a known field; did you mean answers"),
        ({"prompt": None}, "item 1 (one): prompt is None"),
        ({"prompt": "  "}, "item 1 (one): prompt is empty"),
        ({"score": 0}, "item 1 (one): score is 0, but it should be greater than 0"),
        ({"match": "regex", "answers": ["(a"]}, "item 1 (one): answers holds '(a', which is no"),
        ({"choices": ["baa"]}, "item 1 (one): match is for answers that are written"),
        ({"match": None, "choices": ["moo"]}, "item 1 (one): choices holds right answers alone"),
        (
            {"match": None, "answers": ["cat food"], "choices": ["cat", "dog"]},
            "item 1 (one): 'cat' begins 'cat food', and would count for it as well",
        ),
        (
            {"match": None, "answers": ["1"], "choices": ["2", "15"]},
            "item 1 (one): '1' begins '15', and would count for it as well",
        ),
        (
            {"match": None, "choices": [" moo", "baa"]},
            "item 1 (one): 'moo' begins ' moo', and would count for it as well",
        ),
        ({"id": 5}, "item 1: id is 5"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    path = _write(tmp_path / "bad.json", {**GOOD, **change})
    with pytest.raises(UserError) as error:
        read_prompts(path)
    said = str(error.value)
    assert said.startswith(f"{path}: {sentence}") and said.endswith(".")
    assert "\n" not in said and said.count(". ") == 0


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "bad.json", GOOD, {k: v for k, v in GOOD.items() if k != "prompt"})
    with pytest.raises(UserError, match=r"item 2 \(one\): prompt is missing\."):
        read_prompts(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("items: [", "not valid YAML at line"),
        ("[]", "there are no items"),
        ("7", "is a list of items"),
        ("- 7", "item 1 is 7, but an item is a mapping"),
        ("items: []\nitmes: []", "itmes is not known"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_prompts(path)


def test_an_id_is_one_of_a_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="item 2: id 'one' is item 1's already"):
        read_prompts(_write(tmp_path / "bad.json", GOOD, GOOD))


def test_choices_may_list_the_answer() -> None:
    given = {**GOOD, "match": None, "choices": ["moo", "baa", "oink"]}
    item = Item.model_validate(given)
    assert item.wrong == ("baa", "oink") and item.chance == pytest.approx(1 / 3)


def test_what_follows_makes_two_options_of_one() -> None:
    given = {**GOOD, "match": None, "answers": ["cat."], "choices": ["cat food.", "cats."]}
    assert Item.model_validate(given).wrong == ("cat food.", "cats.")


def test_the_hash_is_of_what_decides(tmp_path: Path) -> None:
    one = read_prompts(_write(tmp_path / "a.json", GOOD))
    assert one.hash == read_prompts(_write(tmp_path / "b.yaml", GOOD)).hash
    assert one.hash != read_prompts(_write(tmp_path / "c.json", {**GOOD, "score": 4})).hash


def test_a_set_is_found_by_name_or_nearly() -> None:
    assert find_prompts("stories").name == "stories"
    with pytest.raises(UserError, match="did you mean stories"):
        find_prompts("storeis")
