"""Batches: each a function of (seed, step) alone, so that resuming is knowing the step."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from scaling.errors import UserError
from scaling.runtime import free_bytes, to_device

Tokens = NDArray[Any]
IGNORED = -100  # a target that no loss counts
_CPU = torch.device("cpu")
_SHARE_OF_DEVICE = 0.5  # of the free memory that tokens may take; the rest is the training's
_COPY = 32 << 20  # tokens moved to a device at a time


def resident(tokens: Tokens, device: torch.device) -> Tensor:
    """Move a packed stream to a device, once, in the width it is stored in.

    Returns [tokens], int16 for uint16 (the same 16 bits; not every operation knows uint16) and
    int32 for uint32. Several `Batches` may share it.
    """
    signed = np.dtype(f"i{tokens.dtype.itemsize}")
    held = torch.empty(
        len(tokens), dtype=torch.int16 if signed.itemsize == 2 else torch.int32, device=device
    )
    for start in range(0, len(tokens), _COPY):
        piece = np.array(tokens[start : start + _COPY]).view(signed)
        held[start : start + len(piece)].copy_(torch.from_numpy(piece))
    return held


def fits(tokens: Tokens, device: torch.device) -> bool:
    """Whether the stream has its place in the device's memory beside the training."""
    if device.type != "cuda":
        return False
    return tokens.nbytes < _SHARE_OF_DEVICE * free_bytes(device)


def placed(tokens: Tokens | Tensor, device: torch.device) -> Tokens | Tensor:
    """The stream as it is read from: moved to a CUDA device where it fits there."""
    if isinstance(tokens, Tensor) or not fits(tokens, device):
        return tokens
    return resident(tokens, device)


class Batches:
    """Shuffled windows of a packed stream.

    Window i is tokens [i*T, i*T + T], its first T tokens the inputs and its last T the targets.
    An epoch is a permutation of all windows made from (seed, epoch); a batch goes on into the
    next epoch's without a gap. The stream's last tokens, fewer than T, are in no window.
    """

    def __init__(
        self,
        tokens: Tokens | Tensor,
        context_length: int,
        batch_size: int,
        seed: int,
        device: torch.device = _CPU,
    ) -> None:
        """`tokens` is a packed stream, or one already `resident` on the device.

        On a CUDA device a stream that fits there is moved there. Raises UserError where the
        stream is shorter than one window.
        """
        self.windows = (len(tokens) - 1) // context_length
        if self.windows < 1:
            raise UserError(
                f"{len(tokens):,} tokens are too few for one window of"
                f" context_length {context_length}"
            )
        self.context_length = context_length
        self.batch_size = batch_size
        self._seed = seed
        self._device = device
        self.stream = placed(tokens, device)
        # A view of the stream as all the windows there could be: a batch is one quick gather.
        tokens = self.stream
        self.views: Tensor | Tokens = (
            tokens.unfold(0, context_length + 1, 1)
            if isinstance(tokens, Tensor)
            else sliding_window_view(np.asarray(tokens), context_length + 1)
        )
        self._orders: dict[int, NDArray[np.int64]] = {}

    @property
    def tokens_per_epoch(self) -> int:
        """Targets that one epoch has, each once."""
        return self.windows * self.context_length

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a step (from 0), int64 [batch_size, context_length]."""
        window = self._tokens_at(self.starts(step))
        return window[:, :-1].contiguous(), window[:, 1:].contiguous()

    def starts(self, step: int) -> NDArray[np.int64]:
        """Where the step's windows begin in the stream, [batch_size]."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, places = np.divmod(places, self.windows)
        windows = np.empty_like(places)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            windows[here] = self._order(epoch)[places[here]]
        for past in [epoch for epoch in self._orders if epoch < epochs[-1]]:
            del self._orders[past]
        return windows * self.context_length

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            # Raw bits and a stable sort: both are promised to stay the same in every NumPy.
            bits = np.random.PCG64(np.random.SeedSequence([self._seed, epoch]))
            self._orders[epoch] = np.argsort(bits.random_raw(self.windows), kind="stable")
        return self._orders[epoch]

    def _tokens_at(self, starts: NDArray[np.int64]) -> Tensor:
        """The windows that begin there, int64 [len(starts), context_length + 1]."""
        if isinstance(self.views, Tensor):
            there = to_device(torch.from_numpy(starts), self.views.device)
            return widen(self.views[there])
        return to_device(torch.from_numpy(self.views[starts].astype(np.int64)), self._device)


def widen(held: Tensor) -> Tensor:
    """Ids as int64, of a stream as `resident` holds it."""
    return held.long() & 0xFFFF if held.dtype == torch.int16 else held.long()


def evaluation_batches(
    tokens: Tokens | Tensor,
    context_length: int,
    batch_size: int,
    device: torch.device = _CPU,
    limit: int | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and targets over a stream in order, int64 [batch_size, context_length].

    Every token but the very first is a target exactly once (of the first `limit` such, if
    given). What remains of the last batch has the target -100 (input 0), so that all batches
    have one shape.
    """
    predicted = len(tokens) - 1 if limit is None else min(limit, len(tokens) - 1)
    size = batch_size * context_length
    for start in range(0, predicted, size):
        count = min(size, predicted - start)
        if isinstance(tokens, Tensor):
            stretch = widen(tokens[start : start + count + 1])
        else:
            stretch = torch.from_numpy(tokens[start : start + count + 1].astype(np.int64))
        inputs = stretch.new_zeros(size)
        targets = stretch.new_full((size,), IGNORED)
        inputs[:count] = stretch[:-1]
        targets[:count] = stretch[1:]
        shape = (batch_size, context_length)
        yield to_device(inputs.view(shape), device), to_device(targets.view(shape), device)
