"""Dropout without a random state: whether a channel falls is a function of where it stands.

The mask is a hash of (seed, step, sequence, layer, token, channel). So a resumed run drops what
the uninterrupted one would have, member k of a cohort what its solo run would have, and the size
of a micro-batch changes nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = 2**64 - 1


def noise(
    seeds: Sequence[int], step: int, first_row: int, rows: int, device: torch.device
) -> Tensor:
    """The keys of a micro-batch, `[M, rows]` int32: sequences `first_row`... of a step's batch."""
    keys = torch.tensor(step_keys(seeds, step), dtype=torch.int32, device=device)
    return spread(keys, first_row, rows)


def step_keys(seeds: Sequence[int], step: int) -> list[int]:
    """The key of each member's step, 31 bits."""
    return [_splitmix(_splitmix(seed) + step) & 0x7FFFFFFF for seed in seeds]


def spread(keys: Tensor, first_row: int, rows: int) -> Tensor:
    """Keys of steps `[M]` int32 to those of their sequences from `first_row` on, `[M, rows]`."""
    place = torch.arange(first_row, first_row + rows, dtype=torch.int32, device=keys.device)
    return _mix(keys[:, None] + place * 0x9E3779B)


def dropout(x: Tensor, share: float, keys: Tensor, site: Tensor) -> Tensor:
    """`x [M, B, T, C]` with a `share` of its channels zeroed and the rest scaled up.

    `keys [M, B]` are those of `noise`; `site` is a number (0-d int32) that no other call in the
    model has.
    """
    length, width = x.shape[-2:]
    rows = _mix(keys + site * 0x85EBCA7)
    tokens = _mix(rows[..., None] + _count(length, x) * 0x27D4EB3)
    channels = _mix(tokens[..., None] + _count(width, x) * 0x165667B)
    kept = channels >= round(share * 2**32) - 2**31
    return torch.where(kept, x * (1 / (1 - share)), 0.0)


def _count(n: int, like: Tensor) -> Tensor:
    return torch.arange(n, dtype=torch.int32, device=like.device)


def _mix(x: Tensor) -> Tensor:
    """A bijection of int32 that scatters its bits (the `lowbias32` of C. Wellons); wraps around.

    Shifts of negative numbers drag the sign along, hence the masks.
    """
    x = x ^ ((x >> 16) & 0xFFFF)
    x = x * 0x7FEB352D
    x = x ^ ((x >> 15) & 0x1FFFF)
    x = x * (0x846CA68B - 2**32)
    return x ^ ((x >> 16) & 0xFFFF)


def _splitmix(x: int) -> int:
    """One step of SplitMix64."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)
