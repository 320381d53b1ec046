"""The joint law drawn over its runs: every dot beside a line that is its own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.design import design_of
from analysis.figures.joint import slices_figure
from analysis.fits import FitOptions
from analysis.laws import questions
from analysis.units import Unit
from tests.analysis.recorded import LAW

UNIT = Unit("nats", "nats per token", "validation loss (nats per token)", "", "val/loss")


def drawn(n: np.ndarray, d: np.ndarray, folder: Path) -> tuple[str, pd.DataFrame]:
    """The caption, and the figure's table, of runs of the known law at these places."""
    loss = LAW["E"] + LAW["A"] * n ** -LAW["alpha"] + LAW["B"] * d ** -LAW["beta"]
    runs = pd.DataFrame({"N": n, "D": d, "C": 6 * n * d, "loss": loss})
    names = [f"r{k}" for k in range(len(runs))]
    runs = runs.assign(run_id=names, name=names, group=names, seed=1, trajectory=None)
    options = FitOptions(starts=20, bootstrap=0, holdout=0)
    asked = questions("", runs, design_of(runs), options, lambda _: None)
    joint = next(one for one in asked if one.key == "joint-n")
    saved = slices_figure(joint, joint.laws[0], UNIT, LAW["E"], folder)
    return saved.caption, pd.read_csv(folder / f"{saved.name}.csv")


@pytest.mark.slow
def test_runs_of_many_token_counts_are_drawn_with_the_law_of_their_own(tmp_path: Path) -> None:
    c, k = (a.ravel() for a in np.meshgrid([1e13, 4e13, 16e13], np.arange(-2, 3)))
    n = np.sqrt(c / 6 / 20) * 1.5**k
    caption, table = drawn(n, c / n / 6, tmp_path)
    assert caption.endswith("a colour and a line a compute budget.")
    lines, runs = (table[table["row"] == row] for row in ("law", "run"))
    assert len(runs) == 15 and len(lines) == 3 * 80
    for n_of, d_of, loss in runs[["N", "D", "loss"]].to_numpy(dtype=float):
        apart = (lines["N"] / n_of - 1).abs() + (lines["D"] / d_of - 1).abs()
        fitted = lines["fitted"].to_numpy(dtype=float)[int(np.argmin(apart))]
        assert apart.min() < 0.05 and abs(fitted / loss - 1) < 0.01

    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(np.log(1e5), np.log(1e7), (2, 20)))
    caption, table = drawn(n, d, tmp_path)
    assert caption.startswith("Losses against those that the joint law")
    assert list(table["row"]) == ["run"] * 20

    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e5, 1e7, 4), [1e6, 4e6, 16e6]))
    caption, table = drawn(n, d * (1 + 0.002 * (n > 1e6)), tmp_path)
    assert caption.endswith("a line a token count.")
    assert table.loc[table["row"] == "law", "D"].nunique() == 3
