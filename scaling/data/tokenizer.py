"""The tokenizer: text to ids and back, kept as the `tokenizers` library's tokenizer.json."""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.encoding import ByteEncoder, CharEncoder, Encoder, Ids, WordEncoder
from scaling.errors import UserError
from scaling.tracking.folder import write_whole

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

END_OF_TEXT = "<|endoftext|>"
UNKNOWN = "<unk>"
MOST_UNKNOWN = 1e-3
"""Share of unknown tokens that bits per byte can bear: each costs nats and stands for no byte."""


class Tokenizer:
    """One of the four kinds (bpe, gpt2, byte, char), told apart by what the file says.

    Text never yields the end-of-text token, also where it spells its name; `decode` leaves it
    out. So `decode(encode(text)) == text`, but for characters that a char tokenizer has not seen.
    """

    def __init__(self, library: "Library") -> None:
        # Not in tokenizer.json: without it a text that says "<|endoftext|>" would end itself.
        library.encode_special_tokens = True
        self._library = library
        eot = library.token_to_id(END_OF_TEXT)
        if eot is None:
            raise UserError(f"the tokenizer has no end-of-text token {END_OF_TEXT}")
        self.eot: int = eot

    @classmethod
    def load(cls, path: Path | str) -> "Tokenizer":
        """Read a tokenizer.json. Raises UserError where it is none."""
        from tokenizers import Tokenizer as Library

        path = Path(path)
        if not path.is_file():
            raise UserError(f"there is no tokenizer at {path}")
        try:
            return cls(Library.from_file(str(path)))
        except UserError:
            raise
        except Exception as error:  # the library raises bare Exceptions
            raise UserError(f"{path} is not a tokenizer.json: {error}") from error

    def save(self, path: Path | str) -> None:
        """Write the tokenizer.json."""
        write_whole(Path(path), self._library.to_str())

    @cached_property
    def vocab_size(self) -> int:
        """Entries, the end-of-text token included."""
        return self._library.get_vocab_size(with_added_tokens=True)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """What an id is stored in: uint16, or uint32 for a vocabulary of more than 65,536."""
        return np.dtype("<u2" if self.vocab_size <= 2**16 else "<u4")

    @cached_property
    def unknown(self) -> int | None:
        """The id of characters never seen in training; only a char tokenizer has one."""
        if self._is("model", "WordLevel"):
            return self._library.token_to_id(UNKNOWN)
        return None

    def encode(self, text: str) -> list[int]:
        """The ids of a text; no end-of-text token. Raises UserError where it is no valid text."""
        try:
            return self._library.encode(text, add_special_tokens=False).ids
        except TypeError:  # of half a surrogate pair, as from a terminal that does not write UTF-8
            raise UserError(f"{text[:40]!r} is not valid Unicode.") from None

    def knows(self, text: str) -> bool:
        """Whether it has a token for every character of a text."""
        return self.unknown is None or self.unknown not in self.encode(text)

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of several texts, one array of `dtype` a text; the same as `encode` gives."""
        return self._encoder(texts)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; bytes that are no UTF-8 become U+FFFD, end-of-text becomes nothing."""
        return self._library.decode(
            [int(i) for i in ids if i != self.eot], skip_special_tokens=False
        )

    def token_bytes(self) -> NDArray[np.int32]:
        """UTF-8 bytes that each token stands for, [vocab_size]; 0 for end-of-text and unknown."""
        # The byte-level alphabet writes each byte as one character.
        by_byte = self._is("decoder", "ByteLevel")
        sizes = np.zeros(self.vocab_size, np.int32)
        for token, i in self._library.get_vocab(with_added_tokens=True).items():
            sizes[i] = len(token) if by_byte else len(token.encode())
        for none in (self.eot, self.unknown):
            if none is not None:
                sizes[none] = 0
        return sizes

    @cached_property
    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = json.loads(self._library.to_str())
        return parts

    def _is(self, part: str, kind: str) -> bool:
        return bool((self._parts[part] or {}).get("type") == kind)

    @cached_property
    def _encoder(self) -> Encoder:
        if self.unknown is not None:
            ids = {token: i for token, i in self._library.get_vocab().items() if len(token) == 1}
            return CharEncoder(ids, self.unknown, self.dtype)
        splitting = self._parts["pre_tokenizer"] or {}
        if splitting.get("use_regex"):
            return WordEncoder(self._library, self.dtype)
        return ByteEncoder(
            np.array([self._library.token_to_id(c) for c in byte_alphabet()], self.dtype)
        )


def byte_alphabet() -> list[str]:
    """The character that stands for each byte, 0 to 255, in byte-level tokens (GPT-2's)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]
