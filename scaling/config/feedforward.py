"""The kinds of feedforward."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scaling.budget import Count, Positive
from scaling.config.part import Part, mistake


class Feedforward(Part):
    """What all kinds have: a hidden width."""

    d_ff: Count | None = Field(None, description="hidden width; else 4 d_model")

    def width(self, d_model: int) -> int:
        """The hidden width at this model width."""
        return self.d_ff or 4 * d_model


class SwiGLU(Feedforward):
    """Gated feedforward, silu(x W) * x V (Shazeer, arXiv:2002.05202)."""

    kind: Literal["swiglu"] = "swiglu"
    d_ff: Count | None = Field(
        None, description="hidden width; else 8/3 d_model, rounded up to a multiple of 32"
    )

    def width(self, d_model: int) -> int:
        """The hidden width at this model width."""
        return self.d_ff or gated_width(d_model)


def gated_width(d_model: int) -> int:
    """A width that gives a gated feedforward the parameters of a plain one of 4 d_model."""
    return -(-(8 * d_model) // (3 * 32)) * 32


class GELU(Feedforward):
    """gelu(x W) U, in the tanh form of GPT-2 (Hendrycks and Gimpel, arXiv:1606.08415)."""

    kind: Literal["gelu"] = "gelu"


class ReLUSquared(Feedforward):
    """relu(x W)^2 U (Primer, arXiv:2109.08668)."""

    kind: Literal["relu_squared"] = "relu_squared"


class MixtureOfExperts(Feedforward):
    """Each token goes to a few of many feedforwards (GShard, arXiv:2006.16668)."""

    kind: Literal["moe"] = "moe"
    d_ff: Count | None = Field(
        None, description="hidden width of an expert; else 4 d_model (8/3 with swiglu)"
    )
    activation: Literal["gelu", "relu_squared", "swiglu"] = Field(
        "gelu", description="what kind of feedforward an expert is"
    )
    n_experts: Count = Field(8, description="experts")
    top_k: Count = Field(2, description="experts that a token goes to")
    capacity_factor: Positive = Field(
        1.25,
        description="room of an expert in training, over its even share of a sequence's tokens;"
        " what comes when it is full is dropped",
    )
    aux_loss: float = Field(
        0.01, ge=0, description="weight of the load-balancing loss (Switch, arXiv:2101.03961)"
    )
    z_loss: float = Field(
        1e-3, ge=0, description="weight of the router's squared log-sum-exp (arXiv:2202.08906)"
    )

    def width(self, d_model: int) -> int:
        """The hidden width of an expert at this model width."""
        return self.d_ff or (gated_width(d_model) if self.activation == "swiglu" else 4 * d_model)

    @model_validator(mode="after")
    def _enough_experts(self) -> Self:
        if self.top_k > self.n_experts:
            raise mistake(
                f"model.feedforward.top_k {self.top_k} is more than the {self.n_experts} experts;"
                f" it is at most {self.n_experts}"
            )
        return self


FeedforwardConfig = Annotated[
    SwiGLU | GELU | ReLUSquared | MixtureOfExperts, Field(discriminator="kind")
]
