"""A split's texts while it is being built: a file in source order, read back in hash order.

Memory is some 28 bytes a document, whatever the texts' length: the texts themselves stay on disk.
"""

from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.data.digest import order_of_copy

BLOCK = 2 << 20  # bytes of text held at a time


class Spool:
    """Texts are added in any order; after `seal` they come back sorted by their hash."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = path.open("wb")
        self._orders = array("Q")
        self._lengths = array("Q")
        self._nats = array("d")
        self._starts: NDArray[np.uint64] = np.empty(0, np.uint64)
        self.lengths: NDArray[np.uint64] = np.empty(0, np.uint64)  # bytes, in hash order
        self.nats: NDArray[np.float64] = np.empty(0)  # -log p, in hash order
        self.again: NDArray[np.bool_] = np.empty(0, bool)  # whether one before has the same text
        self.duplicates = 0  # documents whose text an earlier one has
        self.left_out = 0  # what would have been more of them

    @property
    def documents(self) -> int:
        """How many documents there are, once sealed."""
        return len(self.lengths)

    @property
    def size(self) -> int:
        """Their UTF-8 bytes together."""
        return int(self.lengths.sum())

    def add(self, text: bytes, order: int, nats: float) -> None:
        """Append one document."""
        self._writer.write(text)
        self._orders.append(order)
        self._lengths.append(len(text))
        self._nats.append(nats)

    def seal(self, *, keep_copies: bool) -> None:
        """End the adding; sort.

        Copies of a text have one hash, and side by side a model need only copy the one before: so
        each gets a place of its own, or (unless `keep_copies`) all but the first are left out.
        """
        self._writer.close()
        texts = np.asarray(self._orders, np.uint64)
        orders = texts.copy()
        lengths = np.asarray(self._lengths, np.uint64)
        order = np.argsort(orders, kind="stable")
        ranked = orders[order]
        copies = np.flatnonzero(ranked[1:] == ranked[:-1]) + 1
        if keep_copies:
            self.duplicates = len(copies)
            for document, earlier in zip(order[copies], order[copies - 1], strict=True):
                orders[document] = order_of_copy(int(orders[earlier]))
            order = np.argsort(orders, kind="stable")
        else:
            self.left_out = len(copies)
            order = np.delete(order, copies)
        self.again = np.ones(len(order), bool)
        self.again[np.unique(texts[order], return_index=True)[1]] = False
        self._starts = (np.cumsum(lengths) - lengths)[order]
        self.lengths = lengths[order]
        self.nats = np.asarray(self._nats, np.float64)[order]

    def documents_within(self, size: int) -> int:
        """How many of the first documents have `size` bytes together, at least one."""
        return max(1, int(np.searchsorted(np.cumsum(self.lengths), size, side="right")))

    def blocks(self, documents: int | None = None) -> Iterator[list[str]]:
        """Yield the (first so many) texts in hash order, in lists of some `BLOCK` bytes."""
        block: list[str] = []
        size = 0
        starts_and_lengths = zip(self._starts[:documents], self.lengths[:documents], strict=True)
        with self._path.open("rb", buffering=0) as file:  # a buffer would read ahead at each jump
            for start, length in starts_and_lengths:
                file.seek(start)
                block.append(file.read(length).decode())
                size += int(length)
                if size >= BLOCK:
                    yield block
                    block, size = [], 0
        if block:
            yield block

    def close(self) -> None:
        """Let go of the file, also when nothing was sealed."""
        self._writer.close()

    def remove(self) -> None:
        """Delete the file: the texts are needed no more."""
        self._path.unlink()
