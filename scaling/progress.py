"""How far a cohort's members have come: what their checkpoints hold beside the tensors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor

from scaling.evaluation import Evaluation


@dataclass
class Progress:
    """All that a run needs to go on as if nothing had been; member k has the entries k."""

    loss_sum: Tensor  # [M], float64, on the device: of the steps since the last log
    figure_sum: Tensor  # [M, F], likewise, of what the model reports of itself
    train_loss: list[float]  # the mean of the newest steps, of `train_steps` of them; nan before
    last: list[Evaluation | None]
    last_average: list[float | None]  # the loss of the averaged weights
    best: list[tuple[Evaluation, int] | None]  # and its step
    diverged: list[int | None]  # at which step; the record says it, since nothing is saved then
    step: int = 0
    loss_steps: int = 0  # in the sums
    train_steps: int = 0
    evaluated_at: int | None = None

    @classmethod
    def at_start(cls, members: int, figures: int, device: torch.device) -> "Progress":
        """Of members whose models report so many figures."""
        loss_sum = torch.zeros(members, dtype=torch.float64, device=device)
        return cls(
            loss_sum,
            loss_sum.new_zeros(members, figures),
            train_loss=[math.nan] * members,
            last=[None] * members,
            last_average=[None] * members,
            best=[None] * members,
            diverged=[None] * members,
        )

    @classmethod
    def read(
        cls,
        saved: Sequence[Mapping[str, Any]],
        diverged: Sequence[int | None],
        device: torch.device,
    ) -> "Progress":
        """Of members as `of_member` gave them. One that has diverged stands where it last did."""
        first = saved[next((k for k, at in enumerate(diverged) if at is None), 0)]
        losses = [one["loss_sum"] for one in saved]
        loss_sum = torch.tensor(losses, dtype=torch.float64, device=device)
        return cls(
            loss_sum,
            loss_sum.new_tensor([one["figure_sum"] for one in saved]),
            train_loss=[_or_nan(one["train_loss"]) for one in saved],
            last=[Evaluation(*one["last"]) if one["last"] else None for one in saved],
            last_average=[one["last_average"] for one in saved],
            best=[
                (Evaluation(*one["best"][0]), one["best"][1]) if one["best"] else None
                for one in saved
            ],
            diverged=list(diverged),
            step=first["step"],
            loss_steps=first["loss_steps"],
            train_steps=first["train_steps"],
            evaluated_at=first["evaluated_at"],
        )

    def of_member(self, k: int) -> dict[str, Any]:
        """Member k's, as JSON can hold it."""
        last, best, loss = self.last[k], self.best[k], self.train_loss[k]
        return {
            "step": self.step,
            "loss_sum": float(self.loss_sum[k]),
            "loss_steps": self.loss_steps,
            "figure_sum": self.figure_sum[k].tolist(),
            "evaluated_at": self.evaluated_at,
            "last": None if last is None else astuple(last),
            "last_average": self.last_average[k],
            "best": None if best is None else [astuple(best[0]), best[1]],
            "train_loss": loss if math.isfinite(loss) else None,
            "train_steps": self.train_steps,
        }

    @property
    def all_diverged(self) -> bool:
        """Whether there is nothing left to train."""
        return all(at is not None for at in self.diverged)

    def add(self, loss: Tensor, figures: Tensor) -> None:
        """A step's loss `[M]` and figures `[M, F]`, without waiting for a device."""
        self.loss_sum += loss
        self.figure_sum += figures
        self.loss_steps += 1
        self.step += 1

    def take_means(self) -> tuple[Tensor, Tensor]:
        """The means of loss `[M]` and figures `[M, F]` since this was last asked."""
        means = self.loss_sum / self.loss_steps, self.figure_sum / self.loss_steps
        self.loss_sum.zero_()
        self.figure_sum.zero_()
        self.loss_steps = 0
        return means


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
