"""TinyStories through `datasets`, from a folder written here; and a hub that does not answer."""

import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from scaling.config import ByteTokenizer, DataConfig, Gpt2Tokenizer, TinyStoriesCorpus
from scaling.data import tinystories
from scaling.data.digest import FileMemo
from scaling.data.prepare import prepare
from scaling.errors import UserError
from tests.scaling.data.texts import documents, stories


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of the layout that roneneldan/TinyStories has on the hub."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    folder = tmp_path / "TinyStories"
    (folder / "data").mkdir(parents=True)
    for split, texts in (("train", stories(60)), ("validation", stories(10, seed=1))):
        name = f"data/{split}-00000-of-00001-0123456789abcdef.parquet"
        parquet.write_table(pa.table({"text": texts}), folder / name)
    for split, texts in (("train", stories(50, seed=2)), ("valid", stories(8, seed=3))):
        broken = (text.replace(" the ", " the\n\n\u2028", 1) for text in texts)
        content = "\n<|endoftext|>\n".join(broken)
        (folder / f"TinyStoriesV2-GPT4-{split}.txt").write_text(content, "utf-8")
    return folder


def config(**corpus: Any) -> DataConfig:
    return DataConfig(
        corpus=TinyStoriesCorpus(**corpus), tokenizer=ByteTokenizer(), context_length=8
    )


@pytest.mark.parametrize("streaming", [False, True])
def test_v1_from_a_local_folder(folder: Path, tmp_path: Path, streaming: bool) -> None:
    wanted = config(source=str(folder), streaming=streaming)
    prepared = prepare(wanted, cache=tmp_path / "cache")
    found = documents(prepared, "train") + documents(prepared, "test")
    assert sorted(found) == sorted(stories(60))
    assert sorted(documents(prepared, "validation")) == sorted(stories(10, seed=1))
    assert prepare(wanted, cache=tmp_path / "cache").reused


@pytest.mark.parametrize("streaming", [False, True])
def test_v2_from_a_local_folder(folder: Path, tmp_path: Path, streaming: bool) -> None:
    wanted = config(source=str(folder), version="v2-gpt4", streaming=streaming)
    prepared = prepare(wanted, cache=tmp_path / "cache")
    found = documents(prepared, "train") + documents(prepared, "test")
    expected = [text.replace(" the ", " the\n\n\u2028", 1) for text in stories(50, seed=2)]
    assert sorted(found) == sorted(expected)
    assert prepared.validation.documents == 8


def test_which_file_is_for_training_is_a_part_of_the_corpus(folder: Path, tmp_path: Path) -> None:
    wanted = config(source=str(folder), version="v2-gpt4")
    before = prepare(wanted, cache=tmp_path / "cache")
    train, valid = (folder / f"TinyStoriesV2-GPT4-{split}.txt" for split in ("train", "valid"))
    texts = train.read_bytes(), valid.read_bytes()
    train.write_bytes(texts[1])
    valid.write_bytes(texts[0])
    after = prepare(wanted, cache=tmp_path / "cache")
    assert after.fingerprint != before.fingerprint
    assert after.validation.documents == 50


