"""Prepared data: nested subsets, reuse, damage, and builds that are killed or race."""

import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaling.config import (
    ByteTokenizer,
    CharTokenizer,
    DataConfig,
    FilesCorpus,
    StoriesCorpus,
)
from scaling.data import build as build_module
from scaling.data import prepare as prepare_module
from scaling.data.prepare import PreparedData, prepare, verify
from scaling.data.source import Document, Source
from scaling.errors import UserError
from tests.scaling.data.texts import Prepare, documents, stories, write_jsonl

REAL = Path(__file__).parents[4] / "shared/data/tinystories"


# ---------------------------------------------------------------- what is on disk


def test_the_stream_is_documents_between_ends_of_text(prepared_with: Prepare) -> None:
    prepared = prepared_with()
    stream, eot = prepared.train.tokens_array(), prepared.tokenizer.eot
    assert isinstance(stream, np.memmap)
    assert stream.dtype == np.uint16
    assert not stream.flags.writeable
    assert stream[0] == stream[-1] == eot
    assert len(stream) == prepared.train.tokens
    assert (stream == eot).sum() == prepared.train.documents + 1
    assert prepared.train.bytes == sum(len(text) for text in documents(prepared, "train"))
    assert prepared.train.bytes == prepared.tokenizer.token_bytes()[stream].sum()
    assert prepared.train.floor_nats is None


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shares=st.lists(st.floats(0.03, 1), min_size=2, max_size=4))
def test_fractions_are_nested(prepared_with: Prepare, shares: list[float]) -> None:
    parts = [prepared_with(fraction=share) for share in sorted(shares)]
    whole = prepared_with()
    for part, share in zip(parts, sorted(shares), strict=True):
        assert part.train.documents == round(share * whole.train.documents)
        assert part.validation == whole.validation
        assert part.test == whole.test
        assert part.fingerprint == whole.fingerprint
    for small, large in zip(parts, [*parts[1:], whole], strict=True):
        stream = small.train.tokens_array()
        assert len(stream) == small.train.tokens
        assert (stream == large.train.tokens_array()[: len(stream)]).all()
        assert stream[-1] == small.tokenizer.eot
        kept = documents(small, "train")
        assert kept == documents(large, "train")[: len(kept)]
        assert small.train.bytes == sum(map(len, kept))


def test_max_documents_is_nested_too(prepared_with: Prepare) -> None:
    whole = documents(prepared_with(), "train")
    assert documents(prepared_with(max_documents=7), "train") == whole[:7]
    assert documents(prepared_with(max_documents=7, fraction=0.5), "train") == whole[:7]
    assert documents(prepared_with(max_documents=10**6), "train") == whole


