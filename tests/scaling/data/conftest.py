from pathlib import Path
from typing import Any

import pytest

from scaling.config import BpeTokenizer, DataConfig, FilesCorpus
from scaling.data.prepare import PreparedData, prepare
from tests.scaling.data.texts import Prepare, stories, write_jsonl


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "texts.jsonl", stories(400))


@pytest.fixture
def config(corpus_file: Path) -> DataConfig:
    return DataConfig(
        corpus=FilesCorpus(files=str(corpus_file)),
        tokenizer=BpeTokenizer(vocab_size=300),
        context_length=16,
    )


@pytest.fixture
def prepared_with(config: DataConfig, tmp_path: Path) -> Prepare:
    """Prepare the 400 stories in a cache of the test's own, with fields of the config changed."""

    def run(**changes: Any) -> PreparedData:
        changed = DataConfig.model_validate({**config.model_dump(), **changes})
        return prepare(changed, cache=tmp_path / "cache")

    return run
