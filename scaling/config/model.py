"""The decoder's shape, and the parts that are too small for a file of their own."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scaling.budget import Count, Positive
from scaling.config.attention import (
    AttentionConfig,
    DifferentialAttention,
    LatentAttention,
    MultiHeadAttention,
)
from scaling.config.feedforward import FeedforwardConfig, SwiGLU
from scaling.config.part import Part, divisors, mistake, nearest_divisor, nearest_to


class Rope(Part):
    """Rotary positions (Su et al., arXiv:2104.09864)."""

    kind: Literal["rope"] = "rope"
    theta: Positive = Field(10_000.0, description="base of the wavelengths")


class LearnedPosition(Part):
    """A learned vector for each position, added to the token's (GPT-2)."""

    kind: Literal["learned"] = "learned"
    max_length: Count | None = Field(
        None, description="positions that there are; else the context length"
    )


class Alibi(Part):
    """Scores fall linearly with distance (Press et al., arXiv:2108.12409)."""

    kind: Literal["alibi"] = "alibi"


class NoPosition(Part):
    """Nothing but causality tells the order (Haviv et al., arXiv:2203.16634)."""

    kind: Literal["none"] = "none"


PositionConfig = Annotated[
    Rope | LearnedPosition | Alibi | NoPosition, Field(discriminator="kind")
]


class PlainResidual(Part):
    """Branches are added as they are."""

    kind: Literal["plain"] = "plain"


class LearnedResidual(Part):
    """Each channel of each branch has a learned gain (LayerScale, arXiv:2103.17239)."""

    kind: Literal["learned"] = "learned"
    start: float = Field(1.0, ge=0, description="the gains' first value")


class DepthResidual(Part):
    """Branches are scaled by a power of the depth (Depth-muP, arXiv:2310.02244)."""

    kind: Literal["depth"] = "depth"
    power: float = Field(
        0.5,
        ge=0,
        le=1,
        description="a branch counts blocks^-power; 1 is CompleteP's (arXiv:2505.01618); learning"
        " rates are not scaled with the depth",
    )


ResidualConfig = Annotated[
    PlainResidual | LearnedResidual | DepthResidual, Field(discriminator="kind")
]


class StandardParametrization(Part):
    """One learning rate for all widths, and initial weights as init_std says."""

    kind: Literal["standard"] = "standard"


class MaximalUpdate(Part):
    """muP: what is tuned at one width holds at others (Yang et al., arXiv:2203.03466)."""

    kind: Literal["mup"] = "mup"
    base_width: Count = Field(
        128,
        description="the d_model at which nothing is scaled; d_ff and kv_rank grow with d_model,"
        " or their rates do not hold, and with muon those of all that does not, as a router",
    )
    base_head_dim: Count = Field(
        32, description="the head_dim at which scores are scaled by its root; muP scales by it"
    )


ParametrizationConfig = Annotated[
    StandardParametrization | MaximalUpdate, Field(discriminator="kind")
]


def small_init(width: float) -> float:
    """The initial deviation for a width, sqrt(2 / 5 width) (arXiv:1910.05895)."""
    return round(math.sqrt(2 / (5 * width)), 4)


