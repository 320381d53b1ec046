"""What a run is, as data: `RunConfig` and its parts.

Every field has a description; the command line's help and the flags are made from them. Variants
are unions told apart by `kind`. How files, `extends` and flags become a config is in `recipes.py`.
"""

import hashlib
import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from scaling.budget import Budget, Count, Positive

Share = Annotated[float, Field(ge=0, le=1)]
Interval = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def mistake(message: str) -> PydanticCustomError:
    """The error of a rule that spans fields, as a clause that names them."""
    return PydanticCustomError("mistake", "{message}", {"message": message})


class Part(BaseModel):
    """A piece of a config: frozen, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _default_kinds(cls, given: Any) -> Any:
        """A variant's fields without its `kind` mean the variant that is the default."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        for name, value in given.items():
            field = cls.model_fields.get(name)
            kind = getattr(field.default, "kind", None) if field else None
            if kind is not None and isinstance(value, dict) and "kind" not in value:
                filled[name] = {"kind": kind, **value}
        return filled

    def _derive(self, **values: Any) -> None:
        """Fill in fields that follow from others; only for validators."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


# ---------------------------------------------------------------- data


class StoriesCorpus(Part):
    """The embedded corpus: generated children's stories with a known entropy floor."""

    kind: Literal["stories"] = "stories"
    documents: Count = Field(16_000, description="how many stories there are, all splits together")
    seed: int = Field(0, ge=0, description="which world of stories; not the run's seed")


class TinyStoriesCorpus(Part):
    """TinyStories (Eldan and Li, arXiv:2305.07759) through the `datasets` library."""

    kind: Literal["tinystories"] = "tinystories"
    version: Literal["v1", "v2-gpt4"] = Field("v1", description="the GPT-3.5 or the GPT-4 stories")
    source: str = Field(
        "roneneldan/TinyStories", description="hub name, or a local folder of the same layout"
    )
    revision: str | None = Field(None, description="commit, tag or branch on the hub")
    streaming: bool = Field(False, description="read over the network, without a local copy")


class FilesCorpus(Part):
    """One's own text: .txt, .jsonl, .json, .csv or .parquet."""

    kind: Literal["files"] = "files"
    files: str | None = Field(None, description="a glob of files to be split by document")
    train: str | None = Field(None, description="a glob of training files, in place of `files`")
    validation: str | None = Field(None, description="a glob of validation files")
    test: str | None = Field(None, description="a glob of test files")
    text_field: str = Field("text", description="the field or column that holds the text")
    separator: str = Field("<|endoftext|>", description="what divides the documents of a .txt")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.files is None) == (self.train is None):
            raise mistake("give either data.corpus.files or data.corpus.train")
        if self.files is not None and (self.validation or self.test):
            raise mistake("data.corpus.validation and .test go with data.corpus.train")
        return self


Corpus = Annotated[StoriesCorpus | TinyStoriesCorpus | FilesCorpus, Field(discriminator="kind")]


class BpeTokenizer(Part):
    """Byte-level BPE, trained on the train split."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: int = Field(4096, ge=258, description="entries, the end-of-text token included")


class CharTokenizer(Part):
    """One token a character of the train split."""

    kind: Literal["char"] = "char"


class ByteTokenizer(Part):
    """One token a byte."""

    kind: Literal["byte"] = "byte"


class Gpt2Tokenizer(Part):
    """GPT-2's byte-level BPE of 50,257 entries."""

    kind: Literal["gpt2"] = "gpt2"
    vocab: str | None = Field(None, description="a local vocab.json; else from the hub")
    merges: str | None = Field(None, description="a local merges.txt; else from the hub")

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.vocab is None) != (self.merges is None):
            raise mistake("a local GPT-2 tokenizer needs both vocab and merges")
        return self


Tokenizer = Annotated[
    BpeTokenizer | CharTokenizer | ByteTokenizer | Gpt2Tokenizer, Field(discriminator="kind")
]


class DataConfig(Part):
    """What is learned from."""

    corpus: Corpus = StoriesCorpus()
    tokenizer: Tokenizer = BpeTokenizer()
    context_length: int = Field(256, ge=2, description="tokens that the model sees at once")
    fraction: float = Field(
        1.0, gt=0, le=1, description="share of the train split's documents, nested"
    )
    max_documents: Count | None = Field(
        None, description="at most so many documents of the train split, nested"
    )
    validation_share: float = Field(
        0.05, gt=0, lt=0.5, description="documents held out, where the source names no split"
    )
    test_share: float = Field(0.05, ge=0, lt=0.5, description="documents kept for the last figure")
    val_is_test: bool = Field(False, description="report the validation split as the test split")


# ---------------------------------------------------------------- model


