"""Times of shapes: kept by shape and machine, but not what a busy machine says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.config import RunConfig
from sweeps.calibration import Calibration, training_seconds
from sweeps.job import Costs

COSTS = Costs(setup=0.1, step=0.01, eval_token=1e-6, save=0.05)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda value: monkeypatch.setattr("os.getloadavg", lambda: (value, 0.0, 0.0))


def test_a_shape_is_known_whatever_its_length_and_rate(
    workplace: Path, tiny: Callable[..., RunConfig], load: Callable[[float], None]
) -> None:
    load(0.0)
    Calibration(workplace, "here").note(tiny(), 2, 1, COSTS)
    again = Calibration(workplace, "here")
    assert again.costs(tiny("--budget.steps", "7", "--optimizer.lr", "1"), 2, 1) == COSTS
    assert again.costs(tiny("--model.n_layers", "2"), 2, 1) is None
    assert again.costs(tiny(), 1, 1) is None
    assert Calibration(workplace, "there").costs(tiny(), 2, 1) is None


def test_what_a_busy_machine_says_holds_for_now_only(
    workplace: Path, tiny: Callable[..., RunConfig], load: Callable[[float], None]
) -> None:
    load(1000.0)
    busy = Calibration(workplace, "here")
    busy.note(tiny(), 1, 1, COSTS)
    assert busy.costs(tiny(), 1, 1) == COSTS
    assert Calibration(workplace, "here").costs(tiny(), 1, 1) is None


def test_a_run_is_its_steps_evaluations_and_saves(tiny: Callable[..., RunConfig]) -> None:
    config = tiny("--evaluation.every", "10", "--checkpoint.save_every", "15")
    # Evaluations at 0, 10, 20, 30; saves there and at 15.
    expected = 30 * 0.01 + 4 * 1000 * 1e-6 + 5 * 0.05
    assert training_seconds(config, 30, COSTS, eval_tokens=1000) == pytest.approx(expected)
