"""Which runs belong to a sweep: those that it wants, whichever sweep or command has made them.

A run is known by identity and seed. One that several sweeps want is trained once, as the child of
the first of them; the others find it by what they keep on record here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scaling.tracking.folder import write_whole

SWEEPS = "sweeps"  # in the runs folder: a folder for each sweep's record
WANTED = "wanted.json"  # in that, and an artifact of the sweep's own run

Key = tuple[str, int]  # identity and seed


@dataclass(frozen=True)
class Members:
    """What a sweep wants.

    Attributes:
        labels: what varies, in the sweep's own words, by key.
        grows: whether it is a search, which may have begun more than is on record: runs with its
            tag are its own too.
    """

    labels: Mapping[Key, Mapping[str, str]]
    grows: bool = False

    @classmethod
    def read(cls, file: Path) -> "Members":
        """As they were written."""
        told = json.loads(file.read_text(encoding="utf-8"))
        runs = {(row["identity"], row["seed"]): row["labels"] for row in told["runs"]}
        return cls(runs, told["grows"])

    def write(self, folder: Path) -> None:
        """Into the record's folder."""
        rows = [
            {"identity": identity, "seed": seed, "labels": labels}
            for (identity, seed), labels in self.labels.items()
        ]
        write_whole(folder / WANTED, json.dumps({"grows": self.grows, "runs": rows}, indent=1))
