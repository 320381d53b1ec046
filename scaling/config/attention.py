"""The kinds of attention."""

from typing import Annotated, Literal

from pydantic import Field

from scaling.budget import Count, Positive
from scaling.config.part import Part


class Attention(Part):
    """What all kinds of attention have."""

    qk_norm: bool = Field(
        False, description="RMSNorm of each head's queries and keys (arXiv:2302.05442)"
    )
    softcap: Positive | None = Field(
        None, description="scores s become cap tanh(s / cap) (Gemma 2, arXiv:2408.00118)"
    )

    def kv_heads(self, heads: int) -> int:
        """Heads of keys and values beside so many heads of queries."""
        return heads


class MultiHeadAttention(Attention):
    """Every head has its own keys and values (Vaswani et al., arXiv:1706.03762)."""

    kind: Literal["mha"] = "mha"


class GroupedQueryAttention(Attention):
    """Groups of heads share keys and values (Ainslie et al., arXiv:2305.13245)."""

    kind: Literal["gqa"] = "gqa"
    n_kv_heads: Count = Field(2, description="heads of keys and values; divides the heads")

    def kv_heads(self, heads: int) -> int:
        """As given."""
        return self.n_kv_heads


class MultiQueryAttention(Attention):
    """All heads share one head of keys and values (Shazeer, arXiv:1911.02150)."""

    kind: Literal["mqa"] = "mqa"

    def kv_heads(self, heads: int) -> int:
        """One."""
        return 1


class _Grouping(Attention):
    n_kv_heads: Count | None = Field(
        None, description="heads of keys and values; divides the heads; else as many"
    )

    def kv_heads(self, heads: int) -> int:
        """As given, else one for each head of queries."""
        return self.n_kv_heads or heads


class SlidingWindowAttention(_Grouping):
    """A token sees itself and the few before it (Longformer, arXiv:2004.05150)."""

    kind: Literal["sliding_window"] = "sliding_window"
    window: Count = Field(64, description="tokens that a token sees, itself one of them")
    full_every: Count | None = Field(
        None, description="each so many-th block sees all tokens; null: none does"
    )


class GatedAttention(_Grouping):
    """What the heads give is gated by their input (Qiu et al., arXiv:2505.06708)."""

    kind: Literal["gated"] = "gated"
    gate: Literal["channel", "head"] = Field(
        "channel", description="a gate for each channel, or one for each head"
    )


class DifferentialAttention(Attention):
    """Pairs of heads, one subtracted from the other (Ye et al., arXiv:2410.05258)."""

    kind: Literal["differential"] = "differential"


class LatentAttention(Attention):
    """Keys and values from a small latent (MLA of DeepSeek-V2, arXiv:2405.04434)."""

    kind: Literal["mla"] = "mla"
    kv_rank: Count | None = Field(
        None, description="width of the latent that the cache keeps; else d_model / 4"
    )
    rope_dim: Count | None = Field(
        None,
        description="channels of a key apart from the latent, shared by all heads, that rotary"
        " positions turn; else head_dim / 2 rounded to even",
    )


AttentionConfig = Annotated[
    MultiHeadAttention
    | GroupedQueryAttention
    | MultiQueryAttention
    | SlidingWindowAttention
    | GatedAttention
    | DifferentialAttention
    | LatentAttention,
    Field(discriminator="kind"),
]
