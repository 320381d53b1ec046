"""Texts of one's own are a part of what a run is: changed ones make another run."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from analysis.cli import evaluate
from scaling.config import RunConfig
from scaling.data.content import with_content
from scaling.data.prepare import prepare
from scaling.data.tokenizer import byte_alphabet
from scaling.errors import UserError
from scaling.export.write import export
from scaling.runs import read_config
from scaling.tracking.folder import RunFolder
from scaling.trained import of_run
from scaling.training import resume, train
from sweeps.reading import read_sweep
from sweeps.wanted import wanted_runs


@pytest.fixture
def texts(workplace: Path, corpus: Path) -> Path:
    path = workplace / "mine.txt"
    path.write_text(corpus.read_text())
    return path


def change(path: Path) -> None:
    path.write_text(path.read_text().replace("dog", "cow"))


def test_other_texts_make_another_identity(tiny: Callable[..., RunConfig], texts: Path) -> None:
    config = tiny("--data.corpus.files", "mine.txt")
    before = with_content(config)
    assert with_content(before) is before
    texts.write_text(texts.read_text())  # newer, and the same
    assert with_content(config).identity == before.identity
    change(texts)
    assert with_content(config).identity != before.identity
    with pytest.raises(UserError, match=r"mine.txt' have changed"):
        prepare(before.data)


def test_the_same_texts_elsewhere_are_the_same_run(
    tiny: Callable[..., RunConfig], texts: Path
) -> None:
    config = with_content(tiny("--data.corpus.files", "mine.txt"))
    for name in ("./mine.txt", str(texts.resolve())):
        assert with_content(tiny("--data.corpus.files", name)).identity == config.identity
    texts.rename("elsewhere.txt")
    moved = with_content(tiny("--data.corpus.files", "elsewhere.txt"))
    assert moved.identity == config.identity
    Path("other.txt").write_text("Another text.")
    corpus = {"kind": "files", "train": "elsewhere.txt", "validation": "other.txt"}
    held_out = with_content(tiny("--data.corpus", json.dumps(corpus)))
    assert held_out.identity != moved.identity


@pytest.mark.parametrize("version", ["v1", "v2-gpt4"])
def test_so_do_other_files_in_a_folder_of_tinystories(
    tiny: Callable[..., RunConfig], workplace: Path, version: str
) -> None:
    (workplace / "own").mkdir()
    for name in ("a.parquet", "TinyStoriesV2-GPT4-train.txt", "TinyStoriesV2-GPT4-valid.txt"):
        (workplace / "own" / name).write_text(f"A story in {name}.")
    corpus = {"kind": "tinystories", "source": "own", "version": version}
    config = tiny("--data.corpus", json.dumps(corpus))
    before = with_content(config)
    assert with_content(before) is before and before.identity != config.identity
    for path in (workplace / "own").iterdir():
        path.write_text(path.read_text() + " And more.")
    assert with_content(config).identity != before.identity
    with pytest.raises(UserError, match=r"'own .*' have changed since the run began"):
        prepare(before.data)


def test_so_do_other_files_of_a_tokenizer(tiny: Callable[..., RunConfig], workplace: Path) -> None:
    vocab = {**{c: i for i, c in enumerate(byte_alphabet())}, "th": 256}
    (workplace / "vocab.json").write_text(json.dumps(vocab))
    (workplace / "merges.txt").write_text("#version: 0.2\nt h\n")
    tokenizer = {"kind": "gpt2", "vocab": "vocab.json", "merges": "merges.txt"}
    config = tiny("--data.tokenizer", json.dumps(tokenizer))
    before = with_content(config)
    prepare(before.data)
    assert with_content(before) is before
    (workplace / "merges.txt").write_text("#version: 0.2\nt h\n\n")
    assert with_content(config).identity != before.identity
    with pytest.raises(UserError, match=r"vocab\.json or merges\.txt has changed"):
        prepare(before.data)


@pytest.mark.parametrize(
    "data",
    [
        {"corpus": {"kind": "stories"}},
        {"corpus": {"kind": "tinystories"}},
        {"corpus": {"kind": "stories"}, "tokenizer": {"kind": "gpt2"}},
    ],
)
def test_what_names_no_files_stays_as_it_is(
    tiny: Callable[..., RunConfig], data: dict[str, object]
) -> None:
    """Also its identity, which knew no `content` once."""
    config = tiny("--data", json.dumps(data))
    assert with_content(config) is config
    assert "content" not in str(config.model_dump())


@pytest.fixture
def stopped(tiny: Callable[..., RunConfig], texts: Path) -> RunFolder:
    """A run that has stopped, whose config notes no content: as those on the hub's data do."""

    def kill(trainer: object) -> None:
        if trainer.step == 17:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGTERM)

    config = tiny("--data.corpus.files", "mine.txt")
    (killed,) = train([config], say=lambda _: None, progress=kill)
    file = killed.folder.path / "config.yaml"
    tree = yaml.safe_load(file.read_text())
    tree["data"]["corpus"]["content"] = None
    file.write_text(yaml.safe_dump(tree))
    return killed.folder


def test_a_run_does_not_go_on_with_other_data(stopped: RunFolder, texts: Path) -> None:
    was = texts.read_text()
    change(texts)
    for from_start in (False, True):
        with pytest.raises(UserError, match="The data have changed since the run began"):
            resume([stopped], say=lambda _: None, progress=lambda _: None, from_start=from_start)
    assert stopped.read_record().status == "KILLED"
    (texts.parent / "moved.txt").write_text(was)  # the same texts in another place
    file = stopped.path / "config.yaml"
    file.write_text(file.read_text().replace("mine.txt", "moved.txt"))
    (done,) = resume([stopped], say=lambda _: None, progress=lambda _: None)
    assert done.status == "FINISHED"


def test_nor_is_it_judged_on_other_data(stopped: RunFolder, texts: Path) -> None:
    export(of_run(stopped), "safetensors", Path("out"))
    for name in ("tiny", "out"):
        words = [name, "--no-log", "--json"]
        assert CliRunner().invoke(evaluate, words, catch_exceptions=False).exit_code == 0
    change(texts)
    for name in ("tiny", "out"):
        with pytest.raises(UserError, match="The data have changed since the run began"):
            CliRunner().invoke(evaluate, [name, "--no-log"], catch_exceptions=False)


def test_a_run_notes_its_texts_and_a_sweep_sees_that_they_are_others(
    tiny: Callable[..., RunConfig], texts: Path
) -> None:
    Path("s.yaml").write_text("base: tiny\ngrid: {optimizer.lr: [0.01]}\n")
    flags = ["--data.corpus.files", "mine.txt", "--budget.steps", "3"]
    (wanted,) = wanted_runs(read_sweep("s.yaml", flags))
    (done,) = train([tiny(*flags)], say=lambda _: None, progress=lambda _: None)
    assert read_config(done.folder).identity == wanted.key[0]
    change(texts)
    (again,) = wanted_runs(read_sweep("s.yaml", flags))
    assert again.key != wanted.key
