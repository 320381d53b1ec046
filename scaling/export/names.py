"""Which of another library's weights is which part of ours, in both directions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Piece:
    """One of their tensors as a part of one of ours (without the member axis)."""

    theirs: str
    ours: str | None  # None: they have it and we do not; it is zeros of `shape`
    rows: tuple[int, int] | None = None  # of ours, along the outputs; all of them unless given
    expert: int | None = None  # of ours, where it is a stack over experts
    transposed: bool = False
    shape: tuple[int, ...] = ()


def to_theirs(pieces: Sequence[Piece], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors from ours."""
    used = {piece.ours for piece in pieces}
    left = set(ours) - used
    assert not left, f"no name for {sorted(left)}"
    found: dict[str, Tensor] = {}
    for piece in pieces:
        if piece.ours is None:
            found[piece.theirs] = torch.zeros(piece.shape)
            continue
        part = ours[piece.ours]
        if piece.expert is not None:
            part = part[piece.expert]
        if piece.rows is not None:
            part = part[slice(*piece.rows)]
        found[piece.theirs] = (part.T if piece.transposed else part).contiguous().clone()
    return found


def to_ours(pieces: Sequence[Piece], theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Ours from theirs: parts that belong together in the order of the pieces."""
    parts: dict[str, dict[int | None, list[Tensor]]] = {}
    for piece in pieces:
        if piece.ours is not None:
            tensor = theirs[piece.theirs]
            part = tensor.T if piece.transposed else tensor
            parts.setdefault(piece.ours, {}).setdefault(piece.expert, []).append(part)
    return {
        name: torch.cat(by_expert[None])
        if None in by_expert
        else torch.stack([torch.cat(rows) for rows in by_expert.values()])
        for name, by_expert in parts.items()
    }
