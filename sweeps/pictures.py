"""What Optuna shows of a search: history, importances, slices, parallel coordinates, trials."""

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.tracking.folder import write_whole

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from sweeps.trials import Trials


def write_search(trials: "Trials", folder: Path) -> None:
    """The study as `trials.csv`, `importances.json` and PNGs, as far as its trials allow."""
    from optuna.trial import TrialState

    study = trials.study
    folder.mkdir(parents=True, exist_ok=True)
    frame = study.trials_dataframe()
    write_whole(folder / "trials.csv", frame.to_csv(index=False))
    whole = [
        trial
        for trial in study.get_trials(states=[TrialState.COMPLETE])
        if all(math.isfinite(value) for value in trial.values)
    ]
    if len(whole) < 2:
        return
    finite = _finite(study, whole)  # diverged trials would stretch every axis to infinity
    for i, objective in enumerate(trials.search.objectives):
        several = len(trials.search.objectives) > 1
        name = objective.metric.replace("/", "_")
        target = _value(i) if several else None
        _draw(finite, folder, f"-{name}" if several else "", target, objective.metric)
    if len(trials.search.objectives) in (2, 3):
        names = [objective.metric for objective in trials.search.objectives]
        _save("plot_pareto_front", folder / "pareto.png", finite, target_names=names)


def _draw(
    study: "Study",
    folder: Path,
    suffix: str,
    target: "Callable[[FrozenTrial], float] | None",
    name: str,
) -> None:
    told = {"target": target, "target_name": name}
    _save("plot_optimization_history", folder / f"history{suffix}.png", study, **told)
    _save("plot_slice", folder / f"slice{suffix}.png", study, **told)
    if len(study.trials[0].params) > 1:
        _save("plot_parallel_coordinate", folder / f"parallel{suffix}.png", study, **told)
    shares = _importances(study, target)
    if shares is not None:
        write_whole(folder / f"importances{suffix}.json", json.dumps(shares, indent=1))
        _save("plot_param_importances", folder / f"importances{suffix}.png", study, **told)


def _importances(
    study: "Study", target: "Callable[[FrozenTrial], float] | None"
) -> dict[str, float] | None:
    """The share of each parameter in the objective's variation; None where too little is known."""
    from optuna.importance import get_param_importances

    try:
        return get_param_importances(study, target=target)
    except (ValueError, RuntimeError):  # constant parameters, too few trials
        return None


def _save(plot: str, path: Path, study: "Study", **told: Any) -> None:
    import matplotlib

    matplotlib.use("Agg")  # there may be no screen
    import optuna.visualization.matplotlib as plots
    from matplotlib import pyplot

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the plots are marked as experimental
        drawn = getattr(plots, plot)(study, **told)
    figure = drawn.figure if hasattr(drawn, "figure") else drawn.flat[0].figure
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)


def _finite(study: "Study", trials: "list[FrozenTrial]") -> "Study":
    import optuna

    copy = optuna.create_study(directions=study.directions)
    copy.add_trials(trials)
    return copy


def _value(index: int) -> "Callable[[FrozenTrial], float]":
    return lambda trial: float(trial.values[index])
