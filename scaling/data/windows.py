"""The batches of a cohort in one tensor that stays where it is."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from scaling.data.batches import Batches, widen
from scaling.runtime import to_device


class Windows:
    """Each step's windows of all members, `tokens [M, B, T + 1]` int64 on the device.

    Members that read one stream are gathered in one go; on a device that holds the stream, a step
    moves no more than the windows' places there, without waiting.
    """

    def __init__(self, batches: Sequence[Batches], device: torch.device) -> None:
        first = batches[0]
        self.batches, self.device = list(batches), device
        shape = (len(batches), first.batch_size, first.context_length + 1)
        self.tokens = torch.zeros(shape, dtype=torch.long, device=device)
        streams: dict[int, list[int]] = {}
        for k, own in enumerate(batches):
            streams.setdefault(id(own.stream), []).append(k)
        self._readers = list(streams.values())  # members by the stream they read

    @property
    def inputs(self) -> Tensor:
        """`[M, B, T]`, a view."""
        return self.tokens[..., :-1]

    @property
    def targets(self) -> Tensor:
        """`[M, B, T]`, a view."""
        return self.tokens[..., 1:]

    def fill(self, step: int) -> None:
        """Put in the windows of a step (from 0): a function of each member's seed and the step."""
        for members in self._readers:
            views = self.batches[members[0]].views
            starts = np.stack([self.batches[k].starts(step) for k in members])
            if isinstance(views, Tensor):
                places = to_device(torch.from_numpy(starts), self.device)
                found = widen(views[places])
            else:
                found = to_device(torch.from_numpy(views[starts].astype(np.int64)), self.device)
            if len(members) == len(self.batches):
                self.tokens.copy_(found)
                continue
            for k, windows in zip(members, found, strict=True):
                self.tokens[k].copy_(windows)