class Attention(Part):
    """What all kinds of attention have."""


class MultiHeadAttention(Attention):
    """Every head has its own keys and values (Vaswani et al., arXiv:1706.03762)."""

    kind: Literal["mha"] = "mha"


class GroupedQueryAttention(Attention):
    """Groups of heads share keys and values (Ainslie et al., arXiv:2305.13245)."""

    kind: Literal["gqa"] = "gqa"
    n_kv_heads: Count = Field(2, description="heads of keys and values; divides the heads")


class MultiQueryAttention(Attention):
    """All heads share one head of keys and values (Shazeer, arXiv:1911.02150)."""

    kind: Literal["mqa"] = "mqa"


AttentionConfig = Annotated[
    MultiHeadAttention | GroupedQueryAttention | MultiQueryAttention, Field(discriminator="kind")
]


class SwiGLU(Part):
    """Gated feedforward, silu(x W) * x V (Shazeer, arXiv:2002.05202)."""

    kind: Literal["swiglu"] = "swiglu"
    d_ff: Count | None = Field(
        None, description="hidden width; else 8/3 d_model, rounded up to a multiple of 32"
    )

    def width(self, d_model: int) -> int:
        """The hidden width at this model width."""
        return self.d_ff or -(-(8 * d_model) // (3 * 32)) * 32


FeedforwardConfig = Annotated[SwiGLU, Field(discriminator="kind")]


class Rope(Part):
    """Rotary positions (Su et al., arXiv:2104.09864)."""

    kind: Literal["rope"] = "rope"
    theta: Positive = Field(10_000.0, description="base of the wavelengths")


PositionConfig = Annotated[Rope, Field(discriminator="kind")]


class ModelConfig(Part):
    """The decoder's shape."""

    d_model: Count = Field(128, description="width of the residual stream")
    n_layers: Count = Field(4, description="blocks")
    n_heads: Count | None = Field(None, description="heads of queries; else d_model / head_dim")
    head_dim: Count | None = Field(None, description="width of a head; else d_model / n_heads")
    attention: AttentionConfig = MultiHeadAttention()
    feedforward: FeedforwardConfig = SwiGLU()
    position: PositionConfig = Rope()
    norm: Literal["rmsnorm"] = Field("rmsnorm", description="what normalises a block's input")
    tie_embeddings: bool = Field(True, description="the output head is the token embedding")
    init_std: Positive = Field(0.02, description="standard deviation of the initial weights")

    @property
    def n_kv_heads(self) -> int:
        """Heads of keys and values."""
        match self.attention:
            case GroupedQueryAttention(n_kv_heads=n):
                return n
            case MultiQueryAttention():
                return 1
        assert self.n_heads is not None
        return self.n_heads

    @model_validator(mode="after")
    def _heads(self) -> Self:
        width, heads, dim = self.d_model, self.n_heads, self.head_dim
        if heads is None and dim is None:
            dim = 32
        if heads is None:
            assert dim is not None
            if width % dim:
                raise mistake(
                    f"model.head_dim {dim} does not divide model.d_model {width};"
                    f" the nearest that does is {_nearest_divisor(width, dim)}",
                )
            heads = width // dim
        elif dim is None:
            if width % heads:
                raise mistake(
                    f"model.n_heads {heads} does not divide model.d_model {width};"
                    f" the nearest that does is {_nearest_divisor(width, heads)}",
                )
            dim = width // heads
        elif heads * dim != width:
            raise mistake(
                f"model.n_heads {heads} x model.head_dim {dim} is {heads * dim}, not"
                f" model.d_model {width}; leave one of the two out and it follows",
            )
        if isinstance(self.position, Rope) and dim % 2:
            raise mistake(
                f"rotary positions turn pairs, and model.head_dim {dim} (d_model {width} over"
                f" {heads} heads) is odd; use an even one such as {dim + 1}",
            )
        feedforward = self.feedforward.model_copy(
            update={"d_ff": self.feedforward.width(self.d_model)}
        )
        self._derive(n_heads=heads, head_dim=dim, feedforward=feedforward)
        if heads % self.n_kv_heads:
            raise mistake(
                f"model.attention.n_kv_heads {self.n_kv_heads} does not divide the {heads} heads;"
                f" the nearest that does is {_nearest_divisor(heads, self.n_kv_heads)}",
            )
        return self


def _nearest_divisor(whole: int, wanted: int) -> int:
    return min((d for d in range(1, whole + 1) if whole % d == 0), key=lambda d: abs(d - wanted))


# ---------------------------------------------------------------- training


class AdamW(Part):
    """Adam with decoupled weight decay on matrices only (arXiv:1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    lr: Positive = Field(3e-3, description="peak learning rate")
    weight_decay: float = Field(0.1, ge=0, description="decay of matrices, times the rate")
    beta1: Share = Field(0.9, description="memory of the gradient's mean")
    beta2: Share = Field(0.95, description="memory of the gradient's square")
    eps: Positive = Field(1e-8, description="floor of the denominator")
    grad_clip: Positive | None = Field(1.0, description="largest gradient norm; null: no clipping")


OptimizerConfig = Annotated[AdamW, Field(discriminator="kind")]


class Warmup(Part):
    """What all schedules have: a linear rise from nothing to the peak."""

    warmup: float = Field(
        0.05, ge=0, description="length of the rise: a share of the run below 1, else steps"
    )


class Cosine(Warmup):
    """Half a cosine from the peak to `final` times it (arXiv:1608.03983)."""

    kind: Literal["cosine"] = "cosine"
    final: Share = Field(0.1, description="last rate over the peak rate")


ScheduleConfig = Annotated[Cosine, Field(discriminator="kind")]


class BatchConfig(Part):
    """How many sequences make a step."""

    size: Count = Field(16, description="sequences an optimizer step")
    micro_size: Count | Literal["auto"] = Field(
        "auto", description="sequences a pass; less than size accumulates gradients"
    )

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.micro_size != "auto" and self.size % self.micro_size:
            raise mistake(
                f"batch.micro_size {self.micro_size} does not divide batch.size {self.size};"
                f" the nearest that does is {_nearest_divisor(self.size, self.micro_size)}",
            )
        return self


class EvaluationConfig(Part):
    """When and on what the run is judged."""

    every: Interval | None = Field(
        0.1, description="validate at this share of the run (or so many steps); null: at the ends"
    )
    tokens: Count | Literal["all"] = Field(
        "all", description="validation tokens: the whole split, or a fixed prefix of it"
    )
    prompts: tuple[str, ...] = Field(
        ("Once upon a time", "One day"), description="what the samples of text begin with"
    )


class CheckpointConfig(Part):
    """What is kept besides the last and the best."""

    every: Interval | None = Field(
        None, description="keep a checkpoint at this share of the run (or so many steps)"
    )
    keep: Count = Field(3, description="how many of those to keep, the newest")
    save_every: Interval = Field(
        0.1, description="refresh the last checkpoint at this share of the run (or so many steps)"
    )


class RuntimeConfig(Part):
    """How the machine is used; it changes speed, not what is computed, but for rounding."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to train")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of activations and products; weights are always fp32"
    )
    compile: Literal["auto"] | bool = Field("auto", description="use torch.compile")
    deterministic: bool = Field(False, description="refuse operations that vary between runs")
    threads: Count | None = Field(None, description="CPU threads; else all cores")