def test_a_text_file_that_is_not_utf8_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    odd = folder.rename(tmp_path / "tiny [v2]")
    (odd / "TinyStoriesV2-GPT4-valid.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        prepare(config(source=str(odd), version="v2-gpt4"), cache=tmp_path / "cache")


@pytest.mark.parametrize("streaming", [False, True])
def test_text_files_are_divided_by_story_and_not_by_line(
    folder: Path, tmp_path: Path, streaming: bool
) -> None:
    shutil.rmtree(folder / "data")
    wanted = config(source=str(folder), streaming=streaming)
    with pytest.raises(UserError, match=r"has version v2-gpt4 alone: set data\.corpus\.version"):
        prepare(wanted, cache=tmp_path / "cache")
    (folder / "README.txt").write_text("What this is.")
    with pytest.raises(UserError, match=r"\.txt files that are not .* data\.corpus\.kind files"):
        prepare(wanted, cache=tmp_path / "cache")
    for path in list(folder.glob("*.txt")):
        path.rename(folder / path.name.replace("V2-GPT4", ""))
    prepared = prepare(wanted, cache=tmp_path / "cache")
    assert len(documents(prepared, "train") + documents(prepared, "test")) == 50
    assert prepared.validation.documents == 8
    (folder / "TinyStories-valid.txt").write_text("One.\n<|endoftext|>\nTwo.\nThree.")
    changed = prepare(wanted, cache=tmp_path / "cache")
    assert sorted(documents(changed, "validation")) == ["One.", "Two.\nThree."]


def test_the_versions_are_different_data(folder: Path, tmp_path: Path) -> None:
    v1 = prepare(config(source=str(folder)), cache=tmp_path / "cache")
    v2 = prepare(config(source=str(folder), version="v2-gpt4"), cache=tmp_path / "cache")
    assert v1.fingerprint != v2.fingerprint
    # A change to one version's files leaves the other's prepared data alone.
    path = folder / "TinyStoriesV2-GPT4-valid.txt"
    path.write_text("Another story.")
    assert prepare(config(source=str(folder)), cache=tmp_path / "cache").reused
    wanted = config(source=str(folder), version="v2-gpt4")
    assert not prepare(wanted, cache=tmp_path / "cache").reused


def test_a_folder_without_the_files(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"has no TinyStoriesV2-GPT4-train\.txt"):
        prepare(config(source=str(tmp_path / "empty"), version="v2-gpt4"), cache=tmp_path / "c")
    with pytest.raises(UserError, match="has no validation split that `datasets` can read"):
        prepare(config(source=str(tmp_path / "empty")), cache=tmp_path / "c")


@pytest.mark.parametrize("source", ["{}/TinyStoris", "./TinyStoris", "~/Tiny-Storis", "a/b/c"])
def test_a_folder_that_is_not_there_is_said_to_be_none(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "scaling.data.tinystories.revision_on_hub"
    monkeypatch.setattr(asked, lambda *_: pytest.fail("the hub was asked"))
    with pytest.raises(
        UserError, match=r"there is no folder .*, which data\.corpus\.source names"
    ):
        prepare(config(source=source.format(tmp_path)), cache=tmp_path / "cache")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which no name resolves, with an empty Hugging Face cache."""
    from huggingface_hub import constants

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "corpus", [{}, {"version": "v2-gpt4"}, {"streaming": True}, {"revision": "a" * 40}]
)
def test_without_a_hub_the_two_ways_on_are_named(tmp_path: Path, corpus: dict[str, Any]) -> None:
    started = time.monotonic()
    with pytest.raises(UserError) as error:
        prepare(config(**corpus), cache=tmp_path / "cache")
    assert time.monotonic() - started < 10  # not the libraries' half a minute of retries
    said = str(error.value)
    assert "the hub cannot be reached" in said
    assert "--data.corpus.kind stories" in said
    assert "--data.corpus.kind files --data.corpus.files 'texts/*.jsonl'" in said


@pytest.mark.usefixtures("no_network")
def test_gpt2_without_a_hub_names_the_ways_on(folder: Path, tmp_path: Path) -> None:
    wanted = config(source=str(folder)).model_copy(update={"tokenizer": Gpt2Tokenizer()})
    with pytest.raises(
        UserError, match=r"--data\.tokenizer\.vocab .* --data\.tokenizer\.kind bpe"
    ):
        prepare(wanted, cache=tmp_path / "cache")


def test_the_hub_s_revision_is_asked_once_and_remembered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the hub: this machine may have none. The rows come from the folder."""
    asked: list[str | None] = []

    def answer(repo: str, kind: str, revision: str | None) -> str:
        asked.append(revision)
        return "c" * 40

    load = tinystories._load
    monkeypatch.setattr(tinystories, "revision_on_hub", answer)
    monkeypatch.setattr(
        tinystories,
        "_load",
        lambda source, commit, role, streaming: load(str(folder), None, role, streaming),
    )
    cache = tmp_path / "cache"
    first = prepare(config(), cache=cache)
    assert "revision cccccccccccc" in first.source
    questions = len(asked)
    assert prepare(config(), cache=cache).reused
    assert len(asked) == questions
    assert (first.folder / "manifest.json").read_text().count("c" * 40) == 1
    prepare(config(), cache=cache, force=True)
    assert asked[questions] is None


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(folder: Path, no_network: None, tmp_path: Path) -> Path:
    """What the Hugging Face libraries keep of roneneldan/TinyStories once they have read it."""
    import datasets

    kept = tmp_path / "hub/datasets--roneneldan--TinyStories"
    shutil.copytree(folder, kept / "snapshots" / COMMIT)
    (kept / "refs").mkdir()
    (kept / "refs/main").write_text(COMMIT)
    loaded = datasets.load_dataset(str(folder))
    version = Path(loaded["train"].cache_files[0]["filename"]).parent.parent
    name = tmp_path / "hf/roneneldan___tiny_stories/default" / version.name / COMMIT
    shutil.copytree(Path(loaded["train"].cache_files[0]["filename"]).parent, name)
    shutil.rmtree(folder)
    return kept


@pytest.mark.parametrize(("version", "documents"), [("v1", 10), ("v2-gpt4", 8)])
def test_the_local_hub_cache_is_used_without_a_network(
    hub_cache: Path, tmp_path: Path, version: str, documents: int
) -> None:
    started = time.monotonic()
    prepared = prepare(config(version=version), cache=tmp_path / "cache")
    assert time.monotonic() - started < 10
    assert prepared.validation.documents == documents
    assert COMMIT[:12] in prepared.source


def test_another_revision_in_the_cache_is_not_taken_for_it(
    hub_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"has not revision aaaaaaaaaaaa .* but {COMMIT}"):
        prepare(config(revision="a" * 40), cache=tmp_path / "cache")


def test_a_torn_note_of_a_revision_is_asked_for_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tinystories, "revision_on_hub", lambda *_: "c" * 40)
    corpus = TinyStoriesCorpus()
    memo = FileMemo(tmp_path / "fingerprints")
    whole = tinystories.open_tinystories(corpus, memo, tmp_path, fresh=False)
    (note,) = (tmp_path / "revisions").iterdir()
    for torn in ("", '{"source": "x"', "{}"):
        note.write_text(torn)
        again = tinystories.open_tinystories(corpus, memo, tmp_path, fresh=False)
        assert again.fingerprint == whole.fingerprint
