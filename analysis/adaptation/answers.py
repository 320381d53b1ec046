"""Does self-editing beat verbatim at equal tokens?

At one number of steps all edits have been given equal tokens. An adaptation is held against the
verbatim one of its baseline, seed, steps and method; what lacks its counterpart says nothing. The
methods of one baseline and seed share their edits, so they are averaged before the test: a pair is
a baseline and a seed, not a run. Nats per token of several tokenizers are not averaged: each has
tests of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from analysis.adaptation.table import VERBATIM
from analysis.paired import Test, corrected, one_against

PLACE = ["baseline", "seed", "steps", "method"]  # where an edit and verbatim text compare


def self_edits(runs: pd.DataFrame) -> dict[int, list[Test]]:
    """Each kind of edit against verbatim, by number of steps; empty without verbatim ones.

    P-values are corrected for all of these tests together, since `answer` tells of all.
    """
    tests = list(_tests(runs))
    found: dict[int, list[Test]] = {}
    for (steps, _), test in zip(tests, corrected([one for _, one in tests]), strict=True):
        found.setdefault(steps, []).append(test)
    return found


def _tests(runs: pd.DataFrame) -> Iterator[tuple[int, Test]]:
    """The tests one by one, with their numbers of steps."""
    tokenizers = runs["tokenizer"] if "tokenizer" in runs else pd.Series("", index=runs.index)
    several = tokenizers.nunique() > 1
    for (steps, _), own in runs.groupby([runs["steps"], tokenizers]):
        of = f" of {' and '.join(own['baseline'].unique())}" if several else ""
        verbatim = own[own["edit"] == VERBATIM]
        for edit in own["edit"].unique():
            if edit == VERBATIM or verbatim.empty:
                continue
            written = own[own["edit"] == edit]
            both = written.merge(verbatim, on=PLACE, suffixes=("", "_verbatim"))
            pairs = both.groupby(["baseline", "seed"], as_index=False)
            mine = pairs[["loss", "loss_verbatim"]].mean()
            theirs = mine.assign(loss=mine["loss_verbatim"])
            test = one_against(f"{edit}{of}", mine, VERBATIM, theirs, ["baseline", "seed"])
            if left := len(written) + len(verbatim) - 2 * len(both):
                what = "1 adaptation has" if left == 1 else f"{left} adaptations have"
                test = replace(test, basis=f"{test.basis}; {what} no counterpart")
            yield int(str(steps)), test


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