def test_a_fraction_that_documents_do_not_divide_into_is_told(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("the cat sat on the mat " * 50)
    (tmp_path / "other.txt").write_text("a dog ran")
    names = {"train": str(tmp_path / "one.txt"), "validation": str(tmp_path / "other.txt")}
    config = DataConfig(
        corpus=FilesCorpus(**names), tokenizer=ByteTokenizer(), context_length=4, fraction=0.25
    )
    said: list[str] = []
    prepare(config, cache=tmp_path, say=said.append)
    assert said[-1] == (
        "warning: data.fraction 0.25 is 1 of 1 documents of the train split, which hold 1 of its"
        " tokens"
    )


def test_the_order_says_nothing_of_the_source(prepared_with: Prepare) -> None:
    numbers = [
        int(text.split(":")[0].split(".")[1]) for text in documents(prepared_with(), "train")
    ]
    assert abs(np.corrcoef(numbers, range(len(numbers)))[0, 1]) < 0.2


def test_a_floor_follows_the_prefix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nats = {text: 10.0 + i / 8 for i, text in enumerate(stories(200))}

    def read() -> Iterator[Document]:
        yield from (Document(text, value) for text, value in nats.items())

    source = Source("stories", "stories seed 0", "f" * 64, {}, {"train": read}, knows_floor=True)
    monkeypatch.setattr(prepare_module, "open_corpus", lambda *_, **__: source)
    config = DataConfig(tokenizer=ByteTokenizer(), context_length=8)
    for fraction in (1.0, 0.3):
        prepared = prepare(config.model_copy(update={"fraction": fraction}), cache=tmp_path)
        assert prepared.test
        for split in (prepared.train, prepared.validation, prepared.test):
            texts = documents(prepared, split.name)
            expected = math.fsum(nats[text] for text in texts)
            assert split.floor_nats == pytest.approx(expected, rel=1e-12)
            assert split.floor_per_token == pytest.approx(expected / (split.tokens - 1))
            assert split.floor_bits_per_byte == pytest.approx(
                expected / math.log(2) / sum(map(len, texts))
            )


def test_the_embedded_corpus_has_its_exact_floor(tmp_path: Path) -> None:
    from scaling.data import stories as embedded

    nats = {told.text: -told.log_probability for told in embedded.generate(3, 0, 300)}
    config = DataConfig(corpus=StoriesCorpus(seed=3, documents=300), tokenizer=ByteTokenizer())
    prepared = prepare(config, cache=tmp_path)
    assert prepared.source == "stories seed 3"
    assert prepared.test
    texts = []
    for split in (prepared.train, prepared.validation, prepared.test):
        texts += documents(prepared, split.name)
        told = [nats[text] for text in documents(prepared, split.name)]
        assert split.floor_nats == pytest.approx(math.fsum(told), rel=1e-12)
    assert sorted(texts) == sorted(nats)  # else a model that has learnt one gets below its floor


def test_a_large_corpus_s_tokenizer_learns_from_a_part(
    config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "TRAINING_BYTES_MOST", 2000)
    heard: list[str] = []
    prepared = prepare(config, cache=tmp_path / "cache", say=heard.append)
    learned = int(np.searchsorted(np.cumsum([len(t) for t in documents(prepared, "train")]), 2000))
    assert any(f"learns from the first {learned} documents" in line for line in heard)
    manifest = json.loads((prepared.folder / "manifest.json").read_text())
    assert manifest["tokenizer"]["learned_from_documents"] == learned


def test_the_tokenizer_learns_from_train_alone(tmp_path: Path) -> None:
    names = {
        "train": str(write_jsonl(tmp_path / "a.jsonl", stories(50))),
        "validation": str(write_jsonl(tmp_path / "b.jsonl", ["A quixotic zebra.", "Zzz Q."])),
    }
    heard: list[str] = []
    config = DataConfig(
        corpus=FilesCorpus(**names), tokenizer=CharTokenizer(), context_length=4, fraction=0.1
    )
    prepared = prepare(config, cache=tmp_path / "cache", say=heard.append)
    seen = set("".join(stories(50)))
    expected = sum(c not in seen for c in "A quixotic zebra.Zzz Q.")
    assert expected
    assert any(f"{expected} characters of the validation split" in line for line in heard)
    manifest = json.loads((prepared.folder / "manifest.json").read_text())
    assert manifest["splits"]["validation"]["unknown"] == expected
    write_jsonl(tmp_path / "b.jsonl", ["ЖЖЖ", "Ж"])
    with pytest.raises(UserError, match="the validation split has no character that a training"):
        prepare(config, cache=tmp_path / "cache")


# ---------------------------------------------------------------- reuse


def test_unchanged_inputs_are_reused_and_said_so(
    config: DataConfig, corpus_file: Path, tmp_path: Path
) -> None:
    cache, heard = tmp_path / "cache", list[str]()
    first = prepare(config, cache=cache, say=heard.append)
    assert not first.reused
    heard.clear()
    other = config.model_copy(update={"context_length": 8, "fraction": 0.5})
    started = time.perf_counter()
    second = prepare(other, cache=cache, say=heard.append)
    assert time.perf_counter() - started < 0.5  # some 5 ms on a free machine
    assert second.reused
    assert second.folder == first.folder
    assert heard == [f"reusing the packed tokens in {first.folder}"]
    # A touched file is read again, and found to be the same; a changed one is not.
    os.utime(corpus_file, (1, 1))
    assert prepare(config, cache=cache).reused
    write_jsonl(corpus_file, stories(401))
    changed = prepare(config, cache=cache)
    assert not changed.reused
    assert changed.fingerprint != first.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"validation_share": 0.1},
        {"test_share": 0.0},
        {"tokenizer": {"kind": "char"}},
        {"tokenizer": {"kind": "bpe", "vocab_size": 310}},
    ],
)
def test_what_changes_the_tokens_has_a_folder_of_its_own(
    prepared_with: Prepare, change: dict[str, object]
) -> None:
    first, other = prepared_with(), prepared_with(**change)
    assert other.folder != first.folder
    assert other.fingerprint != first.fingerprint
    assert prepared_with().reused


