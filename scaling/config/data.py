"""What a run learns from: corpus, tokenizer, splits."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from scaling.budget import Count
from scaling.config.part import Part, mistake


class Noting(Part):
    """A part that may name local files: what they say is a part of what a run is."""

    content: str | None = Field(
        None,
        description="hash of local files, noted as a run begins: no others will do from then on",
    )

    @model_serializer(mode="wrap")
    def _only_what_is_noted(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Where no files are named it is not there at all: so runs from before it stay the same.
        tree: dict[str, Any] = handler(self)
        if tree.get("content") is None:
            tree.pop("content", None)
        return tree


class StoriesCorpus(Part):
    """The embedded corpus: generated children's stories with a known entropy floor."""

    kind: Literal["stories"] = "stories"
    documents: Count = Field(12_000, description="how many stories there are, all splits together")
    seed: int = Field(0, ge=0, lt=2**64, description="which sample of stories; not the run's seed")


class TinyStoriesCorpus(Noting):
    """TinyStories (Eldan and Li, arXiv:2305.07759) through the `datasets` library."""

    kind: Literal["tinystories"] = "tinystories"
    version: Literal["v1", "v2-gpt4"] = Field("v1", description="the GPT-3.5 or the GPT-4 stories")
    source: str = Field(
        "roneneldan/TinyStories", description="hub name, or a local folder of the same layout"
    )
    revision: str | None = Field(None, description="commit, tag or branch on the hub")
    streaming: bool = Field(False, description="read over the network, without a local copy")


# Fields that say where texts and vocabularies are; `content`, where it is noted, says what.
PLACES = ("files", "train", "validation", "test", "source", "vocab", "merges")
SPELT_OUT = (
    'spells out a backslash and a letter: in YAML a line ends at "\\n" with double quotes, on a'
    " command line at '\"\\n\"'"
)


def spells_out(separator: str) -> bool:
    """Whether a backslash and a letter are meant to be one character."""
    return re.search(r"\\[nrt](?![A-Za-z])", separator) is not None


class FilesCorpus(Part):
    """One's own text: .txt, .jsonl, .json, .csv or .parquet."""

    kind: Literal["files"] = "files"
    files: str | None = Field(None, description="a glob of files to be split by document")
    train: str | None = Field(None, description="a glob of training files, in place of `files`")
    validation: str | None = Field(None, description="a glob of validation files")
    test: str | None = Field(None, description="a glob of test files")
    text_field: str = Field("text", description="the field or column that holds the text")
    separator: str = Field(
        "<|endoftext|>",
        description="what divides the documents of a .txt; a blank line is '\"\\n\\n\"', with both"
        " kinds of quotes",
    )
    content: str | None = Field(
        None,
        description="hash of the texts, noted as a run begins: no others will do from then on",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.files is None) == (self.train is None):
            raise mistake("give either data.corpus.files or data.corpus.train")
        if spells_out(self.separator):
            raise mistake(f"data.corpus.separator {SPELT_OUT}")
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


class Gpt2Tokenizer(Noting):
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
