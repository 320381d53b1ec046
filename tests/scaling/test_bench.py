"""The bench: its step is the trainer's, and two of its files can be held together."""

import json
import math
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from scaling.bench import cohorts, pipeline, steps
from scaling.bench.loop import Loop, Shape, has_room
from scaling.bench.pipeline import store_down
from scaling.commands.bench import bench
from scaling.errors import UserError
from scaling.runtime import Runtime

CPU = Runtime(torch.device("cpu"), torch.float32, compile=False)
SMALL = Shape(16, 2, d_ff=32, n_layers=1, vocab=64, context=16, batch=4)


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
    called: list[object] = []

    @contextmanager
    def watched(
        address: tuple[str, int], listen: Callable[..., socket.socket] = socket.create_server
    ) -> Iterator[socket.socket]:
        with listen(address) as deaf:
            yield deaf
            called.extend(select.select([deaf], [], [], 0)[0])  # where a connection waits

    monkeypatch.setattr(pipeline, "BASELINE", SMALL)
    monkeypatch.setattr(socket, "create_server", watched)
    found = store_down(CPU, seconds=0.1)
    assert called
    assert 0 < found["seconds_a_step"] < 0.5  # else steps wait
    assert 0.2 < found["ratio"] < 5


MEASURES: dict[str, Callable[[], dict[str, Any]]] = {
    "training": lambda: steps.training(CPU, 0.1)["small"],
    "evaluation": lambda: steps.evaluation(CPU, 0.1)["small"],
    "cohorts": lambda: cohorts.cohorts(CPU, 0.1)["1M"],
    "sampling": lambda: pipeline.sampling(CPU, 0.1, batch=2),
    "packing": lambda: pipeline.packing(megabytes=1),
}
FIGURES = {
    "training": "plain_tokens_per_second tokens_per_second ratio rounds",
    "evaluation": "tokens_per_second ratio_to_training",
    "cohorts": "parameters 1 2 4 8 gain",
    "sampling": "cached_tokens_per_second uncached_tokens_per_second ratio tokens",
    "packing": "megabytes_per_second reuse_seconds stories_megabytes_per_minute",
}


@pytest.mark.parametrize("part", MEASURES)
def test_what_is_measured_is_positive_and_finite(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "SHAPES", {"small": SMALL})
    monkeypatch.setattr(cohorts, "SIZES", {"1M": SMALL})
    monkeypatch.setattr(pipeline, "BASELINE", SMALL)
    monkeypatch.setattr(pipeline, "SLOWEST", 0.0)  # as few tokens as it ever takes
    found = MEASURES[part]()
    assert list(found) == FIGURES[part].split()
    assert all(math.isfinite(figure) and figure > 0 for figure in found.values())


def test_figures_are_written_and_held_against_earlier_ones(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter(
        [
            {"help_seconds": 0.5},
            {"help_seconds": 0.25},
            {"help_seconds": 1.0},
            {"help_seconds": 1.0},
        ]
    )
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
    written["machine"]["precision"] = "fp8"
    Path("of/a.json").write_text(json.dumps(written))
    told = "the earlier figures are of another machine or software: precision"
    assert told in call(bench, words).stderr


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
