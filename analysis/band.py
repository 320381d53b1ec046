"""Where a fitted law lies, with an interval: the bootstrap's laws, evaluated over a range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.fits import Fit, FitOptions, Form, Points
from analysis.fits.bootstrap import draw
from analysis.fits.model import Array
from analysis.fits.prepare import estimator_of, interval_ends

RESAMPLES = 200  # enough for a band's ends to a line's width
LEAST = 20  # settled resamples below which there is no interval


@dataclass(frozen=True)
class Band:
    """A law over places: the best fit and its interval, [n] each.

    Attributes:
        middle: the best fit.
        low, high: its interval; the best fit again where there is none.
        lacks: why there is none; empty where there is one.
    """

    middle: Array
    low: Array
    high: Array
    lacks: str = ""


def line(form: Form, one: Fit, axes: Mapping[str, Array]) -> Array:
    """The law at places, [n]."""
    params = {name: np.asarray(value) for name, value in one.values().items()}
    with np.errstate(all="ignore"):
        return np.asarray(form.predict(params, axes))


def band(
    form: Form, one: Fit, data: Points, axes: Mapping[str, Array], options: FitOptions
) -> Band:
    """The law at places with the interval of its mean over resampled runs.

    It says where the law may lie, not where the next run will: seed noise comes on top.
    """
    estimator = estimator_of(form, data, options, one.approach)
    best = estimator.best(64)  # of one axis or two: few starts find the same minimum again
    drawn = estimator.refit(draw(data, min(RESAMPLES, options.bootstrap), options.seed))
    settled = drawn.settled
    middle = line(form, one, axes)
    if settled.sum() < LEAST:
        what = "resamples" if len(settled) else "runs"
        lacks = f"too few {what} for a band" if options.bootstrap else "no band without resamples"
        return Band(middle, middle, middle, lacks)
    params = {name: values[settled][:, None] for name, values in drawn.public.items()}
    with np.errstate(all="ignore"):
        laws = form.predict(params, {role: values[None, :] for role, values in axes.items()})
    ends = interval_ends(form, data, options, one.approach, best.objective)
    low, high = np.nanquantile(laws, ends, axis=0)
    return Band(middle, np.minimum(low, middle), np.maximum(high, middle))
