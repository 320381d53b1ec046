"""The fitted irreducible loss held against the embedded corpus's known entropy."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.design import varies
from analysis.evidence import Verdict
from analysis.question import Law, Question

OF_THE_FLOOR = frozenset({"joint", "N", "D", "C"})
"""Axes whose laws' E is a loss that more of size or text would come to, which the floor bounds."""


@dataclass(frozen=True)
class Held:
    """One law's E beside the floor.

    Attributes:
        law: what it is of.
        series: the variant that it is of, empty where there is only one.
        joint: whether it is of size and tokens together.
        value: the fitted E.
        ci: its interval.
        agrees: whether the floor is inside; None without an interval.
        sentence: the same in words, with the likely reason where it disagrees.
    """

    law: str
    series: str
    joint: bool
    value: float
    ci: tuple[float, float] | None
    agrees: bool | None
    sentence: str


def held(question: Question, law: Law, floor: float) -> Held | None:
    """A law's E against the floor; None where the law has no E, or none that is a number."""
    value = law.fit.params.get("E")
    if value is None:
        return None
    ci = law.fit.ci.get("E")
    name = f"{question.title}, {law.name}"
    agrees = None if ci is None else ci[0] <= floor <= ci[1]
    said = f"The fitted E is {value:.4g}" + (f" [{ci[0]:.4g}, {ci[1]:.4g}]" if ci else "")
    said += f" and the validation text's entropy floor {floor:.4g}: "
    if agrees is None:
        said += "without an interval they cannot be compared."
    elif agrees:
        said += "they agree within the interval."
    else:
        side = "above" if ci is not None and ci[0] > floor else "below"
        said += f"E lies {side} it. {' '.join(_reasons(question, law, value, floor, side))}"
    return Held(name, question.series, question.axis == "joint", value, ci, agrees, said)


def _reasons(question: Question, law: Law, value: float, floor: float, side: str) -> list[str]:
    """Why an E may be off, in the order of weight."""
    reasons = []
    if side == "above" and question.axis == "D":
        reasons.append(
            "That is expected: E is here what a model of this one size reaches on endless text,"
            " which the entropy only bounds from below."
        )
    elif side == "above" and question.axis != "joint" and not varies(question.runs, "D"):
        reasons.append(
            "That is expected: E is here the loss of a model of endless size on these few tokens,"
            " which the entropy only bounds from below."
        )
    lowest = float(question.runs["loss"].min())
    if value > lowest:
        reasons.append(
            f"It lies above the lowest loss of these runs, {lowest:.4g}, as no floor can: the form"
            " bends more than the losses do."
        )
    elif lowest > 1.2 * floor:
        reasons.append(
            f"The lowest loss of these runs is {lowest:.4g}, {lowest / floor:.2g} times the floor:"
            " E is read far beyond the runs, where the form alone decides."
        )
    context = question.runs.get("context_length", pd.Series(dtype=float)).dropna()
    if side == "above" and len(context):
        reasons.append(
            f"Losses are of windows of {context.min():g} tokens, most of which begin in mid-story:"
            " what stood before, a model has to guess, which keeps its loss above the entropy."
        )
    failed = [one.rule for one in law.findings if one.verdict is Verdict.FAIL]
    if failed:
        rules = ", ".join(rule.replace("_", " ") for rule in failed)
        reasons.append(f"Rules of evidence not met, any of which moves E: {rules}.")
    return reasons or ["The runs meet the rules of evidence, so the form itself is in doubt."]
