"""Fixtures: a small corpus, a config that trains in a second, a working folder of one's own."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from scaling.config import RunConfig
from scaling.recipes import load_config
from scaling.tracking.artifacts import write_figures

TEXT = "the a cat dog sat ran on in red big small tree house and then she he saw found lost"
WORDS = TEXT.split()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text file of 600 short documents, seeded."""
    draw = random.Random(0)
    documents = [
        " ".join(draw.choices(WORDS, weights=range(len(WORDS), 0, -1), k=draw.randint(5, 40)))
        for _ in range(600)
    ]
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    path.write_text("<|endoftext|>".join(documents))
    return path


# Tests run side by side, a process a core: more threads than one would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["TINYSCALE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ.pop("MLFLOW_RUN_ID", None)


@pytest.fixture(scope="session", autouse=True)
def _without_figures() -> Iterator[None]:
    """A run's figures take longer to draw than such small runs to train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scaling.tracking.tracker.write_figures", lambda *_: None)
        yield


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of this process draw their figures, as they do outside of tests."""
    monkeypatch.setattr("scaling.tracking.tracker.write_figures", write_figures)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs: MLflow takes a second or more to make one, and a copy none."""
    from scaling.tracking.store import client

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def workplace(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with nothing in it but a store without runs, and the current one."""
    shutil.copy(empty_store, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tiny_yaml(workplace: Path, corpus: Path) -> Path:
    """`tiny.yaml`: one layer of width 16 on bytes, 30 steps, no samples; in the working folder."""
    tree = {
        "name": "tiny",
        "data": {
            "corpus": {"kind": "files", "files": str(corpus)},
            "tokenizer": {"kind": "byte"},
            "context_length": 32,
        },
        "model": {"d_model": 16, "n_layers": 1, "n_heads": 2},
        "optimizer": {"lr": 0.01},
        "budget": {"steps": 30},
        "batch": {"size": 4},
        "runtime": {"device": "cpu", "precision": "fp32", "threads": 1},
        "evaluation": {"every": 10, "tokens": 2000, "prompts": []},
        "tracking": {"log_every": 1, "norms_every": 15},
    }
    path = workplace / "tiny.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture
def tiny(tiny_yaml: Path) -> Callable[..., RunConfig]:
    """The tiny config, with flags: `tiny("--seed", "3")`."""

    def load(*flags: str) -> RunConfig:
        return load_config(str(tiny_yaml), flags)

    return load


@pytest.fixture
def tinyscale() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in a process of its own: `tinyscale("train", "tiny.yaml")`."""

    def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "scaling.cli", *words],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | environment,
        )

    return call


@pytest.fixture
def tinyscale_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`tinyscale` in this process, which has imported already what takes another one seconds."""
    from scaling.cli import main

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["tinyscale", *words])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return call
