"""Which document is in which split, and what is never in two."""

import itertools
import json
from pathlib import Path

import pytest

from scaling.config import ByteTokenizer, DataConfig, FilesCorpus
from scaling.data.digest import place
from scaling.data.prepare import PreparedData, prepare
from scaling.data.splits import SplitRule
from scaling.errors import UserError
from tests.scaling.data.texts import Prepare, documents, stories, write_jsonl


def split_files(
    tmp_path: Path, heard: list[str] | None = None, **files: list[str]
) -> PreparedData:
    """Prepare a corpus whose parts are files of their own."""
    tmp_path.mkdir(exist_ok=True)
    names = {
        role: str(write_jsonl(tmp_path / f"{role}.jsonl", texts)) for role, texts in files.items()
    }
    config = DataConfig(corpus=FilesCorpus(**names), tokenizer=ByteTokenizer(), context_length=4)
    unheard: list[str] = []
    say = (unheard if heard is None else heard).append
    return prepare(config, cache=tmp_path / "cache", say=say)


def test_every_document_is_in_one_split(prepared_with: Prepare) -> None:
    prepared = prepared_with()
    found = [
        text for name in ("train", "validation", "test") for text in documents(prepared, name)
    ]
    assert sorted(found) == sorted(stories(400))
    assert prepared.validation.documents == len(documents(prepared, "validation"))


def test_shares_are_kept_about() -> None:
    rule = SplitRule(validation_share=0.05, test_share=0.05)
    splits = [rule.split_of(i / 1000) for i in range(1000)]
    assert [splits.count(name) for name in ("test", "validation", "train")] == [50, 50, 900]


def test_the_split_follows_from_the_text_alone(tmp_path: Path) -> None:
    """Other files, another order, more documents: whatever is held out stays held out."""
    cache = tmp_path / "cache"
    config = DataConfig(tokenizer=ByteTokenizer(), context_length=4)

    def splits(folder: str, files: dict[str, list[str]]) -> PreparedData:
        (tmp_path / folder).mkdir()
        for name, texts in files.items():
            write_jsonl(tmp_path / folder / name, texts)
        corpus = FilesCorpus(files=str(tmp_path / folder / "*.jsonl"))
        return prepare(config.model_copy(update={"corpus": corpus}), cache=cache)

    texts = stories(300)
    one = splits("one", {"a.jsonl": texts})
    other = splits("other", {"x.jsonl": texts[200:][::-1], "y.jsonl": texts[:200]})
    assert (one.train.tokens_array() == other.train.tokens_array()).all()
    more = splits("more", {"a.jsonl": [*stories(200, seed=1), *texts]})
    for name in ("train", "validation", "test"):
        assert set(documents(one, name)) <= set(documents(more, name))


def test_the_same_files_elsewhere_are_the_same_corpus(tmp_path: Path) -> None:
    for folder, name in (("a", "x.jsonl"), ("b", "y.jsonl")):
        (tmp_path / folder).mkdir()
        write_jsonl(tmp_path / folder / name, stories(100))
    config = DataConfig(tokenizer=ByteTokenizer(), context_length=4)
    a, b = (
        prepare(
            config.model_copy(
                update={"corpus": FilesCorpus(files=str(tmp_path / f"{x}/*.jsonl"))}
            ),
            cache=tmp_path / "cache",
        )
        for x in "ab"
    )
    assert a.fingerprint == b.fingerprint
    assert b.reused


def test_duplicates_never_straddle_splits(tmp_path: Path) -> None:
    texts = stories(300)
    write_jsonl(tmp_path / "a.jsonl", texts + texts[::2] + texts[::3])
    prepared = prepare(
        DataConfig(
            corpus=FilesCorpus(files=str(tmp_path / "a.jsonl")),
            tokenizer=ByteTokenizer(),
            context_length=4,
        ),
        cache=tmp_path / "cache",
    )
    split = {name: set(documents(prepared, name)) for name in ("train", "validation", "test")}
    assert not split["train"] & split["validation"]
    assert not split["train"] & split["test"]
    assert not split["validation"] & split["test"]
    assert set.union(*split.values()) == set(texts)


