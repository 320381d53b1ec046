"""From a data config to packed splits and a tokenizer: built once, reused while unchanged."""

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scaling.config import DataConfig, Gpt2Tokenizer
from scaling.data import manifest as manifests
from scaling.data.build import TOKENIZER, Say, build
from scaling.data.cache import answering_for, building, default_cache, locked
from scaling.data.corpus import open_corpus
from scaling.data.digest import FileMemo, digest_of
from scaling.data.manifest import DamageError, Manifest, read_manifest
from scaling.data.packed import PackedSplit
from scaling.data.source import Source
from scaling.data.splits import SplitRule
from scaling.data.tokenizer import Tokenizer
from scaling.data.training import gpt2_digests
from scaling.errors import UserError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedData:
    """Splits on disk, and what they were made of."""

    folder: Path
    tokenizer: Tokenizer
    fingerprint: str  # over source, split rule and tokenizer; not over fraction: the digest
    reused: bool
    train: PackedSplit  # the share that the config asks for
    validation: PackedSplit
    test: PackedSplit | None
    source: str  # for people

    @property
    def digest(self) -> str:
        """The fingerprint as records of runs have it."""
        return self.fingerprint[:32]

    def check(self, digest: str | None) -> None:
        """Raise UserError where a run's record has another digest (None: it has none)."""
        if digest not in (None, self.digest):
            raise UserError(
                f"The data have changed since the run began: {self.source} has the digest"
                f" {self.digest[:12]} now, {digest[:12]} then. Bring back what it was, or train a"
                " new run on what it is."
            )


@dataclass(frozen=True)
class _Plan:
    """What is to be in the cache for a config, and where."""

    source: Source
    rule: SplitRule
    cache: Path
    folder: Path


def prepare(
    config: DataConfig, *, cache: Path | None = None, force: bool = False, say: Say = _log.info
) -> PreparedData:
    """Return the config's data, prepared; `say` hears what is done and what was found.

    Unchanged inputs are found in the cache (`default_cache()` unless given) in milliseconds;
    `force` builds anew. Processes that want the same build it once: the others wait. Context
    length, fraction and max_documents change nothing on disk. Raises UserError for anything
    amiss with the corpus.
    """
    cache = (cache or default_cache()).absolute()
    with answering_for(cache):
        plan = _plan(config, cache, fresh=force)
        manifest = None if force else _whole(plan.folder, say)
        reused = manifest is not None
        if manifest is None:
            with locked(plan.folder, say):
                manifest = None if force else _whole(plan.folder, lambda _: None)
                reused = manifest is not None
                if manifest is None:
                    manifest = _build(plan, config, say)
    if reused:
        say(f"reusing the packed tokens in {plan.folder}")
    return _view(config, plan, manifest, reused, say)


def verify(config: DataConfig, *, cache: Path | None = None) -> list[str]:
    """Read the config's prepared data whole; return what is damaged, in words.

    Raises UserError where nothing is prepared.
    """
    cache = (cache or default_cache()).absolute()
    with answering_for(cache):
        folder = _plan(config, cache, fresh=False).folder
        try:
            manifest = read_manifest(folder)
        except DamageError as error:
            return [str(error)]
        if manifest is None:
            raise UserError(f"nothing is prepared for this config (no {folder})")
        return [
            f"{name} does not have the hash that {manifests.NAME} states"
            for name in manifests.check_hashes(folder, manifest)
        ]


def _plan(config: DataConfig, cache: Path, fresh: bool) -> _Plan:
    source = open_corpus(config.corpus, cache, fresh=fresh)
    if config.val_is_test and "test" in source.parts:
        raise UserError(
            "data.val_is_test reports the validation split as the test split, but"
            " data.corpus.test names one: leave one of the two out"
        )
    rule = SplitRule(
        validation_share=0.0 if "validation" in source.parts else config.validation_share,
        test_share=0.0 if "test" in source.parts or config.val_is_test else config.test_share,
    )
    tokenizer: dict[str, Any] = config.tokenizer.model_dump()
    if isinstance(config.tokenizer, Gpt2Tokenizer):
        memo = FileMemo(cache / "fingerprints", fresh=fresh)
        if digests := gpt2_digests(config.tokenizer, memo):
            tokenizer = {"kind": "gpt2", "files": digests}
    key = digest_of([manifests.FORMAT, source.fingerprint, rule.as_data(), tokenizer])
    name = f"{source.kind}-{config.tokenizer.kind}-{key[:12]}"
    return _Plan(source, rule, cache, cache / "data" / name)


def _whole(folder: Path, say: Say) -> Manifest | None:
    """The manifest of a folder that is there and of the sizes it states."""
    try:
        return read_manifest(folder)
    except DamageError as error:
        say(f"warning: the packed tokens in {folder} are damaged ({error}): building them anew")
        return None


def _build(plan: _Plan, config: DataConfig, say: Say) -> Manifest:
    say(f"preparing {plan.source.description} in {plan.folder}")
    started = time.monotonic()
    with building(plan.folder) as folder:
        manifest = build(folder, plan.source, plan.rule, config.tokenizer, say)
        again = open_corpus(config.corpus, plan.cache)
        if again.fingerprint != plan.source.fingerprint:
            raise UserError("the corpus changed while it was being read; run this again")
    took = time.monotonic() - started
    size = sum(split.bytes for split in manifest.splits.values())
    say(f"prepared {size / 1e6:,.1f} MB of text in {took:.1f} s")
    return manifest


def _view(
    config: DataConfig, plan: _Plan, manifest: Manifest, reused: bool, say: Say
) -> PreparedData:
    """The config's share of what is on disk."""
    splits = {
        name: PackedSplit(
            name,
            plan.folder,
            manifest.dtype,
            split.documents,
            split.tokens,
            split.bytes,
            split.floor_nats,
        )
        for name, split in manifest.splits.items()
    }
    train, validation = splits["train"], splits["validation"]
    test = splits.get("test")
    if config.val_is_test:
        test = replace(validation, name="test", files="validation")
    documents = min(train.documents, max(1, round(config.fraction * train.documents)))
    if config.max_documents is not None:
        documents = min(documents, config.max_documents)
    share = train.prefix(documents).tokens / train.tokens
    if config.max_documents is None and not 0.9 < share / config.fraction < 1.1:
        say(
            f"warning: data.fraction {config.fraction:g} is {documents:,} of {train.documents:,}"
            f" documents of the train split, which hold {share:.2g} of its tokens"
        )
    train = train.prefix(documents)
    if train.predictions < config.context_length:
        raise UserError(
            f"the train split has {train.tokens:,} tokens in {train.documents:,} documents, too"
            f" few for one window of data.context_length {config.context_length}"
        )
    return PreparedData(
        folder=plan.folder,
        tokenizer=Tokenizer.load(plan.folder / TOKENIZER),
        fingerprint=manifest.fingerprint,
        reused=reused,
        train=train,
        validation=validation,
        test=test,
        source=plan.source.description,
    )
