"""What a run's local files say, as a part of what the run is."""

from typing import Any

from scaling.config import FilesCorpus, Gpt2Tokenizer, RunConfig, TinyStoriesCorpus


def with_content(config: RunConfig) -> RunConfig:
    """The config with the content of the local files that it names, so that its identity knows it.

    A part that notes it already stays as it is. Raises UserError where there are no such files.
    """
    data = config.data
    notes: dict[str, str | None] = {}
    if isinstance(data.corpus, FilesCorpus | TinyStoriesCorpus) and data.corpus.content is None:
        notes["corpus"] = _of_corpus(data.corpus)
    if isinstance(data.tokenizer, Gpt2Tokenizer) and data.tokenizer.content is None:
        notes["tokenizer"] = _of_tokenizer(data.tokenizer)
    changed: dict[str, Any] = {
        part: getattr(data, part).model_copy(update={"content": content})
        for part, content in notes.items()
        if content is not None
    }
    if not changed:
        return config
    return config.model_copy(update={"data": data.model_copy(update=changed)})


# The imports are here, since readers of files are slow to import and few sweeps have any.


def _of_corpus(corpus: FilesCorpus | TinyStoriesCorpus) -> str | None:
    from scaling.data.cache import answering_for, default_cache
    from scaling.data.corpus import open_corpus
    from scaling.data.digest import noted
    from scaling.data.tinystories import local_folder

    if isinstance(corpus, TinyStoriesCorpus) and local_folder(corpus) is None:
        return None  # it is the hub's: asking for its revision is for those who read it
    cache = default_cache()
    with answering_for(cache):
        return noted(open_corpus(corpus, cache).fingerprint)


def _of_tokenizer(tokenizer: Gpt2Tokenizer) -> str | None:
    from scaling.data.cache import answering_for, default_cache
    from scaling.data.digest import FileMemo, digest_of, noted
    from scaling.data.training import gpt2_digests

    cache = default_cache()
    with answering_for(cache):
        digests = gpt2_digests(tokenizer, FileMemo(cache / "fingerprints"))
    return None if digests is None else noted(digest_of(digests))