def test_a_copy_may_differ_in_blanks_around_it_and_in_line_ends(tmp_path: Path) -> None:
    """As the same text does in a .txt, whose documents are stripped, and in a .jsonl."""
    texts = [text.replace(" the ", " the\n", 1) for text in stories(200)]
    as_on_windows = [text.replace("\n", "\r\n") + "\r\n" for text in texts]
    prepared = split_files(tmp_path, train=as_on_windows, validation=texts[:20])
    assert sorted(documents(prepared, "validation")) == sorted(texts[:20])
    rest = set(documents(prepared, "train")) | set(documents(prepared, "test"))
    assert rest == set(as_on_windows[20:])  # as they are
    mixed = split_files(tmp_path / "mixed", train=[*texts, *(f" {text}\n" for text in texts)])
    split = [
        {text.strip() for text in documents(mixed, name)}
        for name in ("train", "validation", "test")
    ]
    assert sum(map(len, split)) == len(set.union(*split)) == 200


def test_an_official_validation_is_kept_and_cleared_from_train(tmp_path: Path) -> None:
    texts, heard = stories(200), list[str]()
    prepared = split_files(tmp_path, heard, train=texts, validation=texts[:20])
    assert sorted(documents(prepared, "validation")) == sorted(texts[:20])
    assert set(documents(prepared, "train")) | set(documents(prepared, "test")) == set(texts[20:])
    assert prepared.test
    assert 0 < prepared.test.documents < 40
    assert any("20 documents of train are also in validation or test" in line for line in heard)


def test_three_official_splits(tmp_path: Path) -> None:
    texts = stories(60)
    prepared = split_files(
        tmp_path, train=texts, validation=texts[:20], test=[*texts[15:25], *texts[:2]]
    )
    assert set(documents(prepared, "test")) == {*texts[15:25], *texts[:2]}
    assert set(documents(prepared, "validation")) == set(texts[2:15])
    assert set(documents(prepared, "train")) == set(texts[25:])


def test_validation_reported_as_test_only_when_asked(prepared_with: Prepare) -> None:
    apart = prepared_with()
    assert apart.test
    assert set(documents(apart, "test")).isdisjoint(documents(apart, "validation"))
    same = prepared_with(val_is_test=True)
    assert same.test
    assert same.test.name == "test"
    assert documents(same, "test") == documents(same, "validation")
    assert same.test.prefix(3).bytes == same.validation.prefix(3).bytes
    assert same.train.documents == 400 - same.validation.documents


def test_validation_cannot_be_test_where_a_test_is_given(tmp_path: Path) -> None:
    path = str(write_jsonl(tmp_path / "a.jsonl", stories(5)))
    corpus = FilesCorpus(train=path, validation=path, test=path)
    with pytest.raises(UserError, match=r"data\.val_is_test .* but data\.corpus\.test names one"):
        prepare(DataConfig(corpus=corpus, val_is_test=True), cache=tmp_path / "cache")


def test_no_test_split(prepared_with: Prepare) -> None:
    assert prepared_with(test_share=0).test is None


def test_empty_and_broken_documents(tmp_path: Path) -> None:
    heard: list[str] = []
    (tmp_path / "a.jsonl").write_text('{"text": "half \\ud83d here"}\n', "utf-8")
    prepared = split_files(
        tmp_path, heard, train=["", "  \n", "A story."], validation=["One.", "\n"]
    )
    assert prepared.train.documents == 1
    assert any("3 empty documents were left out" in line for line in heard)


def test_half_a_surrogate_pair_is_mended(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "half \\ud83d here"}\n', "utf-8")
    heard: list[str] = []
    config = DataConfig(
        corpus=FilesCorpus(
            train=str(tmp_path / "a.jsonl"),
            validation=str(write_jsonl(tmp_path / "b.jsonl", ["Other."])),
        ),
        tokenizer=ByteTokenizer(),
        context_length=4,
    )
    prepared = prepare(config, cache=tmp_path / "cache", say=heard.append)
    assert documents(prepared, "train") == ["half \ufffd here"]
    assert any("half a surrogate pair" in line for line in heard)


