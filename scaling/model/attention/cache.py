"""What a block remembers of the tokens so far."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Cache:
    """Tensors `[M B, max_length, ...]` that grow by a few tokens at a time."""

    def __init__(
        self,
        sequences: int,
        length: int,
        shapes: Sequence[tuple[int, ...]],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """`shapes` are those of one token's part in each tensor."""
        self._stores = [
            torch.empty((sequences, length, *shape), dtype=dtype, device=device)
            for shape in shapes
        ]
        self.length = 0

    def extend(self, *new: Tensor) -> list[Tensor]:
        """Add `[M B, T, ...]` of new tokens to each tensor; returns all so far."""
        end = self.length + new[0].shape[1]
        for store, part in zip(self._stores, new, strict=True):
            store[:, self.length : end] = part
        self.length = end
        return [store[:, :end] for store in self._stores]

    @property
    def bytes_per_token(self) -> int:
        """Of one sequence."""
        return sum(store[0, 0].numel() * store.element_size() for store in self._stores)
