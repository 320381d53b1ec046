"""The points a law is fitted to: columns as arrays, already checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from analysis.fits.model import Array, Index, Mask

_SAME = 1.01  # ratio up to which a place is that of the outermost point


@dataclass(frozen=True)
class Points:
    """Runs as a law sees them; every value positive and finite.

    Attributes:
        loss: [n], any unit; E, A and B come out in it.
        axes: by role, [n] each: N parameters, D tokens, U unique tokens, C FLOPs, or a column's
            own name.
        group: which points are resampled together, [n]; each its own where None.
        rows: row numbers in the table they came from, first row 1, [n].
        columns: the table's column by role.
        dropped: how many rows were left out, by reason.
        exact_flops: whether C was given beside D, and so is not 6ND.
    """

    loss: Array
    axes: Mapping[str, Array]
    group: Index | None = None
    rows: Index | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    exact_flops: bool = False

    def __len__(self) -> int:
        return len(self.loss)

    def take(self, keep: Mask | Index) -> Points:
        """The points of a mask or of positions."""
        return replace(
            self,
            loss=self.loss[keep],
            axes={role: values[keep] for role, values in self.axes.items()},
            group=None if self.group is None else self.group[keep],
            rows=None if self.rows is None else self.rows[keep],
        )

    def flops(self) -> Array | None:
        """C where given, else 6ND; None where neither is known."""
        if "C" in self.axes:
            return self.axes["C"]
        if "N" in self.axes and "D" in self.axes:
            return 6.0 * self.axes["N"] * self.axes["D"]
        return None

    def outside(self, at: Mapping[str, float]) -> dict[str, float]:
        """Of places by role those beyond the points: how many times the largest value or, below
        1, the smallest one they are."""
        found = {}
        for role, place in at.items():
            values = self.axes[role] if role in self.axes else self.flops()
            if values is None:
                continue
            nearest = float(np.clip(place, values.min(), values.max()))
            if not 1 / _SAME < place / nearest < _SAME:
                found[role] = place / nearest
        return found

    def groups(self) -> tuple[Index, int]:
        """Each point's group from 0, and how many groups there are."""
        if self.group is None:
            return np.arange(len(self)), len(self)
        names, codes = np.unique(self.group, return_inverse=True)
        return codes.reshape(-1), len(names)


def points(
    loss: npt.ArrayLike,
    *,
    group: npt.ArrayLike | None = None,
    **axes: npt.ArrayLike,
) -> Points:
    """Points from arrays: ``points(loss, N=..., D=...)``.

    Raises:
        ValueError: lengths differ, or a value is not positive and finite.
    """
    columns = {"loss": np.asarray(loss, dtype=np.float64)}
    columns |= {role: np.asarray(values, dtype=np.float64) for role, values in axes.items()}
    for role, values in columns.items():
        if values.shape != columns["loss"].shape or values.ndim != 1:
            raise ValueError(f"{role} has shape {values.shape}, loss {columns['loss'].shape}")
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"{role} has a value that is not positive and finite")
    codes = None if group is None else np.unique(np.asarray(group), return_inverse=True)[1]
    return Points(
        columns["loss"],
        {role: values for role, values in columns.items() if role != "loss"},
        group=None if codes is None else codes.reshape(-1),
        rows=np.arange(1, len(columns["loss"]) + 1),
        columns={role: role for role in columns},
        exact_flops="C" in axes and "D" in axes,
    )