def test_copies_do_not_lie_side_by_side(tmp_path: Path) -> None:
    """Else a context that is longer than a text holds the text that is to be predicted."""
    heard: list[str] = []
    texts = stories(200)
    prepared = split_files(
        tmp_path,
        heard,
        train=texts * 3,
        validation=["Held.", *stories(20, seed=1) * 2],
        test=["Tested.", *["Same."] * 5],
    )
    told = documents(prepared, "train")
    assert sorted(told) == sorted(texts * 3)
    # 600 places drawn at random: a text stands beside its like some twice in all.
    assert sum(a == b for a, b in itertools.pairwise(told)) < 10
    places = [[i for i, text in enumerate(told) if text == one] for one in texts]
    assert all(len(of_one) == 3 for of_one in places)
    assert sorted(documents(prepared, "validation")) == sorted(["Held.", *stories(20, seed=1)])
    assert sorted(documents(prepared, "test")) == ["Same.", "Tested."]
    assert "400 documents of train are copies of others in it; they stay, set apart" in heard
    assert "20 documents of validation are copies of others in it and were left out" in heard
    assert "4 documents of test are copies of others in it and were left out" in heard
    manifest = json.loads((prepared.folder / "manifest.json").read_text())
    assert manifest["left_out"]["copies"] == {"validation": 20, "test": 4}
    duplicates = {name: split["duplicates"] for name, split in manifest["splits"].items()}
    assert duplicates == {"train": 400, "validation": 0, "test": 0}
    # A copy is no new text, in whatever part of the split.
    assert prepared.validation.unique_tokens == prepared.validation.tokens
    for part in (prepared.train, prepared.train.prefix(100)):
        kinds = set(documents(prepared, "train")[: part.documents])
        assert part.unique_tokens == 1 + sum(len(text.encode()) + 1 for text in kinds)


def test_a_split_carved_by_hash_has_no_copies_either(tmp_path: Path) -> None:
    texts = stories(400)
    corpus = FilesCorpus(files=str(write_jsonl(tmp_path / "a.jsonl", texts * 2)))
    config = DataConfig(corpus=corpus, tokenizer=ByteTokenizer(), context_length=4)
    prepared = prepare(config, cache=tmp_path / "cache")
    for name in ("validation", "test"):
        held = documents(prepared, name)
        assert len(set(held)) == len(held) > 5
    assert prepared.train.documents == 2 * len(set(documents(prepared, "train")))


def test_the_first_of_each_text_keeps_its_place(tmp_path: Path) -> None:
    """A corpus without copies is packed as ever, and more copies move nothing about."""
    texts = stories(60)
    held = {"validation": ["Held."], "test": ["Tested."]}
    once = split_files(tmp_path, train=texts, **held)
    orders = [place(text.encode()).order for text in documents(once, "train")]
    assert orders == sorted(orders)
    twice = split_files(tmp_path, train=[*texts, *texts[:20]], **held)
    told = iter(documents(twice, "train"))
    assert all(text in told for text in documents(once, "train"))  # in that order
    assert once.fingerprint != twice.fingerprint


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"train": [""], "validation": [""]}, "the corpus has no document that is not empty"),
        ({"train": ["A."], "validation": [""]}, "the validation split is empty, of 1 documents"),
        (
            {"train": ["One story alone."]},
            r"""a blank line: --data.corpus.separator '"\n\n"')""",
        ),
        ({"train": ["A."], "validation": ["A."]}, "all its 1 documents are also in another split"),
        (
            {"train": ["A.", "C."], "validation": ["B."], "test": ["B."]},
            "all its 1 documents are also in the test split",
        ),
        ({"train": ["A."], "validation": ["B."]}, "too few for one window of data.context_length"),
    ],
)
def test_corpora_too_small(tmp_path: Path, files: dict[str, list[str]], says: str) -> None:
    with pytest.raises(UserError) as error:
        split_files(tmp_path, **files)
    assert says in str(error.value)
