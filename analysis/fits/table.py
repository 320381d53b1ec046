"""From anyone's table to checked points; each thing wrong with it is one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.fits.exclusion import excluded
from analysis.fits.names import find_column
from analysis.fits.points import Points
from scaling.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fits.model import Array, Mask

OPTIONS = {"loss": "--loss", "N": "--n", "D": "--d", "C": "--c", "U": "--unique"}
"""The option that names each role's column; an axis of its own name comes by ``--x``."""


@dataclass(frozen=True)
class Table:
    """A table's points.

    Attributes:
        kept: without the excluded rows.
        whole: with them; the same object as ``kept`` where there is no rule.
        excluded: how many rows the rule leaves out, usable or not; None without a rule.
    """

    kept: Points
    whole: Points
    excluded: int | None


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV file: tab-separated where it ends in .tsv, by semicolons where its header is.

    Raises:
        UserError: it is not there, cannot be read, is empty, is no table, or has rows of more
            cells than the header has names, which would move them under other names.
    """
    import pandas as pd

    try:
        if not path.is_file():
            raise UserError(f"there is no file {path}")
        frame = pd.read_csv(path, sep=_separator(path), encoding="utf-8-sig", low_memory=False)
    except pd.errors.EmptyDataError:
        raise UserError(f"{path} is empty") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a table: {str(error).strip()}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if frame.empty:
        raise UserError(f"{path} has a header and no rows")
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes surplus cells for row names
        raise UserError(
            f"{path} has more cells in a row than names in its header: look for commas inside"
            " numbers or at the ends of rows"
        )
    return frame


def _separator(path: Path) -> str:
    """What divides the cells: of comma and semicolon the one that the header has more of."""
    import pandas as pd

    if path.suffix == ".tsv":
        return "\t"

    def names(separator: str) -> int:
        header = pd.read_csv(path, sep=separator, encoding="utf-8-sig", nrows=0)
        return len(header.columns)

    return max(",", ";", key=names)


def read_points(
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    group: str | None = None,
    exclude: str | None = None,
) -> Table:
    """Checks the named columns and makes points of them.

    Rows with an empty cell, or an infinite loss, are left out and counted in ``dropped``. C
    without D gives D = C/(6N) where N is there.

    Args:
        frame: the table; row numbers in messages count from 1 below the header.
        columns: the table's column by role: loss, N, D, C, U, or an axis's own name.
        group: a column whose equal values are resampled together.
        exclude: a rule, see `analysis.fits.exclusion.excluded`.

    Raises:
        UserError: a column is missing, has a cell that is no number or not positive in a row
            that no rule leaves out, or no row is left.
    """
    names = {
        role: find_column(frame, name, OPTIONS.get(role, "--x")) for role, name in columns.items()
    }
    out = np.zeros(len(frame), dtype=bool) if exclude is None else excluded(frame, exclude, names)
    values = {role: _numbers(frame, name, out) for role, name in names.items()}
    usable = np.ones(len(frame), dtype=bool)
    dropped: dict[str, int] = {}
    for role, column in values.items():
        empty = np.isnan(column)
        if empty.any():
            dropped[f"no {names[role]}"] = int(empty.sum())
        infinite = np.isinf(column)
        if infinite.any() and role == "loss":
            dropped[f"{names[role]} infinite"] = int(infinite.sum())
            empty |= infinite
        usable &= ~empty
        wrong = ~out & ~empty & ~((column > 0) & np.isfinite(column))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise UserError(
                f"column {names[role]!r} must be positive, but row {row + 1} has"
                f" {column[row]:g} ({int(wrong.sum())} of {len(frame)} rows)"
            )
        bad = out & ~empty & ~((column > 0) & np.isfinite(column))
        if bad.any():
            dropped[f"{names[role]} not positive, and excluded"] = int(bad.sum())
            usable &= ~bad
    if not usable.any():
        raise UserError(f"no row has all of {', '.join(repr(name) for name in names.values())}")
    if not (usable & ~out).any():
        raise UserError(f"--exclude {exclude!r} leaves no rows")
    whole = _points(frame, names, values, group, dropped).take(usable)
    if exclude is None:
        return Table(whole, whole, None)
    return Table(whole.take(~out[usable]), whole, int(out.sum()))


def _points(
    frame: pd.DataFrame,
    names: Mapping[str, str],
    values: Mapping[str, Array],
    group: str | None,
    dropped: Mapping[str, int],
) -> Points:
    axes = {role: column for role, column in values.items() if role != "loss"}
    exact = "C" in axes and "D" in axes
    if "C" in axes and "D" not in axes and "N" in axes:
        with np.errstate(all="ignore"):
            axes["D"] = axes["C"] / (6 * axes["N"])
    codes = None
    if group is not None:
        column = find_column(frame, group, "--group")
        # An empty cell is a run of its own, not one with the other empty cells.
        labels = frame[column].astype(object).where(frame[column].notna(), None)
        texts = [
            f"row {i}" if label is None else f"group {label}" for i, label in enumerate(labels)
        ]
        codes = np.unique(np.array(texts), return_inverse=True)[1].reshape(-1)
    return Points(
        values["loss"],
        axes,
        group=codes,
        rows=np.arange(1, len(frame) + 1),
        columns=names,
        dropped=dropped,
        exact_flops=exact,
    )


def _numbers(frame: pd.DataFrame, name: str, out: Mask) -> Array:
    """A column as floats, empty cells as NaN, and so the text of rows that are left out."""
    import pandas as pd

    column = frame[name]
    if column.dtype == bool:
        raise UserError(f"column {name!r} is true or false, not a number")
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = np.array(numbers.isna() & column.notna(), dtype=bool) & ~out
    if wrong.any():
        blank = column[wrong].astype(str).str.strip() == ""
        wrong[wrong] = ~np.asarray(blank, dtype=bool)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"column {name!r} is not a number in row {row + 1}: {str(column.iloc[row])!r}"
            f" ({int(wrong.sum())} of {len(frame)} rows)"
        )
    return np.asarray(numbers, dtype=np.float64)
