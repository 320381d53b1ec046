"""Curves and points of groups: which is which, and the numbers beside them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.equal import NO_COUNT
from analysis.figures import curves
from analysis.figures.curves import curves_figure, equal_figure, losses_figure
from analysis.figures.style import Saved, save
from analysis.units import choose

RUNS = pd.DataFrame(
    {
        "label": [f"group {k}" for k in range(11) for _ in (1, 2)],
        "run_id": [f"r{i}" for i in range(22)],
        "seed": [1, 2] * 11,
        "N": [1000.0 * (k + 1) for k in range(11) for _ in (1, 2)],
        "C": [1e9 * (k + 1) for k in range(11) for _ in (1, 2)],
        "loss": [3 - 0.01 * i for i in range(22)],
        "bpb": 1.0,
    }
)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    found: list[Figure] = []

    def keeping(figure: Figure, *rest: Any, **more: Any) -> Saved:
        found.append(figure)
        return save(figure, *rest, **more)

    monkeypatch.setattr(curves, "save", keeping)
    return found


def groups_of(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), own) for name, own in runs.groupby("label", sort=False)]


def test_no_two_groups_of_eleven_look_alike(tmp_path: Path, figures: list[Figure]) -> None:
    groups = groups_of(RUNS)
    equal_figure(groups, groups, groups, choose(RUNS), tmp_path)
    (figure,) = figures
    (legend,) = figure.legends  # below the panels: eleven names would lie on the points
    assert figure.axes[0].get_legend() is None
    lines = [h for h in legend.legend_handles if isinstance(h, Line2D)]
    drawn = [(h.get_color(), h.get_linestyle(), h.get_marker()) for h in lines]
    assert len(drawn) == len(set(drawn)) == 11
    assert [text.get_text() for text in legend.get_texts()] == [name for name, _ in groups]


def test_the_numbers_of_dots_and_means_are_beside_the_picture(tmp_path: Path) -> None:
    groups = groups_of(RUNS)[:2]
    one = [(name, runs[:1]) for name, runs in groups]  # the lines join a run each
    equal_figure(groups, one, groups, choose(RUNS), tmp_path)
    table = pd.read_csv(tmp_path / "equal-cost.csv")
    assert table["joined"].sum() == 2 + 4 and (table["row"] == "run").sum() == 8
    means = table[(table["row"] == "mean") & (table["axis"] == "C")]
    assert means["loss"].tolist() == pytest.approx([2.995, 2.975])

    summary = pd.DataFrame(
        {
            "group": ["group 0", "group 1"],
            "loss": [2.995, 2.975],
            "loss_low": 2.9,
            "loss_high": 3.1,
        }
    )
    runs = RUNS[:4].assign(name="x")
    losses_figure(summary, runs, choose(RUNS), tmp_path)
    table = pd.read_csv(tmp_path / "losses.csv")
    assert table["row"].tolist() == ["run"] * 4 + ["mean"] * 2
    assert table["loss_low"].dropna().tolist() == [2.9, 2.9]


def test_groups_that_are_not_drawn_are_counted(tmp_path: Path) -> None:
    names = [f"group {k}" for k in range(41)]
    summary = pd.DataFrame(
        {"group": names, "loss": 3.0, "loss_low": float("nan"), "loss_high": float("nan")}
    )
    runs = RUNS.assign(name="x")
    saved = losses_figure(summary, runs, choose(RUNS), tmp_path)
    assert saved.caption.endswith(" The best 40 of 41 groups.")


def test_nothing_is_joined_at_equal_parameters_where_no_token_count_is_common(
    tmp_path: Path, figures: list[Figure]
) -> None:
    groups = groups_of(RUNS)[:2]
    saved = equal_figure(groups, [(name, runs[:0]) for name, runs in groups], groups,
                         choose(RUNS), tmp_path)  # fmt: skip
    sizes, compute = figures[0].axes
    assert sizes.get_title(loc="left") == NO_COUNT
    assert compute.get_title(loc="left") == "at equal FLOPs"
    assert f"over size, where {NO_COUNT} and nothing is compared, and" in saved.caption
    table = pd.read_csv(tmp_path / "equal-cost.csv")
    assert not table.loc[table["axis"] == "N", "joined"].any()
    assert set(table.loc[table["row"] == "mean", "axis"]) == {"C"}


def test_what_has_no_record_is_told_apart_from_what_is_not_drawn(tmp_path: Path) -> None:
    groups = [("all", RUNS.assign(group=RUNS["run_id"]))]
    curve = pd.DataFrame(
        {"step": [1.0, 2.0], "tokens": [1.0, 2.0], "flops": [1.0, 2.0], "seconds": [1.0, 2.0]}
    )

    def caption(recorded: int) -> str:
        lines = dict.fromkeys(RUNS["run_id"], curve)
        lines |= {run: curve.assign(grad_norm=0.1) for run in RUNS["run_id"][:recorded]}
        saved = curves_figure(groups, lines, "grad_norm", "gradient norm", tmp_path, "x")
        assert saved is not None
        return saved.caption.removeprefix(
            "Gradient norm by each axis; bands are the range over seeds."
        )

    assert caption(22) == " The 16 costliest configurations; 6 are not drawn."
    assert caption(1) == " No record of it: 21 of 22 configurations."
    assert caption(18) == (
        " The 16 costliest configurations; 2 are not drawn."
        " No record of it: 4 of 22 configurations."
    )


def test_names_are_drawn_as_they_are(tmp_path: Path, figures: list[Figure]) -> None:
    names = {"group 0": "_first", "group 1": r"a$\x$b"}  # hidden, and a broken formula
    groups = groups_of(RUNS[:4].assign(label=RUNS["label"].map(names)))
    equal_figure(groups, groups, groups, choose(RUNS), tmp_path)
    legend = figures[0].axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [" _first", r"a$\x$b"]
