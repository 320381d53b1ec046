"""How figures say numbers."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.figures.style import _ticks, log_x, plain_x, powers, short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3, "3"),
        (0.02, "0.02"),
        (20_000, "20k"),
        (1.5e6, "1.5M"),
        (2e12, "2e12"),
        (-5e12, "-5e12"),  # a tick before an axis's start, which is asked for and not drawn
        (0.001, "1e-3"),
    ],
)
def test_numbers_are_said_in_few_signs(value: float, text: str) -> None:
    assert short(value) == text


def test_large_numbers_are_said_with_their_power() -> None:
    said = {
        0: "0",
        1e15: "1e15",
        3e15: "3e15",
        -1e12: "-1e12",
        9.9987e12: "1e13",
        1.5e12: "1.5e12",
    }
    assert {value: powers(value) for value in said} == said


def test_budgets_that_are_equal_but_for_whole_steps_have_one_tick() -> None:
    axes = Figure().subplots()
    log_x(axes, [1.5997e13, 1.6e13, 1.6003e13])
    assert len(axes.get_xticks()) == 1
    low, high = axes.get_xlim()
    assert high / low > 2


def test_an_axis_says_all_its_numbers_in_one_way() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1.9e12], [1, 2])
    plain_x(axes)
    figure.draw_without_rendering()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert "5e11" in labels and "1e12" in labels


@pytest.mark.parametrize("most", [4, 6, 7])
def test_ticks_of_a_logarithmic_axis_reach_over_most_of_it(most: int) -> None:
    for low in np.geomspace(1e4, 1e5, 7):
        for decades in np.arange(1, 5, 0.1):
            high = float(low * 10**decades)
            inside = [tick for tick in _ticks(float(low), high, most) if low <= tick <= high]
            assert 2 <= len(inside) <= most
            assert np.log10(inside[-1] / inside[0]) > 0.4 * decades, (low, high, inside)
