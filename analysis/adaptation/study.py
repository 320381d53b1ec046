"""All that adaptations say: table, laws, answers; and what of it goes to files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from analysis.adaptation.answers import answer, self_edits
from analysis.adaptation.laws import Law, laws
from analysis.adaptation.table import summary
from analysis.fits import FitOptions
from analysis.fits.exclusion import excluded
from analysis.paired import Test
from analysis.runs import RunTable
from scaling.errors import UserError

Say = Callable[[str], None]


@dataclass(frozen=True)
class AdaptationStudy:
    """What was found.

    Attributes:
        table: the adaptations as read.
        summary: one row a point, over its seeds.
        laws: every law that was tried.
        tests: self-edits against verbatim ones, by number of steps.
        options: how laws were fitted.
    """

    table: RunTable
    summary: pd.DataFrame
    laws: list[Law]
    tests: dict[int, list[Test]]
    options: FitOptions

    @property
    def runs(self) -> pd.DataFrame:
        """One row an adaptation."""
        return self.table.runs

    def as_data(self) -> dict[str, Any]:
        """Plain data for fits.json."""
        return {
            "adaptations": len(self.runs),
            "adaptations_apart": len(self.table.apart),
            "self_edits": answer(self.tests),
            "tests": [
                asdict(one) | {"steps": steps}
                for steps, some in self.tests.items()
                for one in some
            ],
            "laws": [
                replace(law.fit, rows=[]).to_json()
                | {"baseline": law.baseline, "method": law.method, "edit": law.edit,
                   "outcome": law.outcome, "formula": law.formula, "left_out": law.left_out}
                for law in self.laws
            ],
        }  # fmt: skip


def study_adaptations(
    table: RunTable, options: FitOptions, say: Say, exclude: str | None = None
) -> AdaptationStudy:
    """What adaptations say, without those that a rule leaves out.

    Raises:
        UserError: the rule cannot be read, or leaves none.
    """
    if exclude is not None:
        table = _without(table, exclude)
    runs = table.runs
    say(f"{len(runs)} adaptations of {runs['fingerprint'].nunique()} baselines")
    return AdaptationStudy(
        table, summary(runs), laws(runs, options, say), self_edits(runs), options
    )


def _without(table: RunTable, rule: str) -> RunTable:
    out = excluded(table.runs, rule, {"N": "parameters", "D": "tokens"})
    runs, gone = table.runs[~out], table.runs[out].assign(why=f"left out: {rule}")
    if runs.empty:
        raise UserError(f"--exclude {rule!r} leaves no adaptation.")
    apart = pd.concat([table.apart, gone])
    return replace(table, runs=runs.reset_index(drop=True), apart=apart)
