"""Corpora: from a corpus's config to a source of documents."""

from collections.abc import Iterable, Iterator
from functools import partial
from glob import glob
from pathlib import Path

from scaling.config import Corpus, FilesCorpus, StoriesCorpus
from scaling.data.digest import FileMemo, digest_of, noted
from scaling.data.readers import SUFFIXES, read
from scaling.data.source import Document, Source
from scaling.data.tinystories import open_tinystories
from scaling.errors import UserError


def open_corpus(corpus: Corpus, cache: Path, *, fresh: bool = False) -> Source:
    """Find the corpus and its fingerprint; no document is read yet.

    `cache` remembers hashes of files and revisions; `fresh` asks for them anew. Raises UserError
    where there is nothing to read, or not what the config notes.
    """
    if isinstance(corpus, StoriesCorpus):
        return _stories(corpus)
    memo = FileMemo(cache / "fingerprints", fresh=fresh)
    if isinstance(corpus, FilesCorpus):
        source = _files(corpus, memo)
    else:
        source = open_tinystories(corpus, memo, cache, fresh)
    if corpus.content not in (None, noted(source.fingerprint)):
        raise UserError(
            f"data.corpus: the texts of '{source.description}' have changed since the run began"
            f" ({noted(source.fingerprint)} now, {corpus.content} then). Bring them back, or train"
            " a new run on what they are (without data.corpus.content)."
        )
    return source


def _stories(corpus: StoriesCorpus) -> Source:
    from scaling.data import stories

    return Source(
        kind="stories",
        description=f"stories seed {corpus.seed}",
        fingerprint=digest_of(["stories", stories.VERSION, corpus.seed, corpus.documents]),
        details={"version": stories.VERSION, "seed": str(corpus.seed)},
        parts={"train": partial(_tell, corpus)},
        knows_floor=True,
    )


def _tell(corpus: StoriesCorpus) -> Iterator[Document]:
    # In this process: a core writes some 5 MB/s, and a second one saves the default corpus's
    # reader less than a second.
    from scaling.data import stories

    for story in stories.generate(corpus.seed, 0, corpus.documents):
        yield Document(story.text, -story.log_probability)


def _files(corpus: FilesCorpus, memo: FileMemo) -> Source:
    globs = {
        role: pattern
        for role, pattern in (
            ("train", corpus.files or corpus.train),
            ("validation", corpus.validation),
            ("test", corpus.test),
        )
        if pattern is not None
    }
    paths = {
        role: _find(pattern, "files" if corpus.files else role) for role, pattern in globs.items()
    }
    # Without their paths: the same texts elsewhere, or under other names, are the same corpus.
    content = sorted(
        [role, path.suffix.lower(), _option(corpus, path), memo.digest(path)]
        for role, found in paths.items()
        for path in found
    )
    fingerprint = digest_of(["files", content])
    return Source(
        kind="files",
        description=", ".join(
            f"{role} {pattern}" if corpus.train else pattern for role, pattern in globs.items()
        ),
        fingerprint=fingerprint,
        details={"files": str(sum(map(len, paths.values())))},
        parts={role: partial(_read_all, corpus, found) for role, found in paths.items()},
    )


def _option(corpus: FilesCorpus, path: Path) -> str:
    """The one field of the config that changes how this file is read."""
    return corpus.separator if path.suffix.lower() == ".txt" else corpus.text_field


def _find(pattern: str, field: str) -> list[Path]:
    whole = str(Path(pattern).expanduser())
    if Path(whole).is_file():  # whatever signs of a pattern its name holds
        found = [Path(whole)]
    else:
        found = [Path(name) for name in sorted(glob(whole, recursive=True))]
    for path in found:
        try:
            path.stat()
        except FileNotFoundError:
            raise UserError(
                f"data.corpus.{field}: {path} is a link to a file that is not there"
            ) from None
        except OSError:  # at the end of a loop of links
            continue
    # A file that several names lead to is read once.
    files = list({path.resolve(): path for path in reversed(found) if path.is_file()}.values())
    files.reverse()
    if not files:
        if found:
            raise UserError(
                f"data.corpus.{field}: {pattern} is a folder; name the files in it,"
                f" such as '{pattern.rstrip('/')}/*.jsonl'"
            )
        where = "" if Path(whole).is_absolute() else f" (looked from {Path.cwd()})"
        raise UserError(f"data.corpus.{field}: no file matches '{pattern}'{where}")
    odd = [path for path in files if path.suffix.lower() not in SUFFIXES]
    if odd:
        raise UserError(
            f"data.corpus.{field}: {odd[0]} is none of the kinds of file that are"
            f" read ({', '.join(SUFFIXES)})"
        )
    return files


def _read_all(corpus: FilesCorpus, paths: Iterable[Path]) -> Iterator[Document]:
    for path in paths:
        for text in read(path, text_field=corpus.text_field, separator=corpus.separator):
            yield Document(text)
