"""Schedules against literal lists."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from scaling.config import ScheduleConfig
from scaling.optim import decay_steps, lr_factor, warmup_steps

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
    assert [warmup_steps(x, 200) for x in (0, 0.05, 1, 50)] == [0, 10, 1, 50]
    assert [decay_steps(x, 200) for x in (0.001, 0.2, 1, 50, 500)] == [1, 40, 1, 50, 200]
