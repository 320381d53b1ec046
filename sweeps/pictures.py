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

FEWEST = 10  # trials of which importances say anything
BEST = 5  # of them are held against all, at least: PED-ANOVA's authors ask for so many


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
    several = len(trials.search.objectives) > 1
    for i, objective in enumerate(trials.search.objectives):
        suffix = f"-{objective.metric.replace('/', '_')}" if several else ""
        _draw(finite, folder, suffix, _value(i) if several else None, objective.metric)
        if len(whole) >= FEWEST:
            # Optuna takes a target for the better the smaller, whatever the study's direction.
            small = _value(i, -1.0 if objective.direction == "maximize" else 1.0)
            _draw_importances(finite, folder, suffix, small, objective.metric)
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


def _draw_importances(
    study: "Study", folder: Path, suffix: str, small: "Callable[[FrozenTrial], float]", name: str
) -> None:
    """The share of each parameter in what tells the best trials from the others, if any does."""
    from optuna.importance import PedAnovaImportanceEvaluator

    best = max(0.1, BEST / len(study.trials))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=best)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of which way a target is good
        found = evaluator.evaluate(study, target=small)
    total = sum(found.values())
    if not total:  # of what is alike in all trials Optuna would give each parameter as much
        return
    shares = {name: share / total for name, share in found.items()}
    write_whole(folder / f"importances{suffix}.json", json.dumps(shares, indent=1))
    told = {"evaluator": evaluator, "target": small, "target_name": name}
    _save("plot_param_importances", folder / f"importances{suffix}.png", study, **told)


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


def _value(index: int, sign: float = 1.0) -> "Callable[[FrozenTrial], float]":
    return lambda trial: sign * float(trial.values[index])
