"""Does self-editing beat verbatim at equal tokens?

At one number of steps all edits have been given equal tokens. The methods of one baseline and seed
share their edits, so they are averaged first: a pair is a baseline and a seed, not a run.
"""

from __future__ import annotations

import pandas as pd

from analysis.adaptation.table import VERBATIM
from analysis.paired import Test, against


def self_edits(runs: pd.DataFrame) -> dict[int, list[Test]]:
    """Each kind of edit against verbatim, by number of steps; empty without verbatim ones."""
    edits = [str(edit) for edit in runs["edit"].unique()]
    if VERBATIM not in edits or len(edits) < 2:
        return {}
    found = {}
    place = ["baseline", "seed", "steps", "edit"]
    means = runs.groupby(place, as_index=False)["loss"].mean()
    for steps, own in means.groupby("steps"):
        groups = [(edit, part) for edit in edits if len(part := own[own["edit"] == edit])]
        if VERBATIM in dict(groups):
            found[int(str(steps))] = against(groups, ["baseline", "seed"], VERBATIM)
    return found


def counted(steps: int) -> str:
    """`1 step`, `3 steps`."""
    return f"{steps} step" if steps == 1 else f"{steps} steps"


def answer(tests: dict[int, list[Test]]) -> str:
    """In a sentence, over all kinds and numbers of steps."""
    if not tests:
        return "There are no self-edits beside verbatim ones to hold against each other."
    better, worse, open_ = list[str](), list[str](), list[str]()
    for steps, some in tests.items():
        for one in some:
            name = f"{one.group} at {counted(steps)}"
            if one.adjusted is None or one.adjusted >= 0.05:
                open_.append(name)
            else:
                (better if one.difference < 0 else worse).append(name)
    parts = []
    if better:
        parts.append(f"more is learned than from verbatim by {', '.join(better)}")
    if worse:
        parts.append(f"less by {', '.join(worse)}")
    if open_:
        parts.append(f"not told from chance: {', '.join(open_)}")
    said = "; ".join(parts)
    return f"At equal tokens, {said} (paired by baseline and seed, these passages)."
