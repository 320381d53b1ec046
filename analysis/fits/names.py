"""Finds a column by its name, and says the nearest one where there is none."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from scaling.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def find_column(frame: pd.DataFrame, name: str, option: str) -> str:
    """The table's own spelling of a column; spaces around names do not count.

    Raises:
        UserError: there is none; the sentence names the nearest column, or all of a few.
    """
    if name in frame.columns:
        return name
    stripped = {str(column).strip(): str(column) for column in frame.columns}
    if name.strip() in stripped:
        return stripped[name.strip()]
    lowered = {known.lower(): known for known in stripped}
    near = difflib.get_close_matches(name.strip().lower(), lowered, n=1, cutoff=0.5)
    if near:
        hint = f"did you mean {lowered[near[0]]!r}?"
    else:
        known = ", ".join(repr(column) for column in list(stripped)[:12])
        hint = f"it has {known}" + (" and others" if len(stripped) > 12 else "")
    raise UserError(f"{option}: the table has no column {name!r}; {hint}")
