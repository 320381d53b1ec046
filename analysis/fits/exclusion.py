"""Leaves rows out by a stated rule, ``loss >= 5 and N < 1e6``, so that the rule is on record."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fits.names import find_column
from scaling.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fits.model import Mask

_COMPARISON = re.compile(r"^\s*(?P<column>.+?)\s*(?P<sign>>=|<=|==|!=|>|<|=)\s*(?P<value>.+?)\s*$")
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
}


def excluded(frame: pd.DataFrame, rule: str, columns: Mapping[str, str]) -> Mask:
    """Which rows the rule leaves out, [rows].

    The rule is comparisons ``COLUMN SIGN VALUE`` joined by ``and`` and ``or`` (``and`` binds
    closer). COLUMN is a column's name or a role's (N, D, C, loss), in backticks if it holds a
    sign; VALUE a number, or text to be equal to. A cell that is empty meets no comparison but
    ``!=``.

    Raises:
        UserError: the rule cannot be read, or names no column.
    """
    out = np.zeros(len(frame), dtype=bool)
    for part in re.split(r"\s+or\s+", rule.strip(), flags=re.IGNORECASE):
        both = np.ones(len(frame), dtype=bool)
        for comparison in re.split(r"\s+and\s+", part, flags=re.IGNORECASE):
            both &= _compare(frame, comparison, rule, columns)
        out |= both
    return out


def _compare(frame: pd.DataFrame, text: str, rule: str, columns: Mapping[str, str]) -> Mask:
    import pandas as pd

    quoted = re.match(r"^\s*`(?P<column>[^`]+)`(?P<rest>.*)$", text)
    match = _COMPARISON.match(f"x{quoted['rest']}" if quoted else text)
    if match is None:
        raise UserError(
            f"--exclude {rule!r} cannot be read: write it as COLUMN >= NUMBER, with and / or"
        )
    name = quoted["column"] if quoted else match["column"]
    roles = {role.lower(): column for role, column in columns.items()}
    if name not in frame.columns:
        name = roles.get(name.lower(), name)
    column = frame[find_column(frame, name, "--exclude")]
    sign, value = match["sign"], match["value"].strip("'\"")
    try:
        number = float(value)
    except ValueError:
        if sign not in {"=", "==", "!="}:
            raise UserError(
                f"--exclude {rule!r} compares with {value!r}, which is not a number"
            ) from None
        return np.asarray(_SIGNS[sign](column.astype(str).str.strip(), value), dtype=bool)
    return np.asarray(_SIGNS[sign](pd.to_numeric(column, errors="coerce"), number), dtype=bool)
