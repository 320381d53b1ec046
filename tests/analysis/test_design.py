"""What varies among runs: token counts that are one, points, and the rates tried at each."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.design import JOINT, amount, design_of, frontier, rounded, series, settings, slices
from analysis.evidence import equal_budgets
from analysis.figures import law
from analysis.figures.isoflop import basins_figure
from analysis.fits import FitOptions
from analysis.laws import questions
from analysis.rates import basins, tried, tuned
from analysis.runs import Selection, read_runs
from analysis.units import choose
from tests.analysis.recorded import Recorder


def test_counts_within_a_percent_are_one_and_others_are_not() -> None:
    counts = pd.Series([1_000_448, 999_424, 4_000_000, 1_009_000, 1_011_000])
    assert list(rounded(counts)) == [999_424, 999_424, 4_000_000, 999_424, 1_011_000]
    every = pd.Series(np.geomspace(1e6, 1e7, 400))
    least = rounded(every)
    assert ((every >= least) & (every <= 1.01 * least)).all()
    assert list(rounded(least)) == list(least)


def grid() -> pd.DataFrame:
    """Three sizes at three token counts, as near to them as whole steps of each size come."""
    rows = [
        {"N": n, "width": n, "D": d * off, "C": 6 * n * d * off, "loss": 2 + 1 / n + 1 / d}
        for n, off in ((1e5, 0.9995), (2e5, 1.0005), (4e5, 1.0))
        for d in (1e6, 4e6, 16e6)
    ]
    return pd.DataFrame(rows)


def test_a_grid_is_one_though_whole_steps_differ() -> None:
    runs = grid()
    design = design_of(runs)
    assert design.kind == "grid"
    assert [len(part) for _, part in slices(runs, ["N"])] == [3, 3, 3]
    assert [len(part) for _, part in slices(runs, ["D"])] == [3, 3, 3]
    rates = pd.concat([runs.assign(lr=lr, loss=runs["loss"] + lr) for lr in (0.1, 0.2)])
    rates = rates.assign(**{"optimizer.lr": rates["lr"]}).reset_index(drop=True)
    rates["D"] *= 1 + 0.001 * rates["lr"]
    assert set(tuned(rates, design_of(rates))["lr"]) == {0.1}
    assert [list(own["lr"]) for _, own in basins(rates)] == [[0.1, 0.2]] * 9


def test_each_rate_counts_at_the_best_of_other_nuisances() -> None:
    rows = [
        {"N": 1, "lr": lr, "optimizer.lr": lr, "optimizer.beta": beta, "loss": loss}
        for lr, beta, loss in ((1, 0.1, 4.0), (1, 0.2, 3.0), (2, 0.1, 3.5), (2, 0.1, 3.7))
    ]
    ((_, rates),) = basins(pd.DataFrame(rows))
    assert list(rates["mean"]) == [3.0, 3.6] and list(rates["count"]) == [1, 2]
    assert list(rates["best"]) == [False, True]  # two seeds are more than one


@pytest.fixture
def diverging(workplace: Path) -> pd.DataFrame:
    """Four widths at three rates, of which the highest diverged; and other runs that did."""
    recorder = Recorder(workplace)
    for width in (16, 32, 64, 128):
        for lr in (1e-3, 3e-3):
            recorder.record(width=width, lr=lr)
        recorder.record(width=width, lr=1e-2, diverged=True)
    recorder.record(width=32, lr=3e-4, diverged=True, flags=("--optimizer.weight_decay", "5"))
    recorder.record(width=32, lr=3e-4, diverged=True, flags=("--optimizer.kind", "lion"))
    table = read_runs(Selection(store=recorder.uri, experiment=recorder.experiment))
    # They stopped in the middle of their budgets.
    apart = table.apart.assign(D=table.apart["D"] / 2)
    return pd.concat([table.runs.assign(why=""), apart], ignore_index=True)


@pytest.mark.filterwarnings("error::FutureWarning", "error::pandas.errors.Pandas4Warning")
def test_a_rate_that_diverged_is_one_that_was_tried(
    diverging: pd.DataFrame, workplace: Path
) -> None:
    finished = diverging["why"] == ""
    runs, apart = diverging[finished].drop(columns="why"), diverging[~finished]
    beside = tried(runs, apart)
    assert len(apart) == 6 and len(beside) == len(runs) + 4  # other settings say nothing here
    assert [list(rates["mean"])[-1] for _, rates in basins(beside)] == [np.inf] * 4
    options = FitOptions(starts=20, bootstrap=0)
    for others, verdict in ((apart, "pass"), (apart[:0], "fail")):
        asked = questions("", runs, design_of(runs), options, lambda _: None, others)
        law = next(one for one in asked if one.axis == "N").laws[0]
        (card,) = (one for one in law.findings if one.rule == "learning_rate")
        assert card.verdict == verdict, card
        assert all(np.isfinite(one.around["loss"]).all() for one in asked)


def test_a_basin_is_of_one_size_and_budget(workplace: Path) -> None:
    recorder = Recorder(workplace)
    for size, best in ((4, 1e-3), (16, 1e-2)):
        for lr in (1e-3, 3e-3, 1e-2):
            loss = 3 + 0.1 * abs(np.log(lr / best))
            recorder.record(lr=lr, loss=loss, flags=("--batch.size", str(size)))
    runs = read_runs(Selection(store=recorder.uri, experiment=recorder.experiment)).runs
    saved = basins_figure(runs, choose(runs), workplace, "basins")
    drawn = pd.read_csv(workplace / "basins.csv")
    assert len(drawn) == 6
    assert dict(drawn.loc[drawn["best"], ["batch_size", "lr"]].to_numpy()) == {4: 1e-3, 16: 1e-2}
    assert "by batch size, at 41k parameters, 200k tokens" in saved.caption


def test_the_frontier_has_one_place_for_a_budget_though_whole_steps_differ() -> None:
    costs, losses = [0.997, 0.998, 1.0, 2.99, 3.01], [3.3, 2.9, 3.0, 2.0, 2.1]
    runs = pd.DataFrame({"group": list("abcde"), "C": costs, "loss": losses})
    assert list(frontier(runs)["group"]) == ["b", "d"]


def test_series_of_other_token_counts_have_equal_tokens_each() -> None:
    runs = pd.DataFrame(
        {"N": [1e5, 2e5] * 2, "width": [32, 64] * 2, "data.tokenizer.kind": list("aabb")}
    ).assign(D=[1e6, 1e6, 2e6, 2e6])
    design = design_of(runs)
    assert design.describe() == (
        "width, tokens; a series for each data.tokenizer.kind; equal tokens within each series"
    )
    assert design_of(runs.assign(D=1e6)).describe().endswith("kind; equal tokens")
    more = pd.concat([runs, runs[:1].assign(N=4e5, width=128)])  # the largest series
    assert design_of(more).kind == "equal tokens"
    assert design_of(more.assign(D=[1e6, 1e6, 2e6, 3e6, 1e6])).kind is None


def test_what_each_kind_derives_from_the_width_makes_no_series_of_its_own() -> None:
    widths = [32, 64, 128]
    runs = pd.DataFrame(
        {
            "width": widths * 2,
            "N": [2e5, 5e5, 1.3e6] * 2,
            "D": 2e6,
            "loss": [2.1, 1.7, 1.5] * 2,
            "model.parametrization.kind": ["standard"] * 3 + ["mup"] * 3,
            # By its width in one, as at the base width in the other.
            "model.init_std": [0.112, 0.079, 0.056, 0.112, 0.112, 0.112],
        }
    )
    assert design_of(runs).variants == ("model.parametrization.kind",)
    assert [len(part) for _, part in series(runs, design_of(runs))] == [3, 3]
    free = runs.assign(**{"model.init_std": [0.112, 0.112, 0.056, 0.112, 0.02, 0.112]})
    both = pd.concat([runs, free], ignore_index=True)
    assert design_of(both).variants == ("model.parametrization.kind", "model.init_std")


def test_a_joint_law_is_of_runs_that_are_equal_in_everything_else() -> None:
    runs = pd.concat(
        [
            grid().assign(context_length=64, batch_size=8),
            grid()[lambda f: f["N"] < 4e5].assign(context_length=32, batch_size=8),
        ],
        ignore_index=True,
    )
    assert settings(runs, JOINT) == ["context_length"]
    mixed = equal_budgets(runs, "grid")
    assert mixed.verdict == "fail" and mixed.sentence.endswith(
        "; beside them context length differs"
    )
    held, widest = slices(runs, JOINT)[0]
    assert held == {"context_length": 64} and len(widest) == 9
    assert equal_budgets(widest, "grid").sentence.endswith("; beside them nothing differs")
    options = FitOptions(starts=20, bootstrap=0, holdout=0)
    named = runs.assign(run_id=range(len(runs)), trajectory=None, group=range(len(runs)))
    asked = questions("", named, design_of(named), options, lambda _: None)
    (joint,) = (one for one in asked if one.key == "joint-n")
    assert joint.title == "Loss against parameters and tokens at context length 64"
    assert len(joint.points) == 9 and joint.note.startswith("one slice of 2")


def test_other_slices_are_drawn_at_their_best_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = pd.concat([grid(), grid().assign(N=grid()["N"] * 16)])
    runs = pd.concat([wide.assign(lr=lr, loss=wide["loss"] + lr) for lr in (0.1, 0.2)])
    runs = pd.concat([runs.assign(batch_size=8), runs[runs["N"] < 1e6].assign(batch_size=4)])
    runs = runs.assign(**{"optimizer.lr": runs["lr"]}).reset_index(drop=True)
    runs = runs.assign(run_id=range(len(runs)), trajectory=None, group=range(len(runs)))
    runs = runs.assign(width=runs["N"], name="a", seed=1)
    options = FitOptions(starts=20, bootstrap=0, holdout=0)
    asked = questions("", runs, design_of(runs), options, lambda _: None)
    drawn: list[Figure] = []
    monkeypatch.setattr(law, "save", lambda figure, *_: drawn.append(figure))
    for axis in ("N", "C"):
        (question,) = (one for one in asked if one.axis == axis)
        assert question.held["batch_size"] == 8
        law.law_figure(question, choose(runs), None, options, tmp_path)
        lines = [one for one in drawn[-1].axes[0].get_lines() if one.get_marker() == "."]
        if axis == "N":  # each count of tokens at each batch size, but for the fitted runs' own
            assert len(lines) == 5
        best = runs[runs["lr"] == 0.1]
        heights = {round(float(y), 9) for one in lines for y in np.asarray(one.get_ydata())}
        assert heights <= {*best["loss"].astype(float).round(9)}


def test_a_law_of_compute_is_of_runs_that_are_equal_in_everything_else() -> None:
    rows = [
        {"N": n, "width": n, "D": d, "C": 6 * n * d, "batch_size": b, "loss": 2 + 1 / n + b / d}
        for n in (1e2, 2e2, 4e2, 8e2)
        for d in (1e3, 4e3, 16e3)
        for b in (8, 64)
    ]
    runs = pd.DataFrame(rows[:-1]).assign(run_id=range(23), trajectory=None, group=range(23))
    assert equal_budgets(runs.assign(D=1e3)).verdict == "fail"
    assert equal_budgets(runs.assign(D=1e3), None, "batch_size").verdict == "pass"
    options = FitOptions(starts=20, bootstrap=0, holdout=0)
    asked = questions("", runs, design_of(runs), options, lambda _: None)
    (compute,) = (one for one in asked if one.axis == "C")
    assert compute.title == "Loss against training FLOPs at batch size 8"
    assert set(compute.runs["batch_size"]) == {8}
    assert compute.note.startswith("one slice of 2, ")
    (card,) = (one for one in compute.laws[0].findings if one.rule == "equal_budgets")
    assert card.verdict == "pass" and card.sentence.endswith("; beside them nothing differs")


def test_a_batch_that_grows_with_the_budget_goes_along_with_it() -> None:
    rows = [(n, c / n / 6, c, b) for c, b in ((1e6, 4), (4e6, 8), (16e6, 16)) for n in (1, 2, 4)]
    runs = pd.DataFrame(rows, columns=["N", "D", "C", "batch_size"])
    assert settings(runs, JOINT) == []
    assert equal_budgets(runs, "isoflop").verdict == "pass"


def isoflop() -> pd.DataFrame:
    """Five sizes at each of four budgets, and one small run that belongs to none."""
    rows = [(n, c / n / 6, c) for c in (1e11, 4e11, 16e11, 64e11) for n in np.geomspace(1, 9, 5)]
    return pd.DataFrame([*rows, (1, 1e8, 6e8)], columns=["N", "D", "C"])


def test_a_run_outside_the_budgets_leaves_an_isoflop_design_what_it_is() -> None:
    runs = isoflop()
    assert design_of(runs).kind == "isoflop"
    found = equal_budgets(runs, "isoflop")
    assert found.verdict == "pass"
    assert "4 budgets, at least 5 sizes in each, 1 run outside the budgets;" in found.sentence
    many = pd.concat([runs, *(runs[-1:] * k for k in (1.5, 3, 6))], ignore_index=True)
    assert design_of(many).kind is None
    assert equal_budgets(many, "isoflop").verdict == "fail"


def test_a_setting_that_is_tried_at_zero_is_tuned_as_any() -> None:
    runs = pd.DataFrame(
        [
            {"width": width, "N": width, "optimizer.weight_decay": decay, "loss": 3 + decay}
            for width in (16, 32, 64)
            for decay in (0.0, 0.03, 0.1)
        ]
    )
    design = design_of(runs)
    assert (design.nuisances, design.variants) == (("optimizer.weight_decay",), ())
    assert list(tuned(runs, design)["optimizer.weight_decay"]) == [0.0] * 3


def test_amounts_are_rounded_before_their_unit_is_chosen() -> None:
    said = [amount("D", value) for value in (999_936, 999.6e6, 1.6e6, 950, 2e3)]
    assert said == ["1M tokens", "1G tokens", "1.6M tokens", "tokens 950", "2k tokens"]
