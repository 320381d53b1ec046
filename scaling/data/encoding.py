"""Text to token ids: the same as the `tokenizers` library gives, several times sooner.

The library encodes byte-level BPE at some 2 MB/s a core. A BPE token never crosses a word of its
first splitting, and text repeats its words, so one dictionary look-up a word gives 20 MB/s.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

Ids = NDArray[np.uint16] | NDArray[np.uint32]
Encoder = Callable[[Sequence[str]], list[Ids]]

# GPT-2's splitting of text into words, as the library's ByteLevel does it, for the characters of
# which Python's `re` and the library's Unicode tables certainly agree: ASCII, Latin letters with
# accents, and the dashes and quotation marks of print. Other texts go through the library.
_LETTER = "A-Za-zÀ-ÖØ-öø-ÿ"
_SPACE = " \\t\\n\\r\\f\\v"
WORD = re.compile(
    f"'(?:[stmd]|re|ve|ll)| ?[{_LETTER}]+| ?[0-9]+| ?[^{_SPACE}{_LETTER}0-9]+"
    f"|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]+"
)
UNSURE = re.compile(f"[^\\x00-\\x7f{_LETTER}\u2010-\u2027]")
_WORDS_KEPT = 500_000  # some 100 MB; forgotten all at once beyond that
_LONGEST_KEPT = 64
PIECE = 1 << 18  # characters of one text at a time: the library takes some 200 bytes for each
_CUT = re.compile(r"(?<=\S)(?=[ \n])")


def pieces(text: str) -> Iterator[str]:
    """A long text in pieces, whose words are the text's: a blank ends the word before it."""
    start = 0
    while len(text) - start > PIECE and (cut := _CUT.search(text, start + PIECE)):
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:]


class WordEncoder:
    """Byte-level BPE with GPT-2's splitting: a dictionary from words to their ids."""

    def __init__(self, library: "Library", dtype: np.dtype[np.generic]) -> None:
        self._library = library
        self._dtype = dtype
        self._known: dict[str, bytes] = {}

    def __call__(self, texts: Sequence[str]) -> list[Ids]:
        """Encode texts; one array of ids a text."""
        short = iter(self._encode([text for text in texts if len(text) <= PIECE]))
        return [
            next(short)
            if len(text) <= PIECE
            else np.concatenate([self._encode([piece])[0] for piece in pieces(text)])
            for text in texts
        ]

    def _encode(self, texts: Sequence[str]) -> list[Ids]:
        if len(self._known) > _WORDS_KEPT:
            self._known.clear()
        words = [None if UNSURE.search(text) else WORD.findall(text) for text in texts]
        unknown = set(chain.from_iterable(w for w in words if w is not None)) - self._known.keys()
        short = [word for word in unknown if len(word) <= _LONGEST_KEPT]
        self._known.update(zip(short, self._by_library(short), strict=True))
        passing = [word for word in unknown if len(word) > _LONGEST_KEPT]
        known = (
            {**self._known, **dict(zip(passing, self._by_library(passing), strict=True))}
            if passing
            else self._known
        )
        others = iter(
            self._by_library([t for t, w in zip(texts, words, strict=True) if w is None])
        )
        look_up = known.__getitem__
        return [
            np.frombuffer(next(others) if w is None else b"".join(map(look_up, w)), self._dtype)
            for w in words
        ]

    def _by_library(self, texts: list[str]) -> list[bytes]:
        """The ids' bytes; the library encodes on all cores."""
        encoded = self._library.encode_batch(texts, add_special_tokens=False)
        return [np.array(each.ids, self._dtype).tobytes() for each in encoded]


class ByteEncoder:
    """One token a byte, by a table of 256 ids."""

    def __init__(self, table: Ids) -> None:
        self._table = table

    def __call__(self, texts: Sequence[str]) -> list[Ids]:
        """Encode texts; one array of ids a text."""
        return [self._table[np.frombuffer(text.encode(), np.uint8)] for text in texts]


class CharEncoder:
    """One token a character, by a table over all code points."""

    def __init__(self, ids: dict[str, int], unknown: int, dtype: np.dtype[np.generic]) -> None:
        self._table: Ids = np.full(0x110000, unknown, dtype)
        for character, token in ids.items():
            self._table[ord(character)] = token

    def __call__(self, texts: Sequence[str]) -> list[Ids]:
        """Encode texts; one array of ids a text."""
        return [self._table[np.frombuffer(text.encode("utf-32-le"), np.uint32)] for text in texts]
