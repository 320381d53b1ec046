"""One optimizer step of a cohort, from buffers that stay where they are."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from scaling.data.windows import Windows
from scaling.evaluation import GivenUpError
from scaling.graph import Recorded
from scaling.model.decoder import Decoder
from scaling.model.dropout import spread, step_keys
from scaling.optim import Average, MemberOptimizers
from scaling.runtime import to_device


def _never() -> bool:
    return False


class TrainingStep:
    """Forward, backward, clip, update, average, and each member's figures.

    What changes from step to step is put into buffers beforehand: tokens, rates, dropout keys, the
    average's memory. So on a CUDA device the step is a recorded graph that is replayed, and
    nothing in it, nor in filling the buffers, waits for the device. Members' losses, figures and
    norms are left in `loss`, `figures` and `norms` until the next step.
    """

    def __init__(
        self,
        model: Decoder,
        optimizers: MemberOptimizers,
        average: Average | None,
        windows: Windows,
        *,
        seeds: Sequence[int],
        micro_size: int,
    ) -> None:
        self.model, self.optimizers, self.average = model, optimizers, average
        self.windows, self.seeds, self.micro_size = windows, list(seeds), micro_size
        device = windows.device
        _, self.rows, length = windows.inputs.shape
        self.tokens = self.rows * length
        self._keys: Tensor | None = None  # [M], of the dropout of a step
        if model.config.dropout:
            self._keys = torch.zeros(model.members, dtype=torch.int32, device=device)
        # Per member: mean loss in nats a token, what the model reports, norms of each gradient.
        self.loss = torch.zeros(model.members, dtype=torch.float64, device=device)
        self.figures = self.loss.new_zeros(model.members, len(model.figure_names()))
        self.norms = torch.zeros(model.members, len(optimizers.names), device=device)
        self._recorded = Recorded(device)

    @property
    def recorded(self) -> bool:
        """Whether steps are replays of a graph by now."""
        return self._recorded.recorded

    @property
    def settled(self) -> bool:
        """Whether steps are by now as fast as they will be: compiled and recorded."""
        return self._recorded.settled

    def forget(self) -> None:
        """Record anew: optimizers have been given other tensors for their state."""
        self._recorded.forget()

    def __call__(
        self, step: int, factors: Sequence[float], stopped: Callable[[], bool] = _never
    ) -> None:
        """Do step `step` (from 0) of all members, at `factors[k]` times member k's peak rates.

        Raises GivenUpError where it has been `stopped`, as is asked between micro-batches: all
        members are then as they were before it. On a card, where steps are short, nobody asks.
        """
        self.windows.fill(step)
        self.optimizers.set_rates(factors)
        if self.average is not None:
            self.average.set_step(step)
        if self._keys is not None:
            keys = torch.tensor(step_keys(self.seeds, step), dtype=torch.int32)
            self._keys.copy_(to_device(keys, self._keys.device))
        if self.windows.device.type != "cpu":
            stopped = _never  # what is recorded asks nothing of the host
        self._recorded(partial(self._run, stopped))

    def _run(self, stopped: Callable[[], bool]) -> None:
        """The step, of what the buffers hold."""
        self.loss.zero_()
        self.figures.zero_()
        inputs, targets = self.windows.inputs, self.windows.targets
        for start in range(0, self.rows, self.micro_size):
            if start and stopped():
                self.optimizers.zero_grad()
                raise GivenUpError
            part = slice(start, start + self.micro_size)
            keys = None if self._keys is None else spread(self._keys, start, self.micro_size)
            result = self.model.training_loss(inputs[:, part], targets[:, part], keys)
            minimised = result.loss if result.penalty is None else result.loss + result.penalty
            (minimised / self.tokens).sum().backward()  # type: ignore[no-untyped-call]
            self.loss += result.loss.detach() / self.tokens
            if result.figures is not None:
                self.figures += result.figures * (self.micro_size / self.rows)
        self.norms.copy_(self.optimizers.clip())
        self.optimizers.update()
        self.optimizers.zero_grad()
        if self.average is not None:
            self.average.move()
