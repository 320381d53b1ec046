"""Weight averaging: an exponential moving average of every member's weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Average:
    """Averages of stacked parameters, `[M, ...]` each, over about the last 1 / (1 - decay) steps.

    While the run is young the memory is shorter, (1 + n) / (10 + n) after n updates, so that the
    initial weights are soon forgotten.
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        self.parameters, self.decay = list(parameters), decay
        self.averages = [parameter.detach().clone() for parameter in parameters]
        # Of the way to the weights that an update goes; on the device, for recorded steps.
        self._share = torch.zeros((), device=self.averages[0].device)

    def set_step(self, step: int) -> None:
        """Get ready for the weights after update `step` (from 0)."""
        self._share.fill_(1 - min(self.decay, (1 + step) / (10 + step)))

    @torch.no_grad()
    def move(self) -> None:
        """Take in the weights as they are."""
        ways = torch._foreach_sub([p.detach() for p in self.parameters], self.averages)
        torch._foreach_mul_(ways, self._share)
        torch._foreach_add_(self.averages, ways)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While entered, the parameters hold the averages."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            held = parameter.detach().clone()
            parameter.copy_(average)  # in place, since optimizers hold views of it
            average.copy_(held)
