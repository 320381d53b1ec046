"""Laws of adaptation, by the same fits as those of training.

The loss on what is learned falls with the tokens trained on: `L = E + A D^-a`, and gain is what it
has fallen by. Forgetting rises: `F = B D^b`, fitted as a law that falls in 1/D. Points of one seed
are stations of one training, so that whole seeds are resampled for the intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from analysis.adaptation.table import VERBATIM, seedless
from analysis.fits import Fit, FitOptions, Form, Points, PowerLaw, PowerLawNoOffset, fit, points

STARTS = 512  # enough for laws of one axis
APPROACH = "least_squares"  # of four stations and few seeds the least absolute error is many laws'
LEVELS = 3  # numbers of tokens below which no law is tried


@dataclass(frozen=True)
class Law:
    """One law of one baseline, method and edit.

    Attributes:
        baseline, method, edit: whose.
        outcome: loss (of what is learned) or forgetting.
        form: the law; of forgetting its axis is `per_token`, 1/D.
        fit: what came of it.
        points: what was fitted.
        left_out: points without forgetting, which have no logarithm.
    """

    baseline: str
    method: str
    edit: str
    outcome: str
    form: Form
    fit: Fit
    points: Points
    left_out: int = 0

    @property
    def formula(self) -> str:
        """In signs, with D in tokens of one passage's training."""
        if self.outcome == "forgetting":
            return "F = B D^b"
        return "L = E + A D^-a" if isinstance(self.form, PowerLaw) else "L = A D^-a"


def laws(runs: pd.DataFrame, options: FitOptions, say: Callable[[str], None]) -> list[Law]:
    """The laws of each baseline and method in tokens, of verbatim edits where there are any."""
    edits = list(runs["edit"].unique())
    edit = VERBATIM if VERBATIM in edits else edits[0]
    how = replace(options, starts=STARTS)
    found: list[Law] = []
    chosen = runs[runs["edit"] == edit]
    for (baseline, method), own in chosen.groupby(["baseline", "method"], sort=False):
        if own["tokens"].nunique() < LEVELS:
            continue
        if seedless(own):
            own = own.drop_duplicates("tokens")  # one seed is all that there is
        say(f"fitting {baseline}, {method}")
        found += _learning(str(baseline), str(method), edit, own, how)
        found += _forgetting(str(baseline), str(method), edit, own, how)
    return found


def headline(found: list[Law], baseline: str, method: str, outcome: str) -> Law | None:
    """The first law of these that converged."""
    place = (baseline, method, outcome)
    return next(
        (law for law in found if (law.baseline, law.method, law.outcome) == place
         and law.fit.converged),
        None,
    )  # fmt: skip


def _learning(
    baseline: str, method: str, edit: str, own: pd.DataFrame, options: FitOptions
) -> list[Law]:
    data = points(own["loss"], group=own["seed"], tokens=own["tokens"])
    forms: list[Form] = [PowerLaw("tokens"), PowerLawNoOffset("tokens")]
    return [
        Law(baseline, method, edit, "loss", form, fit(form, data, options, APPROACH), data)
        for form in forms
    ]


def _forgetting(
    baseline: str, method: str, edit: str, own: pd.DataFrame, options: FitOptions
) -> list[Law]:
    some = own[own["forgetting"] > 0]
    if some["tokens"].nunique() < LEVELS:
        return []
    data = points(some["forgetting"], group=some["seed"], per_token=1 / some["tokens"])
    form = PowerLawNoOffset("per_token")
    left_out = len(own) - len(some)
    return [
        Law(
            baseline,
            method,
            edit,
            "forgetting",
            form,
            fit(form, data, options, APPROACH),
            data,
            left_out,
        )
    ]
