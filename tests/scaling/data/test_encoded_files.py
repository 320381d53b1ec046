"""Texts in files for a model that is trained already: read as training reads them."""

from pathlib import Path

import pytest

from scaling.config import ByteTokenizer, FilesCorpus
from scaling.data.stream import encoded_files
from scaling.data.tokenizer import Tokenizer
from scaling.data.training import make
from scaling.errors import UserError


@pytest.fixture
def tokenizer() -> Tokenizer:
    return make(ByteTokenizer(), list, lambda _: None)


def test_the_stream_has_what_training_would_learn_from(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    rows = ['""', '"One."', '" \\n"', '"Half \\ud83d here."', '""']
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": {row}}}\n' for row in rows))
    stream = encoded_files(str(path), tokenizer).tokens_array().tolist()
    one, half = tokenizer.encode("One."), tokenizer.encode("Half \ufffd here.")
    assert stream == [tokenizer.eot, *one, tokenizer.eot, *half, tokenizer.eot]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", "One.\n\nTwo."), ("a.jsonl", '{"story": "One."}\n{"story": "Two."}')],
)
def test_they_are_divided_as_the_model_s_own_files(
    tmp_path: Path, tokenizer: Tokenizer, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    own = FilesCorpus(files="own/*", text_field="story", separator="\n\n")
    stream = encoded_files(str(tmp_path / name), tokenizer, like=own).tokens_array().tolist()
    one, two = tokenizer.encode("One."), tokenizer.encode("Two.")
    assert stream == [tokenizer.eot, *one, tokenizer.eot, *two, tokenizer.eot]


def test_there_is_some_text(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "a.txt").write_text(" <|endoftext|> \n")
    with pytest.raises(UserError, match="There is no text in"):
        encoded_files(str(tmp_path / "a.txt"), tokenizer)


def test_a_cache_that_cannot_be_used_is_named(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "a.txt").write_text("A.")
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(UserError, match=r"cache .* cannot be used .* TINYSCALE_CACHE"):
        encoded_files(str(tmp_path / "a.txt"), tokenizer, tmp_path / "cache")
