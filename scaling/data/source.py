"""A source of documents: what every corpus looks like to what comes after it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Document(NamedTuple):
    """One text and, where the corpus knows it, its surprise."""

    text: str
    nats: float = 0.0  # -log p of the text; means something where the source `knows_floor`


@dataclass(frozen=True)
class Source:
    """Documents by the source's own parts, each readable again and again.

    `parts` has `train`, and `validation` and `test` where the source names them; what it does not
    name is carved from `train` by hash. `fingerprint` changes whenever any document could.
    """

    kind: str
    description: str  # for people
    fingerprint: str  # SHA-256
    details: Mapping[str, str]  # for the manifest
    parts: Mapping[str, Callable[[], Iterator[Document]]]
    knows_floor: bool = False
