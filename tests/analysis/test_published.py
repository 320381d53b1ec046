"""Fits of published data against the published answers (../shared/data/scaling, SOURCE.md)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.fits import Chinchilla, FitOptions, OpenLM, fit, points

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "scaling"
QUICK = FitOptions(starts=500, bootstrap=0, holdout=0)
GEMSTONES = [
    "cool_begin",
    "cool_end",
    "hot",
    "hot_100b+",
    "hot_120b+_only",
    "hot_sampled_like_chinchilla",
    "lr_ablation_hot",
    "slim_chinchilla",
]

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the published data are not here")


def gemstones(subset: str, delta: float, starts: int) -> tuple[float, float, float]:
    """Objective over the published one less 1, and the differences of alpha and beta."""
    table = pd.read_csv(DATA / "gemstones" / "gemstones_fit_points.csv")
    table = table[table["subset"] == subset]
    published = pd.read_csv(DATA / "gemstones" / "published_approach3.csv")
    answer = published[(published["delta"] == delta) & (published["subset"] == subset)].iloc[0]
    data = points(table["final_loss"], N=table["params_active_precise"], D=table["tokens"])
    options = FitOptions(delta=delta, starts=starts, bootstrap=0, holdout=0)
    found = fit(Chinchilla(), data, options)
    params = found.values()
    assert found.objective is not None
    return (
        found.objective / answer["obj"] - 1,
        params["alpha"] - answer["alpha"],
        params["beta"] - answer["beta"],
    )


@pytest.mark.slow
@pytest.mark.parametrize("subset", GEMSTONES)
def test_gemstones_are_met(subset: str) -> None:
    ratio, alpha, beta = gemstones(subset, 1e-3, starts=300)  # 4,500 come to the same
    assert ratio <= 1e-6
    assert abs(alpha) <= 0.002
    assert abs(beta) <= 0.002


@pytest.mark.slow
@pytest.mark.parametrize("subset", GEMSTONES)
def test_gemstones_are_met_with_the_smaller_delta(subset: str) -> None:
    """Most published fits stopped short there (b still at its start's 15): ours lie lower.

    The exponents differ with the objective, so only the objective is held to.
    """
    assert gemstones(subset, 1e-4, starts=1500)[0] <= 1e-6


def test_openlm_predicts_its_large_runs() -> None:
    table = pd.read_csv(DATA / "openlm" / "openlm_104_runs.csv")
    table = table[table["train_set"] == "rpj"].set_index("name")
    small = table["N"] < 1e9
    # The paper's five: each size at 20 tokens a parameter, and the smallest at 320.
    five = table[small & (table["chinchilla_mult"] == 1)]
    five = pd.concat([table.loc[["rpj-d=96_l=8_h=4-16.0"]], five])
    data = points(five["loss_c4_val"], N=five["N"], D=five["D"])
    found = fit(OpenLM(), data, QUICK)
    assert found.approach == "least_squares"
    params = {name: np.asarray(value) for name, value in found.values().items()}
    for run, error in {"rpj-open_lm_1b-32.0": 0.7103, "rpj-open_lm_7b-1.0": 0.7320}.items():
        large = table.loc[run]
        axes = {"N": np.asarray(large["N"]), "D": np.asarray(large["D"])}
        predicted = OpenLM().predict(params, axes)
        assert round(100 * abs(float(predicted / large["loss_c4_val"]) - 1), 4) == error
