"""The manifest of a folder of packed tokens: what is in it, and whether it is whole."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from scaling.data.digest import digest_of, file_digest

# Of the folder, and of how documents are read and split: another number is another cache key, so
# that nothing is reused that would be made otherwise now.
FORMAT = 2
NAME = "manifest.json"
_LIBRARIES = ("datasets", "numpy", "pyarrow", "tokenizers")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileRecord(_Record):
    """A file as it was written."""

    size: int
    sha256: str


class SplitRecord(_Record):
    """A split as it was packed."""

    documents: int
    tokens: int  # with an end-of-text before the first document and after each
    bytes: int  # UTF-8, of the documents
    floor_nats: float | None  # -log p of the documents, where the corpus knows it
    duplicates: int  # documents whose text an earlier one of the split has
    unknown: int  # characters that the tokenizer has no token for


class Manifest(_Record):
    """Everything about one folder of packed tokens."""

    format: int
    fingerprint: str  # over source, split rule and tokenizer: the data set's digest
    source: dict[str, Any]
    rule: dict[str, Any]
    tokenizer: dict[str, Any]
    dtype: str
    splits: dict[str, SplitRecord]
    left_out: dict[str, Any]
    files: dict[str, FileRecord]
    versions: dict[str, str]
    created: str

    def write(self, folder: Path) -> None:
        """Write it, signed with its own hash."""
        data = self.model_dump()
        signed = {**data, "sha256": digest_of(data)}
        (folder / NAME).write_text(json.dumps(signed, indent=1) + "\n", encoding="utf-8")


class DamageError(Exception):
    """A folder of packed tokens that is not what its manifest says; the message says where."""


def read_manifest(folder: Path) -> Manifest | None:
    """Read a folder's manifest and hold every file's size against it: well under a millisecond.

    Returns None where there is no such folder; raises DamageError where it is not whole.
    """
    if not folder.is_dir():
        return None
    try:
        data = json.loads((folder / NAME).read_text(encoding="utf-8"))
        signature = data.pop("sha256")
        manifest = Manifest.model_validate(data)
    except FileNotFoundError as error:
        raise DamageError(f"{NAME} is missing") from error
    except (ValueError, KeyError, AttributeError, ValidationError) as error:
        raise DamageError(f"{NAME} cannot be read") from error
    if signature != digest_of(data):
        raise DamageError(f"{NAME} does not have the hash that it states")
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise DamageError(f"{name} is missing")
        if path.stat().st_size != record.size:
            raise DamageError(f"{name} has {path.stat().st_size:,} bytes, not {record.size:,}")
    return manifest


def check_hashes(folder: Path, manifest: Manifest) -> list[str]:
    """Read every file whole; return the names of those whose content is not as written."""
    return [
        name
        for name, record in manifest.files.items()
        if file_digest(folder / name) != record.sha256
    ]


def library_versions() -> dict[str, str]:
    """What the data were prepared with."""
    return {name: version(name) for name in _LIBRARIES}
