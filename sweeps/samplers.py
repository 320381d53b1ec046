"""Optuna's samplers and pruners by name, with their options checked."""

import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from scaling.errors import UserError, first_line
from scaling.schema import explain, nearest
from sweeps.space import Space
from sweeps.spec import Pruner, Sampler, Search

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
PERCENTS = ("n_warmup_steps", "interval_steps", "min_resource", "max_resource")
# How many trials a sampler draws by chance before it learns: an option, and its default.
STARTS = {
    "tpe": ("n_startup_trials", 10),
    "gp": ("n_startup_trials", 10),
    "nsgaii": ("population_size", 50),
    "nsgaiii": ("population_size", 50),
}
MANY_OBJECTIVES = ("tpe", "gp", "qmc", "nsgaii", "nsgaiii", "random")
PACKAGES = {"cmaes": "cmaes"}  # what a sampler needs besides Optuna
OBJECTS = re.compile(r"Callable|Trial|Base[A-Z]")  # in types of options that a file cannot give
REHEARSED = 300  # trials at most: samplers start by chance, and fail once they begin to learn


def rehearse(search: Search, space: Space) -> None:
    """Raise one sentence for a sampler or a pruner that does not work, with the options it has.

    Optuna looks at most options not before it needs them, after the first trials: those given are
    tried on trials that nobody trains.
    """
    import optuna

    sampler = make_sampler(search.sampler, search.seed, len(search.objectives))
    pruner = make_pruner(search.pruner)
    options = [*search.sampler.options.values(), *search.pruner.options.values()]
    if not options:
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=[objective.direction for objective in search.objectives],
        sampler=sampler if search.sampler.options else optuna.samplers.RandomSampler(seed=0),
        pruner=pruner,
    )
    starts = [value for value in options if isinstance(value, int)]
    for number in range(min(max([10, *starts]), REHEARSED) + 1):
        figure = float(number % 7)
        with _working("sampler", search.sampler):
            trial = study.ask(space.distributions())
        with _working("pruner", search.pruner):
            for percent in (10, 30, 50, 70, 90):
                if len(search.objectives) == 1:
                    trial.report(figure, percent)
                    trial.should_prune()
        with _working("sampler", search.sampler):
            study.tell(trial, [figure] * len(search.objectives))


def by_chance(search: Search) -> int:
    """How many points a search's sampler draws by chance before it has learned anything."""
    option, default = STARTS.get(search.sampler.kind, ("", 0))
    return int(search.sampler.options.get(option, default))


@contextmanager
def _working(part: str, of: Sampler | Pruner) -> Iterator[None]:
    """One sentence for whatever Optuna's code raises about options."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of trials that nobody trains
            yield
    except Exception as error:
        line = first_line(error).rstrip(".")
        told = ", ".join(f"{name} {value}" for name, value in of.options.items())
        raise UserError(f"search.{part} {of.kind} cannot work with {told}: {line}.") from None


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
    if "wrapped" in given and pruner.kind != "patient":
        raise UserError(f"search.pruner {pruner.kind} wraps no other; patient does.")
    options = PRUNER_DEFAULTS[pruner.kind] | _checked("search.pruner", pruner.kind, made, given)
    for name in PERCENTS:
        if isinstance(value := given.get(name), int | float) and value > 100:
            raise UserError(
                f"search.pruner.options.{name} is {value}, but a pruner's steps are percents of"
                " the budget, to 100."
            )
    if pruner.kind == "patient":
        inner = options.pop("wrapped", None)
        options["wrapped_pruner"] = make_pruner(_wrapped(inner)) if inner else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some are marked as experimental
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
        if name not in ("self", "seed")
        and parameter.kind is not parameter.VAR_KEYWORD
        and not OBJECTS.search(str(parameter.annotation))
    ]
    if kind == "patient":
        known.append("wrapped")
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
