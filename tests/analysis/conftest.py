"""A store with runs of a known law, made once."""

import shutil
from pathlib import Path

import pytest

from tests.analysis.recorded import Recorder, grid


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Recorder:
    """Experiment `study`: 5 widths x 3 token counts x 2 seeds, and runs that do not count."""
    recorder = Recorder(_with_a_store(tmp_path_factory.mktemp("study"), empty_store))
    grid(recorder, (16, 32, 64, 128, 256), (200_000, 800_000, 3_200_000), (1, 2))
    recorder.record(width=48, seed=1, status="FAILED")
    recorder.record(width=48, seed=2, status="RUNNING")
    recorder.record(width=48, seed=3, diverged=True)
    recorder.record(width=48, seed=4, status="KILLED")
    recorder.record(width=48, seed=5, status="KILLED", tags={"tinyscale.pruned": "true"})
    recorder.record(width=16, seed=1, tokens=200_000)  # again
    return recorder


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Recorder:
    """Experiment `variants`: two attentions by width and seed, and learning rates at one seed."""
    place = _with_a_store(tmp_path_factory.mktemp("variants"), empty_store)
    recorder = Recorder(place, experiment="variants")
    for seed in (1, 2, 3):
        for width in (32, 64, 128):
            recorder.record(width=width, seed=seed)
            flags = ("--model.attention.kind", "mqa")
            recorder.record(width=width, seed=seed, flags=flags, gain=0.02, name=f"mqa{width}")
    for lr in (1e-3, 1e-2):
        for width in (32, 64, 128):
            recorder.record(width=width, seed=1, lr=lr)
    return recorder


def _with_a_store(place: Path, empty: Path) -> Path:
    shutil.copy(empty, place)
    return place
