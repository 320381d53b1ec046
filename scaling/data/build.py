"""Packed data made: a source read, split, tokenized and written into one folder."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from scaling.config import BpeTokenizer, CharTokenizer
from scaling.config import Tokenizer as TokenizerConfig
from scaling.data import manifest as manifests
from scaling.data.digest import digest_of, file_digest
from scaling.data.manifest import FileRecord, Manifest, SplitRecord
from scaling.data.packed import pack
from scaling.data.source import Source
from scaling.data.splits import SplitCounts, SplitRule, split_documents
from scaling.data.spool import Spool
from scaling.data.training import make
from scaling.errors import UserError

TOKENIZER = "tokenizer.json"
# BPE learns from so many bytes of the train split at most (the first by hash), for counting words
# is the slowest step there is. At 8 KB an entry even the last merges have been seen often.
TRAINING_BYTES_PER_ENTRY = 8192
TRAINING_BYTES_LEAST = 32_000_000
TRAINING_BYTES_MOST = 200_000_000
_PROGRESS_EVERY = 5.0  # seconds

Say = Callable[[str], None]


def build(
    folder: Path, source: Source, rule: SplitRule, tokenizer_config: TokenizerConfig, say: Say
) -> Manifest:
    """Fill an empty folder with a source's packed splits and their tokenizer; write its manifest.

    Memory is bounded: texts wait on disk, in `folder`, until they are packed. Raises UserError
    where the train or the validation split comes out empty.
    """
    tick = _now_and_then(say)
    learns = isinstance(tokenizer_config, BpeTokenizer | CharTokenizer)
    # One that learns nothing is made first: where it cannot be had, that is known at once.
    tokenizer = None if learns else make(tokenizer_config, list, say)
    spools, counts = split_documents(source, rule, folder, tick)
    train = spools["train"]
    copies, sample = train.duplicates, 0
    _tell(counts, copies, say)
    _check(spools, counts, rule, say)
    if tokenizer is None:
        sample = _sample(train, tokenizer_config)
        if sample < train.documents:
            say(f"the tokenizer learns from the first {sample:,} documents of the train split")
        tick("training the tokenizer")
        tokenizer = make(tokenizer_config, lambda: train.blocks(sample), say)
    path = folder / TOKENIZER
    tokenizer.save(path)
    files = {TOKENIZER: FileRecord(size=path.stat().st_size, sha256=file_digest(path))}
    splits: dict[str, SplitRecord] = {}
    for name, spool in spools.items():
        if spool.documents:
            splits[name], written = pack(
                name, spool, tokenizer, folder, knows_floor=source.knows_floor, tick=tick
            )
            files |= written
        spool.remove()
    for name, split in splits.items():
        _check_known(name, split, say)
    manifest = Manifest(
        format=manifests.FORMAT,
        fingerprint=digest_of([source.fingerprint, rule.as_data(), files[TOKENIZER].sha256]),
        source={
            "kind": source.kind,
            "description": source.description,
            "fingerprint": source.fingerprint,
            **source.details,
        },
        rule=rule.as_data(),
        tokenizer={
            **tokenizer_config.model_dump(),
            "actual_vocab_size": tokenizer.vocab_size,
            "learned_from_documents": sample,
        },
        dtype=tokenizer.dtype.str,
        splits=splits,
        left_out={
            "empty": counts.empty,
            "repaired": counts.repaired,
            "removed": counts.removed,
            "copies": counts.copies,
        },
        files=files,
        versions=manifests.library_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    manifest.write(folder)
    return manifest


def _sample(train: Spool, config: TokenizerConfig) -> int:
    """From how many of the train split's documents a tokenizer learns."""
    if not isinstance(config, BpeTokenizer):  # char wants every character there is
        return train.documents
    wanted = config.vocab_size * TRAINING_BYTES_PER_ENTRY
    return train.documents_within(min(max(wanted, TRAINING_BYTES_LEAST), TRAINING_BYTES_MOST))


def _check_known(name: str, split: SplitRecord, say: Say) -> None:
    if split.unknown:
        say(
            f"{split.unknown:,} characters of the {name} split are in no training document and"
            " became <unk>"
        )
    if split.unknown == split.tokens - split.documents - 1:
        raise UserError(f"the {name} split has no character that a training document has")


def _tell(counts: SplitCounts, copies: int, say: Say) -> None:
    if counts.empty:
        say(f"{counts.empty:,} empty documents were left out")
    if counts.repaired:
        say(f"{counts.repaired:,} documents held half a surrogate pair, now U+FFFD")
    for split, removed in counts.removed.items():
        others = "test" if split == "validation" else "validation or test"
        say(f"{removed:,} documents of {split} are also in {others} and were removed from {split}")
    for split, count in counts.copies.items():
        say(f"{count:,} documents of {split} are copies of others in it and were left out")
    if copies:
        say(f"{copies:,} documents of train are copies of others in it; they stay, set apart")


def _check(spools: dict[str, Spool], counts: SplitCounts, rule: SplitRule, say: Say) -> None:
    documents = {name: spool.documents for name, spool in spools.items()}
    if not any(documents.values()):
        raise UserError("the corpus has no document that is not empty")
    advice = (
        "give more documents, or a larger data.validation_share or data.test_share; for a .txt,"
        " set data.corpus.separator to what divides its documents (a blank line:"
        " --data.corpus.separator '\"\\n\\n\"')"
    )
    if not documents["train"]:
        removed = counts.removed.get("train")
        raise UserError(
            f"the train split is empty, for all its {removed:,} documents are also in another"
            " split"
            if removed
            else f"the train split is empty: {advice}"
        )
    if not documents["validation"]:
        if removed := counts.removed.get("validation"):
            raise UserError(
                f"the validation split is empty, for all its {removed:,} documents are also in the"
                " test split; to report one split as both, leave data.corpus.test out and set"
                " data.val_is_test"
            )
        raise UserError(
            f"the validation split is empty, of {sum(documents.values()):,}"
            f" documents in all: {advice}"
        )
    if not documents["test"] and rule.test_share:
        say("warning: no document fell into the test split, so there is none")


def _now_and_then(say: Say) -> Say:
    """Progress for long work: `say`, but at most once in `_PROGRESS_EVERY` seconds."""
    last = time.monotonic()

    def tick(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _PROGRESS_EVERY:
            last = time.monotonic()
            say(text)

    return tick
