"""Text as one stream of tokens for a model that is trained already."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.config import Corpus, DataConfig, FilesCorpus
from scaling.data.cache import answering_for, default_cache
from scaling.data.corpus import open_corpus
from scaling.data.packed import PackedSplit
from scaling.data.prepare import prepare
from scaling.data.splits import SplitCounts, clean
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError


class NoSplitError(UserError):
    """A model's data has not the split that was asked for."""


@dataclass(frozen=True)
class Stream:
    """Documents with an end-of-text token before each and after the last, in memory."""

    tokens: NDArray[Any]

    def tokens_array(self) -> NDArray[Any]:
        """All of it."""
        return self.tokens


def encoded_files(
    pattern: str,
    tokenizer: Tokenizer,
    cache: Path | None = None,
    *,
    like: Corpus | None = None,
    text_field: str | None = None,
    separator: str | None = None,
) -> Stream:
    """The documents of a glob of files as training would read them, with a model's own tokenizer.

    Their text is in `text_field` and they are divided by `separator`; unless given, as in `like`,
    the model's corpus, where that is files too, or else as in a corpus of files.

    Raises:
        UserError: there are none.
    """
    cache = cache or default_cache()
    with answering_for(cache):
        corpus = like if isinstance(like, FilesCorpus) else FilesCorpus(files=pattern)
        corpus = FilesCorpus(
            files=pattern,
            text_field=corpus.text_field if text_field is None else text_field,
            separator=corpus.separator if separator is None else separator,
        )
        source = open_corpus(corpus, cache)
        documents = chain.from_iterable(part() for part in source.parts.values())
        texts = [text.decode() for text, _ in clean(documents, SplitCounts())]
    if not texts:
        raise UserError(f"There is no text in {pattern}.")
    end = np.array([tokenizer.eot], dtype=tokenizer.dtype)
    parts = [part for ids in tokenizer.encode_batch(texts) for part in (end, ids)]
    return Stream(np.concatenate([*parts, end]))


def split_of(
    config: DataConfig,
    split: str,
    tokenizer: Tokenizer,
    *,
    digest: str | None,
    say: Callable[[str], None],
) -> PackedSplit:
    """The split (train, validation, test) of the data that a model was trained on.

    `digest` is the data's, as the model's record has it.

    Raises:
        NoSplitError: there is none.
        UserError: the data have changed since.
    """
    data = prepare(config, say=say)
    data.check(digest)
    chosen = {"train": data.train, "validation": data.validation, "test": data.test}[split]
    if chosen is None:
        raise NoSplitError(f"The data of this model has no {split} split.")
    probe = "Once upon a time, a small fox said: 42!"
    if data.tokenizer.encode(probe) != tokenizer.encode(probe):
        raise UserError("The data has changed: its tokenizer is not this model's.")
    return chosen
