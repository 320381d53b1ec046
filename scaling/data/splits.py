"""Documents to splits, by the hash of their text alone."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaling.data.digest import place
from scaling.data.source import Document, Source
from scaling.data.spool import Spool

SPLITS = ("train", "validation", "test")
_OFTEN = 1024  # documents between two looks at the clock


@dataclass(frozen=True)
class SplitRule:
    """What share of the train part's documents is held out, where the source names no split."""

    validation_share: float
    test_share: float

    def split_of(self, share: float) -> str:
        """The split of a document whose hash is `share`, in [0, 1)."""
        if share < self.test_share:
            return "test"
        if share < self.test_share + self.validation_share:
            return "validation"
        return "train"

    def as_data(self) -> dict[str, Any]:
        """For the manifest and the cache key."""
        return {
            "validation_share": self.validation_share,
            "test_share": self.test_share,
            "hash": "blake2b-128",
        }


@dataclass
class SplitCounts:
    """What was left out or mended on the way, for the manifest."""

    empty: int = 0  # documents of blanks only
    repaired: int = 0  # documents with half a surrogate pair, which UTF-8 cannot write
    removed: dict[str, int] = field(default_factory=dict)  # by split: also in a held-out split
    copies: dict[str, int] = field(default_factory=dict)  # by held-out split: in it already


def clean(documents: Iterable[Document], counts: SplitCounts) -> Iterator[tuple[bytes, float]]:
    """The documents that hold any text, in UTF-8 and with their surprise."""
    for document in documents:
        if not document.text or document.text.isspace():
            counts.empty += 1
            continue
        try:
            text = document.text.encode()
        except UnicodeEncodeError:
            whole = document.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            text = whole.encode()
            counts.repaired += 1
        yield text, document.nats


def split_documents(
    source: Source, rule: SplitRule, folder: Path, tick: Callable[[str], None]
) -> tuple[dict[str, Spool], SplitCounts]:
    """Read the whole source once into one sealed spool a split, in `folder`.

    No text is in two splits: a held-out part of the source's own keeps its documents, and a part
    read after it loses those (first test, then validation, then train). Nor is a text twice in a
    held-out split; in train it may be, as often as the source has it there.
    """
    spools = {name: Spool(folder / f"{name}.spool") for name in SPLITS}
    counts = SplitCounts()
    held: set[bytes] = set()
    try:
        for part in reversed(SPLITS):
            if part in source.parts:
                _read_part(source, part, rule, spools, held, counts, tick)
        for name, spool in spools.items():
            spool.seal(keep_copies=name == "train")
            if spool.left_out:
                counts.copies[name] = spool.left_out
    finally:
        for spool in spools.values():
            spool.close()
    return spools, counts


def _read_part(
    source: Source,
    part: str,
    rule: SplitRule,
    spools: dict[str, Spool],
    held: set[bytes],
    counts: SplitCounts,
    tick: Callable[[str], None],
) -> None:
    mine: set[bytes] = set()
    removed = 0
    for number, (text, nats) in enumerate(clean(source.parts[part](), counts)):
        if number % _OFTEN == 0:
            tick(f"reading {part}: {number:,} documents")
        digest, share, order = place(text)
        if digest in held:
            removed += 1
            continue
        split = part if part != "train" else rule.split_of(share)
        spools[split].add(text, order, nats)
        if part != "train":
            mine.add(digest)
    held |= mine
    if removed:
        counts.removed[part] = removed
