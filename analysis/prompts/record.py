"""Answers on record: an unchanged model is not asked an unchanged question twice."""

import hashlib
import json
from pathlib import Path
from typing import Any

from scaling.data.cache import default_cache
from scaling.prompts.answer import AskSettings
from scaling.prompts.item import PromptSet
from scaling.tracking.folder import write_whole
from scaling.trained import Trained

VERSION = 7  # of what a record holds and of how answers are judged

Rows = list[dict[str, Any]]


def key_of(trained: Trained, prompts: PromptSet, settings: AskSettings) -> str:
    """Hash of all that decides the answers."""
    parts = [VERSION, prompts.hash, trained.fingerprint, settings.as_dict()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def read(trained: Trained, key: str) -> Rows | None:
    """The rows on record, if there are any."""
    path = _path(trained, key)
    if not path.exists():
        return None
    rows: Rows = json.loads(path.read_text(encoding="utf-8"))
    return rows


def write(trained: Trained, key: str, rows: Rows) -> None:
    """Put rows on record."""
    write_whole(_path(trained, key), json.dumps(rows, ensure_ascii=False))


def _path(trained: Trained, key: str) -> Path:
    """In the run's folder; for an exported model, which is to stay as it is, in the cache."""
    folder = trained.run.path if trained.run else default_cache()
    return folder / "evals" / f"{key}.json"
