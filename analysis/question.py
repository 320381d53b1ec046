"""A question that runs can be asked: one set of points, and the rival laws fitted to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from analysis.design import amount, named
from analysis.evidence import Finding
from analysis.fits import Fit, Form, Points
from analysis.fits.compare import Rival


@dataclass(frozen=True)
class Law:
    """One law fitted to a question's points.

    Attributes:
        form: the law; None for isoFLOP optima, which are no law of the loss.
        fit: what came of it.
        findings: the evidence rules' answers.
        claim: what may be claimed, in words.
    """

    form: Form | None
    fit: Fit
    findings: list[Finding]
    claim: str

    @property
    def name(self) -> str:
        """Form and approach."""
        return f"{self.fit.form.replace('_', ' ')} ({self.fit.approach.replace('_', ' ')})"


@dataclass(frozen=True)
class Question:
    """One set of points and the laws fitted to it.

    Attributes:
        key: names its files: series, axis and convention.
        series: the variant, empty where there is only one.
        axis: a column, or "joint" or "isoflop".
        size: the convention that N is counted in, where the law has N.
        held: what the runs agree in.
        runs: the runs fitted, a row each.
        around: the runs of the series at their best rates, other slices too.
        points: the same as a fit sees them.
        laws: the laws, the headline first.
        rivals: their ranking.
        note: what a reader should know of the choice of runs.
    """

    key: str
    series: str
    axis: str
    size: str
    held: Mapping[str, float]
    runs: pd.DataFrame
    around: pd.DataFrame
    points: Points
    laws: list[Law]
    rivals: list[Rival] = field(default_factory=list)
    note: str = ""

    @property
    def headline(self) -> Law | None:
        """The first law that converged."""
        return next((law for law in self.laws if law.fit.converged), None)

    @property
    def title(self) -> str:
        """In words."""
        if self.axis == "joint":
            said = f"Loss against {named(self.size)} and tokens"
        elif self.axis == "isoflop":
            said = f"Best {named(self.size)} at each compute"
        else:
            said = f"Loss against {named(self.axis)}"
        held = ", ".join(amount(c, value) for c, value in self.held.items())
        said += f" at {held}" if held else ""
        return f"{said} ({self.series})" if self.series else said
