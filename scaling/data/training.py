"""Tokenizers made: trained on the train split, or built from GPT-2's files."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import regex

from scaling.config import BpeTokenizer, ByteTokenizer, CharTokenizer, Gpt2Tokenizer
from scaling.config import Tokenizer as TokenizerConfig
from scaling.data.digest import FileMemo, digest_of, noted
from scaling.data.encoding import pieces
from scaling.data.hub import hub_file
from scaling.data.tokenizer import END_OF_TEXT, UNKNOWN, Tokenizer, byte_alphabet
from scaling.errors import UserError

GPT2_REPOSITORY = "openai-community/gpt2"
# The library's trainer takes the square of a word's length: 25 s for one of 100,000 letters.
_ENDLESS = regex.compile(r"\p{L}{1000}|\p{N}{1000}|[^\s\p{L}\p{N}]{1000}|\s{1000}")
_BLOCK = 500  # characters, of which an endless word fills one


def make(
    config: TokenizerConfig, blocks: Callable[[], Iterable[list[str]]], say: Callable[[str], None]
) -> Tokenizer:
    """Make the tokenizer of a config.

    `blocks` gives the training texts; it is called only by the kinds that learn from them, and
    is bounded by its caller. Raises UserError where GPT-2's files cannot be had.
    """
    match config:
        case BpeTokenizer(vocab_size=size):
            tokenizer = _bpe(size, blocks())
            if tokenizer.vocab_size < size:
                say(
                    f"the text gives a vocabulary of {tokenizer.vocab_size:,} only, not of"
                    f" {size:,}: the model will have {tokenizer.vocab_size:,} entries"
                )
            return tokenizer
        case CharTokenizer():
            return _char(blocks())
        case ByteTokenizer():
            return _byte()
        case Gpt2Tokenizer():
            return _gpt2(config)


def gpt2_files(config: Gpt2Tokenizer) -> tuple[Path, Path] | None:
    """GPT-2's own local vocab.json and merges.txt, where the config names them."""
    if config.vocab is None or config.merges is None:
        return None
    files = (Path(config.vocab).expanduser(), Path(config.merges).expanduser())
    for path, field in zip(files, ("vocab", "merges"), strict=True):
        if not path.is_file():
            raise UserError(f"data.tokenizer.{field}: there is no file {path}")
    return files


def gpt2_digests(config: Gpt2Tokenizer, memo: FileMemo) -> list[str] | None:
    """The hashes of those files. Raises UserError where they are not what the config notes."""
    files = gpt2_files(config)
    if files is None:
        return None
    digests = [memo.digest(path) for path in files]
    now = noted(digest_of(digests))
    if config.content not in (None, now):
        raise UserError(
            f"data.tokenizer: {files[0]} or {files[1]} has changed since the run began ({now} now,"
            f" {config.content} then). Bring them back, or train a new run with what they are"
            " (without data.tokenizer.content)."
        )
    return digests


def _bpe(vocab_size: int, blocks: Iterable[list[str]]) -> Tokenizer:
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers, trainers

    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=byte_alphabet(),  # so that any text can be written, seen or not
        show_progress=False,
    )
    library.train_from_iterator(map(_words_bounded, blocks), trainer=trainer)
    return Tokenizer(library)


def _words_bounded(texts: list[str]) -> list[str]:
    """The texts in pieces, with a cut in every word that has no end."""
    return [part for text in texts for piece in pieces(text) for part in _cut(piece)]


def _cut(text: str) -> Iterator[str]:
    blocks = (text[at : at + _BLOCK] for at in range(0, len(text) - _BLOCK + 1, _BLOCK))
    start = 0
    if any(len(block.split(maxsplit=1)) < 2 for block in blocks):
        for word in _ENDLESS.finditer(text):
            yield text[start : word.end()]
            start = word.end()
    yield text[start:]


def _byte() -> Tokenizer:
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers

    vocab = {character: byte for byte, character in enumerate(byte_alphabet())}
    library = Library(models.BPE(vocab=vocab, merges=[]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([END_OF_TEXT])
    return Tokenizer(library)


def _char(blocks: Iterable[list[str]]) -> Tokenizer:
    from tokenizers import Regex, decoders, models, pre_tokenizers
    from tokenizers import Tokenizer as Library

    seen: set[str] = set()
    for texts in blocks:
        seen.update(*texts)
    names = [END_OF_TEXT, UNKNOWN, *sorted(seen)]
    vocab = {name: i for i, name in enumerate(names)}
    library = Library(models.WordLevel(vocab=vocab, unk_token=UNKNOWN))
    library.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    library.decoder = decoders.Fuse()
    library.add_special_tokens([END_OF_TEXT])
    return Tokenizer(library)


def _gpt2(config: Gpt2Tokenizer) -> Tokenizer:
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers

    vocab, merges = gpt2_files(config) or (
        _gpt2_from_hub("vocab.json"),
        _gpt2_from_hub("merges.txt"),
    )
    try:
        library = Library(models.BPE.from_file(str(vocab), str(merges)))
    except Exception as error:  # the library raises bare Exceptions
        raise UserError(f"{vocab} and {merges} are not GPT-2's tokenizer: {error}") from error
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([END_OF_TEXT])
    entries = library.get_vocab(with_added_tokens=True)
    lacking = sum(character not in entries for character in byte_alphabet())
    if lacking:  # the library leaves out, without a word, what it has no token for
        raise UserError(f"{vocab} has no entry for {lacking} of the 256 bytes: text would be lost")
    if sorted(entries.values()) != list(range(len(entries))):
        raise UserError(
            f"{vocab} does not number its {len(entries):,} entries from 0 to {len(entries) - 1:,}"
        )
    return Tokenizer(library)


def _gpt2_from_hub(name: str) -> Path:
    return hub_file(
        GPT2_REPOSITORY,
        name,
        repo_type="model",
        revision=None,
        instead="name local files with --data.tokenizer.vocab vocab.json --data.tokenizer.merges"
        " merges.txt, or train a tokenizer on your text with --data.tokenizer.kind bpe",
    )
