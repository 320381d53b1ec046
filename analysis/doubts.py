"""What in anyone's table gives reason to doubt the laws fitted to it, a sentence each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.design import goes_along, varies
from analysis.fits.points import Points

_COUNTS = {"N": ("parameters", 1e5), "D": ("tokens", 1e6), "C": ("FLOPs", 1e9)}
"""What each role counts, and what the largest run of any table has more of."""
_FAR = 20  # times 6ND, or as much below it: more than attention and embeddings make of it


def doubts(data: Points, given: Sequence[str], apart: bool) -> list[str]:
    """Columns in other units than ones, and rows that may be copies.

    Args:
        data: the table's points.
        given: the roles that columns of the table were named for.
        apart: whether rows are runs of their own, since no column groups them.
    """
    said = []
    for role, (what, usual) in _COUNTS.items():
        most = float(data.axes[role].max()) if role in given else usual
        if most < usual:
            said.append(
                f"column {data.columns[role]!r} is {most:.3g} at most, and is read as a count of"
                f" {what}: in other units A, B, N*, D* and tokens per parameter are in them too"
            )
    if {*given} >= {*_COUNTS}:
        ratio = float(np.median(data.axes["C"] / (6 * data.axes["N"] * data.axes["D"])))
        if not 1 / _FAR < ratio < _FAR:
            said.append(f"C is {ratio:.2g} times 6ND by the median: are all three in ones?")
    copies = len(data) - np.unique([data.loss, *data.axes.values()], axis=1).shape[1]
    if apart and copies:
        said.append(
            f"{copies} rows repeat another in loss and every axis: copies count as runs of their"
            " own, and make intervals too narrow"
        )
    return said


def mixed(data: Points, axis: str) -> list[str]:
    """Size, tokens and columns of `--x` that vary beside a law's one axis, not decided by it."""
    runs = pd.DataFrame(dict(data.axes))
    others = [role for role in data.axes if role not in {axis, "C", "U"} and varies(runs, role)]
    free = [role for role in others if not goes_along(runs, role, axis)]
    if not free:
        return []
    names = " and ".join(
        repr(data.columns[role]) if role in data.columns else "C/6N" for role in free
    )
    return [
        f"the rows also differ in {names}, of which this law knows nothing: its exponent is one of"
        " the mixture"
    ]
