"""Texts of one's own are a part of what a run is: changed ones make another run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.config import RunConfig
from scaling.data.content import with_content
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.runs import read_config
from scaling.training import train
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


def test_a_corpus_that_is_made_stays_as_it_is(tiny: Callable[..., RunConfig]) -> None:
    config = tiny("--data.corpus.kind", "stories")
    assert with_content(config) is config


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