def test_force_builds_the_same_again(config: DataConfig, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = prepare(config, cache=cache)
    mapped = first.train.tokens_array()
    before = {path.name: path.read_bytes() for path in first.folder.glob("*[!n]")}
    forced = prepare(config, cache=cache, force=True)
    assert not forced.reused
    assert forced.fingerprint == first.fingerprint
    assert before == {path.name: path.read_bytes() for path in first.folder.glob("*[!n]")}
    assert mapped[0] == first.tokenizer.eot  # who reads the old files goes on reading them
    assert sorted(path.name for path in (cache / "data").glob("[!.]*")) == [first.folder.name]


def test_a_corpus_that_changes_while_it_is_read(
    config: DataConfig, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meddling(*args: object) -> object:
        manifest = build_module.build(*args)  # type: ignore[arg-type]
        write_jsonl(corpus_file, stories(3))
        return manifest

    monkeypatch.setattr(prepare_module, "build", meddling)
    with pytest.raises(UserError, match="changed while it was being read"):
        prepare(config, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache/data").glob("[!.]*"))
    assert not list((tmp_path / "cache/data").glob(".building*"))


def test_the_cache_is_where_the_user_says(
    config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("TINYSCALE_CACHE", raising=False)
    assert prepare(config).folder.is_relative_to(tmp_path / "xdg/tinyscale")
    monkeypatch.setenv("TINYSCALE_CACHE", str(tmp_path / "named"))
    assert prepare(config).folder.is_relative_to(tmp_path / "named")


def test_a_cache_that_cannot_be_written(config: DataConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be used .* TINYSCALE_CACHE"):
        prepare(config, cache=tmp_path / "file")


@pytest.mark.parametrize(
    ("corpus", "says"),
    [
        (
            {"files": "nothing/*.jsonl"},
            r"data\.corpus\.files: no file matches 'nothing/\*\.jsonl'",
        ),
        ({"train": "none.txt"}, r"data\.corpus\.train: no file matches 'none\.txt'"),
        ({"files": "."}, r"data\.corpus\.files: \. is a folder; name the files in it"),
        ({"files": __file__}, r"test_prepare\.py is none of the kinds of file"),
    ],
)
def test_files_that_are_not_found(tmp_path: Path, corpus: dict[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        prepare(DataConfig(corpus=FilesCorpus(**corpus)), cache=tmp_path)


def test_a_file_that_several_names_lead_to_is_read_once(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    write_jsonl(texts / "a.jsonl", stories(100))
    (texts / "latest.jsonl").symlink_to("a.jsonl")
    (texts / "again").symlink_to(".")
    corpus = FilesCorpus(files=str(texts / "**/*.jsonl"))
    config = DataConfig(corpus=corpus, tokenizer=ByteTokenizer(), context_length=4)
    heard: list[str] = []
    prepared = prepare(config, cache=tmp_path / "cache", say=heard.append)
    assert prepared.train.documents < 100
    assert not any("copies" in line for line in heard)


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", stories(100))
    (tmp_path / "b.jsonl").symlink_to("unmounted/b.jsonl")
    corpus = FilesCorpus(files=str(tmp_path / "*.jsonl"))
    with pytest.raises(UserError, match=r"b\.jsonl is a link to a file that is not there"):
        prepare(DataConfig(corpus=corpus), cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["my [old] texts.jsonl", b"caf\xe9.jsonl"])
def test_names_that_are_no_patterns_or_no_utf8(tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    write_jsonl(path, stories(100))
    corpus = FilesCorpus(files=str(path) if isinstance(name, str) else str(tmp_path / "*.jsonl"))
    config = DataConfig(corpus=corpus, tokenizer=ByteTokenizer(), context_length=4)
    assert prepare(config, cache=tmp_path / "cache").train.documents > 50
    assert prepare(config, cache=tmp_path / "cache").reused


# ---------------------------------------------------------------- damage


def spoil(path: Path, how: str) -> None:
    match how:
        case "cut":
            path.write_bytes(path.read_bytes()[:-2])
        case "gone":
            path.unlink()
        case "edited":
            path.write_text(path.read_text().replace('"tokens": ', '"tokens": 1'))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("train.bin", "cut"),
        ("test.ends.npy", "gone"),
        ("tokenizer.json", "cut"),
        ("manifest.json", "cut"),
        ("manifest.json", "gone"),
        ("manifest.json", "edited"),
    ],
)
def test_damage_is_found_at_the_next_open_and_built_anew(
    config: DataConfig, tmp_path: Path, name: str, how: str
) -> None:
    cache, heard = tmp_path / "cache", list[str]()
    first = prepare(config, cache=cache)
    whole = first.train.tokens_array().copy()
    spoil(first.folder / name, how)
    assert name in verify(config, cache=cache)[0]
    again = prepare(config, cache=cache, say=heard.append)
    assert not again.reused
    assert heard[0].startswith("warning: ")
    assert name in heard[0]
    assert (again.train.tokens_array() == whole).all()
    assert verify(config, cache=cache) == []


@pytest.mark.parametrize("name", ["train.bin", "validation.bytes.npy", "tokenizer.json"])
def test_verify_finds_a_flipped_byte(config: DataConfig, tmp_path: Path, name: str) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(UserError, match="nothing is prepared for this config"):
        verify(config, cache=cache)
    path = prepare(config, cache=cache).folder / name
    assert verify(config, cache=cache) == []
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert verify(config, cache=cache) == [
        f"{name} does not have the hash that manifest.json states"
    ]


# ---------------------------------------------------------------- other processes

# Prepares in a process of its own that says what it has done; `slowly` dawdles in the middle of
# the packing.
_CHILD = """
import sys, time
from functools import partial
from pathlib import Path
from scaling.config import DataConfig
from scaling.data import build
from scaling.data.prepare import prepare
config, cache, slowly = sys.argv[1:]
say = partial(print, flush=True)
def told(name, done):
    whole = getattr(build, name)
    def telling(*args, **kwargs):
        result = whole(*args, **kwargs)
        say(done)
        return result
    setattr(build, name, telling)
told("split_documents", "split")
told("make", "learned")
pack = build.pack
def slow(split, *args, **kwargs):
    result = pack(split, *args, **kwargs)
    say("packed", split)
    time.sleep(float(slowly))
    return result
build.pack = slow
prepared = prepare(DataConfig.model_validate_json(config), cache=Path(cache), say=say)
say("reused" if prepared.reused else "built", prepared.fingerprint)
"""


def start(config: DataConfig, cache: Path, slowly: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, config.model_dump_json(), str(cache), str(slowly)],
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdout
    for said in process.stdout:
        if line in said:
            return
    raise AssertionError(f"it never said {line!r}")


def kill_in_the_middle(config: DataConfig, cache: Path) -> None:
    process = start(config, cache, 60)
    wait_for(process, "packed train")
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_build_leaves_nothing_that_is_taken_for_whole(
    config: DataConfig, tmp_path: Path
) -> None:
    cache, heard = tmp_path / "cache", list[str]()
    kill_in_the_middle(config, cache)
    assert list((cache / "data").glob(".building-*/train.bin"))
    with pytest.raises(UserError, match="nothing is prepared"):
        verify(config, cache=cache)
    prepared = prepare(config, cache=cache, say=heard.append)
    assert not prepared.reused
    assert verify(config, cache=cache) == []
    assert not list((cache / "data").glob(".building-*"))


def test_another_build_clears_what_a_killed_one_left_but_not_a_live_one(
    config: DataConfig, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    kill_in_the_middle(config, cache)
    live = start(config.model_copy(update={"test_share": 0.0}), cache, 60)
    try:
        wait_for(live, "packed train")
        prepare(config.model_copy(update={"validation_share": 0.2}), cache=cache)
        (left,) = (cache / "data").glob(".building-*")
        assert (left / "train.bin").is_file()
    finally:
        live.kill()
        live.wait()


def test_two_processes_build_once(config: DataConfig, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = start(config, cache, 0.1)
    wait_for(first, "packed train")
    first.send_signal(signal.SIGSTOP)
    second = start(config, cache, 0)
    wait_for(second, "another process is preparing")
    first.send_signal(signal.SIGCONT)
    said = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert "built" in said[0]
    assert "packed" not in said[1].replace("packed tokens", "")
    assert said[0].split()[-1] == said[1].split()[-1]
    assert said[1].splitlines()[-1].startswith("reused")


# What a build says, and the most seconds from there to its end: less than what comes next takes.
MOMENTS = {
    "preparing": 0.04,
    "split": 0.1,
    "learned": 0.1,
    "packed train": 0.01,
    "packed test": 0.0,
}


@pytest.mark.drill
def test_killed_at_any_moment(tmp_path: Path) -> None:
    texts = stories(5_000)
    path = write_jsonl(tmp_path / "a.jsonl", texts)
    config = DataConfig(corpus=FilesCorpus(files=str(path)), context_length=16)
    draw, alive = random.Random(0), list[str]()
    for number, (line, most) in enumerate(MOMENTS.items()):
        cache = tmp_path / str(number)
        process = start(config, cache, 0)
        wait_for(process, line)
        time.sleep(draw.uniform(0, most))
        if process.poll() is None:
            alive.append(line)
        process.kill()
        process.wait()
        prepared = prepare(config, cache=cache)
        assert verify(config, cache=cache) == [], line
        splits = (documents(prepared, name) for name in ("train", "validation", "test"))
        assert sorted(itertools.chain(*splits)) == sorted(texts), line
    assert len(alive) >= 3, alive  # the last moments are short


def test_a_full_disk_is_said_in_a_sentence(config: DataConfig, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", _CHILD, config.model_dump_json(), str(cache), "0"]
    # A limit on the size of a file stands in for a full disk.
    limited = subprocess.run(
        ["bash", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "bash", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "UserError: there is no room for the prepared data" in limited.stderr
    assert not list((cache / "data").glob("[!.]*"))
    assert not list((cache / "data").glob(".building*"))


# ---------------------------------------------------------------- real text


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the real text is not here")
def test_real_stories(tmp_path: Path) -> None:
    corpus = FilesCorpus(train=str(REAL / "train.jsonl"), validation=str(REAL / "valid.jsonl"))
    prepared: PreparedData = prepare(DataConfig(corpus=corpus), cache=tmp_path)
    assert prepared.test
    assert prepared.train.documents + prepared.test.documents == 11_273
    assert prepared.validation.documents == 1000
    texts = [json.loads(line)["text"] for line in (REAL / "valid.jsonl").open()]
    assert sorted(documents(prepared, "validation")) == sorted(texts)
    assert prepared.tokenizer.vocab_size == 4096
    assert 0.2 < prepared.train.tokens / prepared.train.bytes < 0.3
