"""The kinds of optimizer."""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from scaling.budget import Count, Positive
from scaling.config.part import Memory, Part, mistake

RATE_BY_SIZE = "peak learning rate; else 0.003239 - 0.0001395 ln N (Kaplan, arXiv:2001.08361)"


def rate_by_size(d_model: int, n_layers: int) -> float:
    """Kaplan et al.'s rule of thumb for Adam, their equation D.1, with their N = 12 L d^2.

    It is cautious: at 1.3M parameters and 1.6M tokens, 3e-3 ends lower than its 1.3e-3.
    """
    parameters = 12 * n_layers * d_model**2
    return max(1e-5, 0.003239 - 0.0001395 * math.log(parameters))


class Optimizer(Part):
    """What all optimizers have."""

    own_fields: ClassVar[frozenset[str]] = frozenset({"lr", "weight_decay", "beta1", "beta2"})

    lr: Positive | None = Field(None, description="peak learning rate")
    weight_decay: float = Field(0.0, ge=0, description="decay, times the rate; of all but vectors")
    decay_embeddings: bool = Field(True, description="embeddings and the head decay too")
    grad_clip: Positive | None = Field(1.0, description="largest gradient norm; null: no clipping")

    @property
    def peak_lr(self) -> float:
        """The peak learning rate, given or derived."""
        assert self.lr is not None
        return self.lr

    def used(self, rate: float, step: int) -> float:
        """What update number `step`, from 1 on, uses of the schedule's rate."""
        return rate


class Adam(Optimizer):
    """Adam, with weight decay as a penalty on the loss (Kingma and Ba, arXiv:1412.6980)."""

    kind: Literal["adam"] = "adam"
    lr: Positive | None = Field(None, description=RATE_BY_SIZE)
    weight_decay: float = Field(
        0.0, ge=0, description="penalty in the gradient; on all but vectors"
    )
    beta1: Memory = Field(0.9, description="memory of the gradient's mean")
    beta2: Memory = Field(0.95, description="memory of the gradient's square")
    eps: Positive = Field(1e-8, description="floor of the denominator")


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    lr: Positive | None = Field(None, description=RATE_BY_SIZE)
    weight_decay: float = Field(0.1, ge=0, description="decay, times the rate; of all but vectors")
    beta1: Memory = Field(0.9, description="memory of the gradient's mean")
    beta2: Memory = Field(0.95, description="memory of the gradient's square")
    eps: Positive = Field(1e-8, description="floor of the denominator")


class SGD(Optimizer):
    """Gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"
    lr: Positive | None = Field(0.3, description="peak learning rate")
    weight_decay: float = Field(
        0.0, ge=0, description="penalty in the gradient; on all but vectors"
    )
    momentum: Memory = Field(0.9, description="memory of the update")
    nesterov: bool = Field(False, description="look ahead along the momentum")

    @model_validator(mode="after")
    def _looks_along_something(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise mistake(
                "optimizer.nesterov looks ahead along the momentum, and optimizer.momentum is 0;"
                " give a momentum, or leave nesterov out"
            )
        return self


class Adafactor(Optimizer):
    """Factored second moments, steps relative to the weights (arXiv:1804.04235)."""

    kind: Literal["adafactor"] = "adafactor"
    lr: Positive | None = Field(
        0.05,
        description="largest step, relative to the weights' rms; never above 1 over the root of"
        " the step's number",
    )
    weight_decay: float = Field(0.0, ge=0, description="decay, times the rate; of all but vectors")
    beta2_decay: float = Field(-0.8, lt=0, description="memory is 1 - step^this")
    clip_threshold: Positive = Field(1.0, description="largest rms of an update")

    def used(self, rate: float, step: int) -> float:
        """No more than the paper's relative step."""
        return min(rate, step**-0.5)


class Lion(Optimizer):
    """The sign of an interpolated momentum (Chen et al., arXiv:2302.06675)."""

    kind: Literal["lion"] = "lion"
    lr: Positive | None = Field(5e-4, description="peak learning rate; a tenth of Adam's")
    weight_decay: float = Field(0.5, ge=0, description="decay, times the rate; of all but vectors")
    beta1: Memory = Field(0.9, description="memory in the update")
    beta2: Memory = Field(0.99, description="memory of the momentum")


class Muon(Optimizer):
    """Orthogonalised momentum for the blocks' matrices, AdamW for the rest (Jordan, 2024)."""

    kind: Literal["muon"] = "muon"
    lr: Positive | None = Field(0.02, description="peak learning rate of the blocks' matrices")
    weight_decay: float = Field(0.0, ge=0, description="decay, times the rate; of all but vectors")
    momentum: Memory = Field(0.95, description="memory of the update")
    nesterov: bool = Field(True, description="look ahead along the momentum")
    ns_steps: Count = Field(5, description="Newton-Schulz iterations")
    scale: Literal["spectral", "rms"] = Field(
        "spectral",
        description="steps of one spectral norm for all shapes, or of AdamW's rms"
        " (Liu et al., arXiv:2502.16982)",
    )
    adamw_lr: Positive = Field(3e-3, description="AdamW's peak rate: embeddings, head, vectors")
    beta1: Memory = Field(0.9, description="AdamW's memory of the gradient's mean")
    beta2: Memory = Field(0.95, description="AdamW's memory of the gradient's square")
    eps: Positive = Field(1e-8, description="AdamW's floor of the denominator")


OptimizerConfig = Annotated[
    Adam | AdamW | SGD | Adafactor | Lion | Muon, Field(discriminator="kind")
]
