"""Optuna's samplers and pruners by name, with their options checked."""

import inspect
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from scaling.errors import UserError
from scaling.schema import explain, nearest
from sweeps.spec import Pruner, Sampler

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

SAMPLERS = {
    "tpe": "TPESampler",
    "gp": "GPSampler",
    "qmc": "QMCSampler",
    "cmaes": "CmaEsSampler",
    "nsgaii": "NSGAIISampler",
    "nsgaiii": "NSGAIIISampler",
    "random": "RandomSampler",
}
PRUNERS = {
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "hyperband": "HyperbandPruner",
    "successive_halving": "SuccessiveHalvingPruner",
    "patient": "PatientPruner",
}
# What pruners are told as steps are percents of the budget.
PRUNER_DEFAULTS: dict[str, dict[str, Any]] = {
    "median": {},
    "percentile": {"percentile": 50.0},
    "hyperband": {"min_resource": 10, "max_resource": 100},
    "successive_halving": {"min_resource": 10},
    "patient": {"patience": 2},
}
MANY_OBJECTIVES = ("tpe", "gp", "qmc", "nsgaii", "nsgaiii", "random")
PACKAGES = {"cmaes": "cmaes"}  # what a sampler needs besides Optuna


def make_sampler(sampler: Sampler, seed: int, objectives: int) -> "BaseSampler":
    """The sampler, or one sentence on what it lacks."""
    from optuna import samplers

    if objectives > 1 and sampler.kind not in MANY_OBJECTIVES:
        raise UserError(f"search.sampler {sampler.kind} knows one objective, not {objectives}.")
    made = getattr(samplers, SAMPLERS[sampler.kind])
    options = _checked("search.sampler", sampler.kind, made, sampler.options)
    if package := PACKAGES.get(sampler.kind):
        _require(package, f"search.sampler {sampler.kind}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some are marked as experimental
            return made(seed=seed, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"search.sampler {sampler.kind}: {error}.") from None
    except ImportError as error:
        raise UserError(f"search.sampler {sampler.kind} lacks a package: {error}.") from None


def make_pruner(pruner: Pruner) -> "BasePruner":
    """The pruner; one that never prunes for `none`."""
    from optuna import pruners

    if pruner.kind == "none":
        if pruner.options:
            raise UserError("search.pruner none has no options.")
        return pruners.NopPruner()
    made = getattr(pruners, PRUNERS[pruner.kind])
    given = dict(pruner.options)
    inner = given.pop("wrapped", None)
    options = PRUNER_DEFAULTS[pruner.kind] | _checked("search.pruner", pruner.kind, made, given)
    if pruner.kind == "patient":
        options["wrapped_pruner"] = make_pruner(_wrapped(inner)) if inner else None
    elif inner is not None:
        raise UserError(f"search.pruner {pruner.kind} wraps no other; patient does.")
    try:
        return made(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"search.pruner {pruner.kind}: {error}.") from None


def _wrapped(tree: Any) -> Pruner:
    """The pruner that a patient one asks, as a name or as a mapping."""
    try:
        return Pruner.model_validate({"kind": tree} if isinstance(tree, str) else tree)
    except ValidationError as error:
        raise UserError(explain(error, Pruner, {(): "search.pruner.options.wrapped"})) from None


def _checked(place: str, kind: str, made: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    known = [
        name
        for name, parameter in inspect.signature(made.__init__).parameters.items()
        if name not in ("self", "seed") and parameter.kind is not parameter.VAR_KEYWORD
    ]
    for name in options:
        if name not in known:
            close = nearest(name, known)
            hint = f"did you mean {close}?" if close else f"it has {', '.join(known)}."
            raise UserError(f"{place} {kind} has no option {name}; {hint}")
    return dict(options)


def _require(package: str, who: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise UserError(f"{who} needs the package {package}: pip install {package}.")
