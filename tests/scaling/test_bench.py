"""The bench: its step is the trainer's, and two of its files can be held together."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from scaling.bench import pipeline
from scaling.bench.loop import Loop, Shape, has_room
from scaling.bench.pipeline import store_down
from scaling.commands.bench import bench
from scaling.errors import UserError
from scaling.runtime import Runtime

CPU = Runtime(torch.device("cpu"), torch.float32, compile=False)
SMALL = Shape(16, 2, n_layers=1, vocab=64, context=16, batch=4)


def test_what_is_timed_learns() -> None:
    loop = Loop(SMALL, CPU, members=2)
    loop.step()
    first = loop.training.loss.clone()
    for _ in range(63 * 3):  # three times through its tokens
        loop.step()
    assert (loop.training.loss < first).all()


def test_room_is_asked_for_before_it_is_taken() -> None:
    loop = Loop(SMALL, CPU)
    assert has_room(loop, CPU, 1)
    assert not has_room(loop, CPU, 10**9)


@pytest.mark.slow
def test_a_deaf_store_is_measured_beside_none(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "BASELINE", SMALL)
    found = store_down(CPU, seconds=0.1)
    assert found["ratio"] == pytest.approx(
        found["seconds_a_step_store_down"] / found["seconds_a_step"]
    )


def test_figures_are_written_and_held_against_earlier_ones(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([{"help_seconds": 0.5}, {"help_seconds": 0.25}, {"help_seconds": 1.0}])
    monkeypatch.setattr(pipeline, "start_up", lambda: next(figures))
    call = CliRunner().invoke
    first = call(bench, ["--only", "start_up", "--out", "of/a.json"])
    assert first.exit_code == 0, first.output
    written = json.loads(Path("of/a.json").read_text())
    assert written["start_up"] == {"help_seconds": 0.5}
    assert {"device", "precision", "date", "load", "torch", "tinyscale"} <= set(written["machine"])
    words = ["--only", "start_up", "--against", "of/a.json"]
    assert "0.25  (0.50 x)" in call(bench, words).output
    ratios = json.loads(call(bench, [*words, "--json"]).stdout)["against"]
    assert ratios["start_up.help_seconds"] == 2.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "a.json/b.json"], "a.json cannot be written"),
        (["--against", "a.json"], "a.json is not what `tinyscale bench --out` writes"),
        (["--against", "b.json"], "b.json cannot be read"),
    ],
)
def test_a_mistake_is_told_before_anything_is_measured(
    words: list[str], said: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []
    monkeypatch.setattr(pipeline, "start_up", lambda: measured.append(1))
    Path("a.json").write_text("[1, 2]")
    done = CliRunner().invoke(bench, ["--only", "start_up", *words])
    assert isinstance(done.exception, UserError) and said in str(done.exception)
    assert not measured