class ModelConfig(Part):
    """The decoder's shape."""

    d_model: Count = Field(128, description="width of the residual stream")
    n_layers: Count = Field(4, description="blocks")
    n_heads: Count | None = Field(None, description="heads of queries; else d_model / head_dim")
    head_dim: Count | None = Field(None, description="width of a head; else d_model / n_heads")
    attention: AttentionConfig = MultiHeadAttention()
    feedforward: FeedforwardConfig = SwiGLU()
    position: PositionConfig = Rope()
    norm: Literal["rmsnorm", "layernorm"] = Field(
        "rmsnorm", description="what normalises (arXiv:1910.07467, arXiv:1607.06450)"
    )
    norm_placement: Literal["pre", "post"] = Field(
        "pre", description="normalise a branch's input, or the sum it has been added to"
    )
    parallel: bool = Field(
        False, description="attention and feedforward read one input (arXiv:2204.02311)"
    )
    bias: bool = Field(False, description="products and LayerNorms have biases")
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the embeddings' and the branches' channels zeroed in training",
    )
    residual: ResidualConfig = PlainResidual()
    tie_embeddings: bool = Field(True, description="the output head is the token embedding")
    logit_softcap: Positive | None = Field(
        None, description="logits l become cap tanh(l / cap) (Gemma 2, arXiv:2408.00118)"
    )
    parametrization: ParametrizationConfig = StandardParametrization()
    init_std: Positive | None = Field(
        None,
        description="standard deviation of the initial weights; else sqrt(2 / 5 d_model)"
        " (arXiv:1910.05895), in muP that of the base width",
    )
    residual_init: Literal["scaled", "same", "zero"] | None = Field(
        None,
        description="of the products that write to the residual stream: init_std over the root of"
        " the branches (GPT-2), init_std, or nothing; else scaled, but same where residual scales"
        " the branches by depth",
    )

    @property
    def n_kv_heads(self) -> int:
        """Heads of keys and values."""
        assert self.n_heads is not None
        return self.attention.kv_heads(self.n_heads)

    @property
    def d_ff(self) -> int:
        """The feedforward's hidden width."""
        return self.feedforward.width(self.d_model)

    @property
    def width_ratio(self) -> float:
        """The width over muP's base width; 1 in the standard parametrization."""
        match self.parametrization:
            case MaximalUpdate(base_width=base):
                return self.d_model / base
        return 1.0

    @model_validator(mode="after")
    def _heads(self) -> Self:
        width, heads, dim = self.d_model, self.n_heads, self.head_dim
        if heads is None and dim is None:
            dim = 32
        if heads is None:
            assert dim is not None
            if width % dim:
                fitting = [width // heads for heads in self._fitting_heads()]
                raise mistake(
                    f"model.head_dim {dim} does not divide model.d_model {width};"
                    f" the nearest that does is {nearest_to(dim, fitting)}",
                )
            heads = width // dim
        elif dim is None:
            if width % heads:
                raise mistake(
                    f"model.n_heads {heads} does not divide model.d_model {width};"
                    f" the nearest that does is {nearest_to(heads, self._fitting_heads())}",
                )
            dim = width // heads
        elif heads * dim != width:
            raise mistake(
                f"model.n_heads {heads} x model.head_dim {dim} is {heads * dim}, not"
                f" model.d_model {width}; leave one of the two out and it follows",
            )
        self._derive(n_heads=heads, head_dim=dim)
        self._derive(feedforward=self.feedforward.model_copy(update={"d_ff": self.d_ff}))
        if self.init_std is None:
            self._derive(init_std=small_init(self.d_model / self.width_ratio))
        if self.residual_init is None:
            by_depth = isinstance(self.residual, DepthResidual)
            self._derive(residual_init="same" if by_depth else "scaled")
        if isinstance(self.residual, LearnedResidual) and (
            self.residual.start == 0 and self.residual_init == "zero"
        ):
            raise mistake(
                "model.residual.start 0 with model.residual_init zero: no block would ever learn,"
                " since the gains and what they multiply wait for each other; start one of them"
                " above zero"
            )
        self._check_attention(heads, dim)
        return self

    @property
    def _turned(self) -> bool:
        """Whether rotary positions turn the heads' channels, in pairs."""
        return isinstance(self.position, Rope) and not isinstance(self.attention, LatentAttention)

    def _fitting_heads(self) -> list[int]:
        """The numbers of heads that the width, the positions and the attention allow."""
        width, paired = self.d_model, isinstance(self.attention, DifferentialAttention)
        step = (2 if self._turned else 1) * (2 if paired else 1)
        if width % step:
            what = "pairs of heads" if paired else "heads"
            even = " of an even width, which rotary positions turn" if self._turned else ""
            near = nearest_to(width, (width // step * step or step, (width // step + 1) * step))
            raise mistake(
                f"model.d_model {width} does not make {what}{even};"
                f" the nearest that does is {near}"
            )
        fitting = [
            heads
            for heads in divisors(width)
            if not (paired and heads % 2) and not (self._turned and width // heads % 2)
        ]
        return [h for h in fitting if h % self.attention.kv_heads(h) == 0] or fitting

    def _check_attention(self, heads: int, dim: int) -> None:
        attention = self.attention
        rotary = isinstance(self.position, Rope)
        if heads % self.n_kv_heads:
            raise mistake(
                f"model.attention.n_kv_heads {self.n_kv_heads} does not divide the {heads} heads;"
                f" the nearest that does is {nearest_divisor(heads, self.n_kv_heads)}",
            )
        if isinstance(attention, DifferentialAttention) and heads % 2:
            raise mistake(
                f"model.attention.kind differential pairs the heads, and {heads} is odd;"
                f" the nearest that fits is {nearest_to(heads, self._fitting_heads())}",
            )
        if isinstance(attention, LatentAttention):
            rope_dim = (attention.rope_dim or max(2, dim // 4 * 2)) if rotary else None
            if rope_dim is not None and rope_dim % 2:
                raise mistake(
                    f"rotary positions turn pairs, and model.attention.rope_dim {rope_dim} is odd;"
                    f" use an even one such as {rope_dim + 1}",
                )
            rank = attention.kv_rank or max(1, self.d_model // 4)
            derived = attention.model_copy(update={"kv_rank": rank, "rope_dim": rope_dim})
            self._derive(attention=derived)
        elif self._turned and dim % 2:
            near = nearest_to(dim, (self.d_model // heads for heads in self._fitting_heads()))
            raise mistake(
                f"rotary positions turn pairs, and model.head_dim {dim} (d_model {self.d_model}"
                f" over {heads} heads) is odd; the nearest even one that divides the width is"
                f" {near} (model.n_heads {self.d_model // near})",
            )