class TrackingConfig(Part):
    """Where the record goes."""

    experiment: str = Field("tinyscale", min_length=1, description="MLflow experiment")
    uri: str | None = Field(
        None, description="MLflow store; else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here"
    )
    folder: str = Field("runs", description="where run folders are made")
    log_every: Interval = Field(
        0.01, description="log the training loss at this share of the run (or so many steps)"
    )
    norms_every: Interval | None = Field(
        0.1, description="log gradient and weight norms by layer; null: never"
    )


class RunConfig(Part):
    """One training run: everything that decides what is computed, and where it is recorded."""

    name: str = Field("baseline", description="what the run is called")
    seed: int = Field(42, ge=0, lt=2**63, description="of initial weights and data order")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = AdamW()
    schedule: ScheduleConfig = Cosine()
    budget: Budget
    batch: BatchConfig = BatchConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    tracking: TrackingConfig = TrackingConfig()

    @model_validator(mode="after")
    def _name_is_a_file_name(self) -> Self:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+=,-]*", self.name):
            raise mistake(
                f"name {self.name!r} names a folder: use letters, digits and any of . _ + = , -",
            )
        return self

    @property
    def tokens_per_step(self) -> int:
        """Training tokens of one optimizer step."""
        return self.batch.size * self.data.context_length

    @property
    def identity(self) -> str:
        """Hash of all that decides the outcome but the seed: runs that share it are one group.

        Left out: name, seed, store, folders, checkpoints, and how the machine is used.
        """
        kept = self.model_dump(mode="json", exclude={"name", "seed", "tracking", "checkpoint"})
        kept["runtime"] = {"precision": self.runtime.precision}
        del kept["batch"]["micro_size"]
        canonical = json.dumps(kept, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def cohort_key(self) -> str:
        """Runs that share it can train as one program: equal shapes, steps and evaluations."""
        kept = self.model_dump(mode="json", exclude={"name", "seed", "schedule"})
        for field in ("fraction", "max_documents"):
            del kept["data"][field]
        kept["optimizer"] = self.optimizer.kind
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
