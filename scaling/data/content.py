"""What a run's files say, as a part of what the run is."""

from scaling.config import FilesCorpus, RunConfig


def with_content(config: RunConfig) -> RunConfig:
    """The config with the content of its corpus's files noted, so that its identity knows it.

    One that notes it already stays as it is. Raises UserError where there are no such files.
    """
    corpus = config.data.corpus
    if not isinstance(corpus, FilesCorpus) or corpus.content is not None:
        return config
    # Here, since readers of files are slow to import and few sweeps have any.
    from scaling.data.cache import answering_for, default_cache
    from scaling.data.corpus import noted, open_corpus

    cache = default_cache()
    with answering_for(cache):
        content = noted(open_corpus(corpus, cache).fingerprint)
    corpus = corpus.model_copy(update={"content": content})
    data = config.data.model_copy(update={"corpus": corpus})
    return config.model_copy(update={"data": data})
