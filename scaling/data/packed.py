"""A split as one stream of tokens on disk: EOT d1 EOT d2 EOT ... dn EOT.

Every token of every document is thus predicted from some context, and each document's end too.
Documents lie in the order of their hash, so any prefix is a fair sample, and prefixes are nested.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from scaling.data.manifest import FileRecord, SplitRecord
from scaling.data.spool import Spool
from scaling.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class PackedSplit:
    """The first `documents` documents of a split, packed."""

    name: str
    folder: Path
    dtype: str
    documents: int
    tokens: int  # end-of-text tokens counted
    bytes: int  # UTF-8, of the documents
    floor_nats: float | None  # sum of -log p over the documents; only the stories know it
    files: str | None = None  # the split whose files it is read from; its own unless given

    @property
    def predictions(self) -> int:
        """Tokens that a model is asked for: all but the first."""
        return self.tokens - 1

    @property
    def floor_per_token(self) -> float | None:
        """The least loss any model can reach on average, in nats per predicted token."""
        return None if self.floor_nats is None else self.floor_nats / self.predictions

    def floor_of(self, predictions: int) -> float | None:
        """The same of the first so many predictions; of a document cut short, its share."""
        if self.floor_nats is None or predictions >= self.predictions:
            return self.floor_per_token
        ends, nats = (np.r_[0, self._index(what)[: self.documents]] for what in ("ends", "floor"))
        return float(np.interp(predictions, ends, nats)) / predictions

    @property
    def floor_bits_per_byte(self) -> float | None:
        """The same in bits per byte of text."""
        return None if self.floor_nats is None else self.floor_nats / log(2) / self.bytes

    def tokens_array(self) -> NDArray[Any]:
        """The stream, [tokens], uint16 or uint32, mapped from the file and read-only."""
        path = tokens_file(self.folder, self.files or self.name)
        return np.memmap(path, self.dtype, "r", shape=(self.tokens,))

    def document_ends(self) -> NDArray[np.int64]:
        """Where each document's tokens end, [documents]: document i is [ends[i-1] + 1, ends[i]).

        (With ends[-1] = 0: the stream opens with an end-of-text; another follows each document.)
        """
        ends: NDArray[np.int64] = self._index("ends")
        return ends[: self.documents]

    @property
    def unique_tokens(self) -> int:
        """Its tokens without those of documents whose text an earlier one has."""
        if not _index_file(self.folder, self.files or self.name, "unique").exists():
            return self.tokens
        return int(self._index("unique")[self.documents - 1]) + 1

    def prefix(self, documents: int) -> "PackedSplit":
        """The split's first so many documents, in microseconds. Raises ValueError beyond it."""
        if not 1 <= documents <= self.documents:
            raise ValueError(f"{documents} documents asked for of {self.documents}")
        last = documents - 1
        floor = None if self.floor_nats is None else float(self._index("floor")[last])
        return replace(
            self,
            documents=documents,
            tokens=int(self._index("ends")[last]) + 1,
            bytes=int(self._index("bytes")[last]),
            floor_nats=floor,
        )

    def _index(self, what: str) -> NDArray[Any]:
        path = _index_file(self.folder, self.files or self.name, what)
        return np.asarray(np.load(path, mmap_mode="r"))


def tokens_file(folder: Path, split: str) -> Path:
    """Where a split's stream is."""
    return folder / f"{split}.bin"


def _index_file(folder: Path, split: str, what: str) -> Path:
    """Where a running total over a split's documents is: token ends, bytes, floor, or unique
    tokens (where some are copies)."""
    return folder / f"{split}.{what}.npy"


class _Hashed:
    """A file being written, and the hash of what went in."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self._size += len(data)
        return self._file.write(data)

    def record(self) -> FileRecord:
        return FileRecord(size=self._size, sha256=self._digest.hexdigest())


def pack(
    split: str,
    spool: Spool,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    knows_floor: bool,
    tick: Callable[[str], None],
) -> tuple[SplitRecord, dict[str, FileRecord]]:
    """Write a split's stream and its running totals into `folder`, in bounded memory.

    Returns what was packed and the files by name.
    """
    eot = np.array([tokenizer.eot], tokenizer.dtype)
    lengths = np.zeros(spool.documents, np.int64)
    files: dict[str, FileRecord] = {}
    done = unknown = 0
    path = tokens_file(folder, split)
    with path.open("wb") as file:
        out = _Hashed(file)
        out.write(eot.tobytes())
        for texts in spool.blocks():
            encoded = tokenizer.encode_batch(texts)
            stream = np.concatenate([part for ids in encoded for part in (ids, eot)])
            out.write(stream.tobytes())
            lengths[done : done + len(texts)] = [len(ids) for ids in encoded]
            done += len(texts)
            if tokenizer.unknown is not None:
                unknown += int((stream == tokenizer.unknown).sum())
            tick(f"packing {split}: {done:,} of {spool.documents:,} documents")
        files[path.name] = out.record()
    ends = np.cumsum(lengths + 1)
    totals: dict[str, NDArray[Any]] = {"ends": ends, "bytes": np.cumsum(spool.lengths)}
    if knows_floor:
        totals["floor"] = np.cumsum(spool.nats)
    if spool.again.any():
        totals["unique"] = np.cumsum(np.where(spool.again, 0, lengths + 1))
    for what, values in totals.items():
        path = _index_file(folder, split, what)
        with path.open("wb") as file:
            out = _Hashed(file)
            np.lib.format.write_array(out, values, allow_pickle=False)
            files[path.name] = out.record()
    record = SplitRecord(
        documents=spool.documents,
        tokens=int(ends[-1]) + 1,
        bytes=spool.size,
        floor_nats=float(totals["floor"][-1]) if knows_floor else None,
        duplicates=spool.duplicates,
        unknown=unknown,
    )
    return record, files
