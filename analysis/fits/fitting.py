"""Fits a law to points: status, parameters, intervals, quality, and the held-out test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from analysis.fits.bootstrap import correlations, interval, resample, too_few
from analysis.fits.chinchilla import OpenLM
from analysis.fits.estimator import Best, Estimator, Resamples
from analysis.fits.form import Form
from analysis.fits.holdout import hold_out
from analysis.fits.points import Points
from analysis.fits.prepare import (
    FitOptions,
    estimator_of,
    interval_ends,
    is_squares,
    predict,
    refusal,
    settings_of,
)
from analysis.fits.quality import quality
from analysis.fits.result import Derived, Fit, FitStatus, refused

_FEW_STARTS = 64  # for a law with a term less, whose minimum is easy to find
_PERFECT = 1e-18  # objective a point that is a perfect fit, in either unit
_EASY = 0.05  # fewer starts than this at the best is worth a note


def fit(
    form: Form, data: Points, options: FitOptions | None = None, approach: str | None = None
) -> Fit:
    """Fits a law by one approach.

    Args:
        form: the law.
        data: the points; they must have the law's axes.
        options: see `FitOptions`; its defaults where None.
        approach: huber, least_squares or variable_projection (Chinchilla's law only); where
            None, least_squares for openlm, as published, and huber for the others.

    Returns:
        A fit whose parameters are numbers only where its status is converged.

    Raises:
        ValueError: an axis of the law is not among the points, or the approach does not apply.
    """
    options = options or FitOptions()
    approach = approach or ("least_squares" if isinstance(form, OpenLM) else "huber")
    missing = [role for role in form.axes if role not in data.axes]
    if missing:
        raise ValueError(f"{form.name} needs {', '.join(missing)}, which the points do not have")
    settings = settings_of(form, data, options, approach)
    status, reason = refusal(form, data)
    if status is not None:
        return refused(form.name, approach, form.parameters, status, reason, len(data), settings)
    estimator = estimator_of(form, data, options, approach)
    best = estimator.best(options.starts)
    base = Fit(
        form.name,
        approach,
        best.status,
        best.message,
        params=dict.fromkeys(form.parameters),
        ci=dict.fromkeys(form.parameters),
        objective=best.objective,
        n_points=len(data),
        settings=settings,
        starts=best.starts,
        bounds_hit=best.bounds_hit,
        rows=[] if data.rows is None else [int(row) for row in data.rows],
    )
    if best.status is not FitStatus.CONVERGED:
        return replace(base, stopped_at=best.public)
    if endless := [n for n in form.parameters if not 0 < abs(best.public[n]) < np.inf]:
        said = f"{' and '.join(endless)} would be beyond all numbers: the points do not tell it"
        return replace(base, status=FitStatus.NOT_IDENTIFIED, message=said, stopped_at=best.public)
    needless, notes = _needless(form, data, options, approach, best.objective)
    if needless is not None:
        return replace(
            base, status=FitStatus.NOT_IDENTIFIED, message=needless, stopped_at=best.public
        )
    done = _finish(base, best, estimator, form, data, options)
    return replace(done, notes=[*done.notes, *notes])


def _finish(
    base: Fit, best: Best, estimator: Estimator, form: Form, data: Points, options: FitOptions
) -> Fit:
    params: dict[str, float | None] = {name: best.public[name] for name in form.parameters}
    exact = {name: np.array([value]) for name, value in best.public.items()}
    predicted = predict(form, exact, data)[0]
    asked = form.derived(exact, data, options.at)
    derived = {
        name: Derived(float(one.values[0]), None, one.unit, one.at, data.outside(one.at))
        for name, one in asked.items()
    }
    done = replace(
        base,
        params=params,
        derived=derived,
        quality=quality(data, predicted, len(params), len(form.axes)),
        residuals=[float(r) for r in np.log(data.loss) - np.log(predicted)],
        held_out=hold_out(form, data, options, base.approach) if options.holdout > 0 else {},
    )
    if best.starts["share_reached_best"] < _EASY:
        share = best.starts["share_reached_best"]
        done.notes.append(f"only {share:.1%} of the starts reached the best: it may not be lowest")
    if options.bootstrap > 0:
        drawn = resample(estimator, data, options.bootstrap, options.seed)
        done = _with_intervals(done, best, form, data, options, drawn)
    return done


def _with_intervals(
    done: Fit, best: Best, form: Form, data: Points, options: FitOptions, drawn: Resamples
) -> Fit:
    settled = drawn.settled
    if not len(settled):
        return replace(done, notes=[*done.notes, too_few(data)])
    kept = {name: drawn.public[name][settled] for name in form.parameters}
    groups = data.groups()[1]
    ends = interval_ends(form, data, options, done.approach, best.objective)
    with np.errstate(all="ignore"):
        asked = form.derived(kept, data, options.at)
    notes = list(done.notes)
    on_bound = float((drawn.at_bound & settled).mean())
    if settled.mean() < 0.95:
        notes.append(f"{1 - settled.mean():.1%} of the resamples did not settle and are left out")
    if on_bound > (1 - options.level) / 2:
        notes.append(f"{on_bound:.0%} of the resamples lie on a bound, and so may interval ends")
    if groups < 2 * len(form.parameters):
        notes.append(f"only {groups} groups are resampled: the intervals are rough")
    return replace(
        done,
        ci={name: interval(values, ends) for name, values in kept.items()},
        derived={
            name: replace(one, ci=interval(asked[name].values, ends))
            for name, one in done.derived.items()
        },
        correlations=correlations(kept),
        bootstrap={
            "resamples": options.bootstrap,
            "settled": int(settled.sum()),
            "on_bound": on_bound,
            "groups": groups,
            "seed": options.seed,
            "level": options.level,
            "quantiles": list(ends),
        },
        notes=notes,
    )


def _needless(
    form: Form, data: Points, options: FitOptions, approach: str, objective: float
) -> tuple[str | None, list[str]]:
    """A sentence if a law with a term less is as good: its exponent fits only noise; and notes.

    The likelihood ratio, ``2n`` (absolute residuals, which Huber's are beyond its delta) or
    ``n`` (squares) times the logarithm of the objectives' ratio, must exceed chi-squared's 1 %
    point for as many degrees of freedom as there are parameters less. Of the ``n`` points those
    of one trajectory are one. The ratio takes no account of the parameters fitted, which tells
    where points are few: a term that an F test does not show at 1 % is kept with a note.
    """
    groups, size = data.groups()[1], len(form.parameters)
    once = 1 if is_squares(options, approach, len(data), objective) else 2
    room = groups - size
    notes: list[str] = []
    for simpler in form.simpler():
        less = size - len(simpler.parameters)
        with_less = estimator_of(
            simpler, data, options, "huber" if approach == "huber" else "least_squares"
        ).best(_FEW_STARTS)
        if objective <= len(data) * _PERFECT < with_less.objective:
            continue
        ratio = max(with_less.objective / objective, 1.0)
        axes = [data.columns.get(role, role) for role in form.axes if role not in simpler.axes]
        what = f"without {axes[0]!r}" if axes else f"({simpler.name}) with {less} fewer"
        if once * groups * np.log(ratio) < stats.chi2.isf(0.01, less):
            said = f"a law {what} fits as well within the noise, so its exponents mean nothing"
            return said, []
        if room < 1 or once * (ratio - 1) * room / less < stats.f.isf(0.01, less, room):
            notes.append(
                f"{groups} independent points for {size} parameters: that a law {what} fits worse"
                " may be chance"
            )
    return None, notes
