"""Schedules against literal lists."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from scaling.config import ScheduleConfig
from scaling.optim import decay_steps, lr_factor, notice, warmup_steps
from scaling.recipes import load_config, recipe_names

ROOT = 2**-0.5

LISTS: list[tuple[dict[str, Any], list[float]]] = [
    (
        {"kind": "cosine", "warmup": 2, "final": 0.0},
        [0.5, 1.0, (1 + ROOT) / 2, 0.5, (1 - ROOT) / 2, 0.0],
    ),
    (
        {"kind": "cosine", "warmup": 2, "final": 0.1},
        [0.5, 1.0, 0.1 + 0.9 * (1 + ROOT) / 2, 0.55, 0.1 + 0.9 * (1 - ROOT) / 2, 0.1],
    ),
    ({"kind": "linear", "warmup": 0.2}, [0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]),
    ({"kind": "linear", "warmup": 0, "final": 0.5}, [0.875, 0.75, 0.625, 0.5]),
    ({"kind": "wsd", "warmup": 2, "decay": 0.4}, [0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]),
    ({"kind": "wsd", "warmup": 0, "decay": 2, "final": 0.2}, [1, 1, 0.6, 0.2]),
    (
        {"kind": "wsd", "warmup": 1, "decay": 4, "shape": "sqrt"},
        [1, 1, 0.5, 1 - ROOT, 1 - 3**0.5 / 2, 0],
    ),
    ({"kind": "wsd", "warmup": 0, "decay": 1.0}, [0.75, 0.5, 0.25, 0]),
    ({"kind": "wsd", "warmup": 0, "decay": 1}, [1, 1, 1, 0]),
    ({"kind": "wsd", "warmup": 0, "decay": 2, "shape": "cosine"}, [1, 1, 0.5, 0]),
    ({"kind": "inverse_sqrt", "warmup": 4}, [0.25, 0.5, 0.75, 1, (4 / 5) ** 0.5, (4 / 6) ** 0.5]),
    ({"kind": "inverse_sqrt", "warmup": 0}, [1, 0.5**0.5, (1 / 3) ** 0.5, 0.5]),
    ({"kind": "constant", "warmup": 2}, [0.5, 1, 1, 1]),
]


@pytest.mark.parametrize(("fields", "expected"), LISTS, ids=[str(f) for f, _ in LISTS])
def test_a_schedule_is_this_list(fields: dict[str, Any], expected: list[float]) -> None:
    schedule = TypeAdapter[ScheduleConfig](ScheduleConfig).validate_python(fields)
    total = len(expected)
    found = [lr_factor(schedule, step, total) for step in range(total)]
    assert found == pytest.approx(expected)


def test_lengths_are_shares_or_steps() -> None:
    assert [warmup_steps(x, 200) for x in (0, 0.05, 1, 1.0, 50)] == [0, 10, 1, 200, 50]
    assert [decay_steps(x, 200) for x in (0.001, 0.2, 1, 1.0, 50, 500)] == [1, 40, 1, 200, 50, 200]


TOO_LONG: list[tuple[dict[str, Any], int, str | None]] = [
    (
        {"kind": "cosine", "warmup": 200},
        100,
        "schedule.warmup 200 lasts 200 steps and the run 100: the",
    ),
    ({"kind": "cosine", "warmup": 100}, 100, "the rate only rises"),
    ({"kind": "cosine", "warmup": 99}, 100, None),
    (
        {"kind": "wsd", "warmup": 60, "decay": 60},
        100,
        "reaches into the decay, and the rate jumps",
    ),
    ({"kind": "wsd", "warmup": 60, "decay": 0.4}, 100, None),
    ({"kind": "constant"}, 1, None),
]


@pytest.mark.parametrize(("fields", "total", "said"), TOO_LONG)
def test_a_schedule_that_is_too_long_for_its_run_is_told(
    fields: dict[str, Any], total: int, said: str | None
) -> None:
    schedule = TypeAdapter[ScheduleConfig](ScheduleConfig).validate_python(fields)
    found = notice(schedule, total)
    assert found is None if said is None else said in (found or "")


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipes_schedule_fits_its_budget(name: str) -> None:
    config = load_config(name)
    steps = config.budget.steps or (config.budget.tokens or 0) // config.tokens_per_step
    if steps:
        assert notice(config.schedule, steps) is None
    else:  # how long it is, the corpus says
        assert config.schedule.warmup < 1
