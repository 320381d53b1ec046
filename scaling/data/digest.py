"""Hashes: what decides a document's split and place, and what a file's content is known by."""

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any, NamedTuple

_BLOCK = 1 << 20


class Place(NamedTuple):
    """Where a document's text alone puts it, whatever file it came from and whatever the seed."""

    digest: bytes  # 16 bytes: equal texts have equal ones, and hardly any others
    share: float  # uniform in [0, 1): decides the split
    order: int  # uniform in [0, 2^64): decides the place within the split


def place(text: bytes) -> Place:
    """Hash one document's UTF-8 text, but for blanks at its ends and what its lines end with: a
    copy in a file of another kind may differ in these, and is a copy."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    digest = hashlib.blake2b(text.strip(), digest_size=16).digest()
    share, order = struct.unpack("<QQ", digest)
    # 53 bits fit a float exactly, so that the share can never round up to 1.
    return Place(digest, (share >> 11) / 2**53, order)


def order_of_copy(order: int) -> int:
    """Where a copy goes of the document at `order`: anywhere, so that they are no neighbours."""
    return place(order.to_bytes(8, "little")).order


def digest_of(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, in hex."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # A file's name need not be UTF-8.
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def noted(fingerprint: str) -> str:
    """A fingerprint as configs note it: short, and nothing that reads as a number."""
    return f"sha256:{fingerprint[:16]}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex, in constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


class FileMemo:
    """Content hashes of files, remembered in the cache for as long as size and times stay.

    One small JSON file per path, replaced whole, so processes may share the folder without a lock.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self._folder = folder
        self._fresh = fresh

    def digest(self, path: Path) -> str:
        """SHA-256 of the file's content; read only when it is not known yet, or `fresh`."""
        path = path.resolve()
        known_as = digest_of(str(path))[:32]
        memo = self._folder / f"{known_as}.json"
        stat = path.stat()
        state = {
            "path": str(path),
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "ctime_ns": stat.st_ctime_ns,  # a copy may keep the time of its text
        }
        if not self._fresh:
            try:
                known: dict[str, Any] = json.loads(memo.read_text())
            except (FileNotFoundError, ValueError):
                known = {}
            digest = known.pop("sha256", None)
            if known == state and isinstance(digest, str):
                return digest
        digest = file_digest(path)
        self._folder.mkdir(parents=True, exist_ok=True)
        beside = memo.with_suffix(f".{os.getpid()}.tmp")
        beside.write_text(json.dumps({**state, "sha256": digest}))
        beside.replace(memo)
        return digest
