"""The error on the largest runs, predicted from the others: what a law is for."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.fits.bootstrap import resample
from analysis.fits.form import Form
from analysis.fits.points import Points
from analysis.fits.prepare import FitOptions, estimator_of, interval_ends, predict, refusal
from analysis.fits.result import FitStatus

_RESAMPLES = 200
_STARTS = 1 / 9  # of the starts: the subset's minimum is near the whole's


def hold_out(form: Form, data: Points, options: FitOptions, approach: str) -> dict[str, Any]:
    """The error on the largest runs, from a fit to the others of other trajectories.

    Runs are ordered by FLOPs (by the first axis where FLOPs are unknown). Errors are signed and
    relative, ``(predicted - observed)/observed``: ``mean_error``, ``median_error``,
    ``largest_run_error``, ``worst_error``. ``inside`` is the share of held-out losses within the
    prediction interval, which holds the parameters' spread and the scatter of the fitted runs.
    """
    order = data.flops()
    by = "C" if order is not None else form.axes[0]
    order = data.axes[by] if order is None else order
    count = int(np.ceil(options.holdout * len(data)))
    held = order >= np.sort(order)[-count] * (1 - 1e-9)  # equal budgets go together
    group = data.groups()[0]
    apart = ~np.isin(group, group[held])  # a run's other points would tell its noise
    said = {"n": int(held.sum()), "by": by, "n_fitted": int(apart.sum())}
    small, large = data.take(apart), data.take(held)
    status, reason = refusal(form, small)
    if status is not None:
        return {**said, "status": str(status), "message": f"without the largest runs, {reason}"}
    estimator = estimator_of(form, small, options, approach)
    best = estimator.best(max(64, int(options.starts * _STARTS)))
    said |= {"status": str(best.status), "message": best.message}
    if best.status is not FitStatus.CONVERGED:
        return said
    exact = {name: np.array([value]) for name, value in best.public.items()}
    predicted = predict(form, exact, large)[0]
    error = predicted / large.loss - 1
    order = order[held]
    said |= {
        "mean_error": float(error.mean()),
        "median_error": float(np.median(error)),
        "largest_run_error": float(error[int(np.argmax(order))]),
        "worst_error": float(error[int(np.argmax(np.abs(error)))]),
    }
    if options.bootstrap > 0:
        drawn = resample(estimator, small, _RESAMPLES, options.seed)
        settled = drawn.settled
        kept = {name: values[settled] for name, values in drawn.public.items()}
        if settled.sum() >= 20:
            left = np.log(small.loss) - np.log(predict(form, exact, small)[0])
            rng = np.random.default_rng(options.seed)
            noise = rng.choice(left, size=(int(settled.sum()), len(large)))
            low, high = np.quantile(
                np.log(predict(form, kept, large)) + noise,
                interval_ends(form, small, options, approach, best.objective),
                axis=0,
            )
            inside = (np.log(large.loss) >= low) & (np.log(large.loss) <= high)
            said["inside"] = float(inside.mean())
    return said
