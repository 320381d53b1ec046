"""TinyStories through the `datasets` library: from the hub, its local cache, or a local folder."""

import contextlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from scaling.config import TinyStoriesCorpus
from scaling.data.digest import FileMemo, digest_of
from scaling.data.hub import (
    hub_file,
    offline,
    revision_in_cache,
    revision_on_hub,
    unreachable,
)
from scaling.data.readers import divide, read
from scaling.data.source import Document, Source
from scaling.errors import UserError
from scaling.tracking.folder import write_whole

# Both versions are kept as two text files too, version 2 as nothing else.
V1_FILES = {"train": "TinyStories-train.txt", "validation": "TinyStories-valid.txt"}
V2_FILES = {
    "train": "TinyStoriesV2-GPT4-train.txt",
    "validation": "TinyStoriesV2-GPT4-valid.txt",
}
_SEPARATOR = "<|endoftext|>"
_ROWS = 1000
_INSTEAD = (
    "use the embedded corpus (--data.corpus.kind stories) or your own files"
    " (--data.corpus.kind files --data.corpus.files 'texts/*.jsonl')"
)


def open_tinystories(
    corpus: TinyStoriesCorpus, memo: FileMemo, cache: Path, fresh: bool
) -> Source:
    """The corpus as a source.

    A revision not pinned to a commit is asked of the hub the first time (and when `fresh`) and
    then remembered in `cache`, so that prepared data are found again without a network.
    """
    folder = local_folder(corpus)
    if folder is not None:
        return _local(corpus, folder, memo)
    remembered = cache / "revisions" / f"{digest_of([corpus.source, corpus.revision])[:32]}.json"
    commit: str | None = None
    if not fresh:
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):  # none, or a torn one
            commit = json.loads(remembered.read_text())["commit"]
    if commit is None:
        commit = revision_on_hub(corpus.source, "dataset", corpus.revision)
        commit = commit or revision_in_cache(corpus.source, "dataset", corpus.revision)
        if commit is None:
            raise unreachable(corpus.source, _INSTEAD)
        remembered.parent.mkdir(parents=True, exist_ok=True)
        write_whole(remembered, json.dumps({"source": corpus.source, "commit": commit}))
    parts = _v2_on_hub if corpus.version == "v2-gpt4" else _v1_on_hub
    return Source(
        kind="tinystories",
        description=f"{corpus.source} {corpus.version}, revision {commit[:12]}",
        fingerprint=digest_of(["hub", corpus.source, corpus.version, commit]),
        details={"revision": commit},
        parts={role: partial(parts, corpus, commit, role) for role in V2_FILES},
    )


def local_folder(corpus: TinyStoriesCorpus) -> Path | None:
    """The folder that the config names, unless it names a repository on the hub.

    Raises UserError where what it names can be nothing but a folder, and is none.
    """
    folder = Path(corpus.source).expanduser()
    if folder.is_dir():
        return folder
    if corpus.source.startswith(("/", ".", "~")) or corpus.source.count("/") > 1:
        raise UserError(f"there is no folder {folder}, which data.corpus.source names")
    return None


def _local(corpus: TinyStoriesCorpus, folder: Path, memo: FileMemo) -> Source:
    v1 = {role: folder / name for role, name in V1_FILES.items()}
    v2 = {role: folder / name for role, name in V2_FILES.items()}
    read: dict[str, Callable[[], Iterator[Document]]]
    layout: str = corpus.version
    if corpus.version == "v2-gpt4":
        missing = [path.name for path in v2.values() if not path.is_file()]
        if missing:
            raise UserError(
                f"{folder} has no {' and no '.join(missing)}, the text files of version v2-gpt4"
            )
        files = list(v2.values())
        read = {role: partial(_lines, str(path)) for role, path in v2.items()}
    elif all(path.is_file() for path in v1.values()) and not (folder / "data").is_dir():
        layout, files = "v1 text", list(v1.values())
        read = {role: partial(_lines, str(path)) for role, path in v1.items()}
    else:
        files = [
            path
            for path in folder.rglob("*")
            if path.is_file()
            and path not in v2.values()
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]
        if not files and any(path.is_file() for path in v2.values()):
            raise UserError(f"{folder} has version v2-gpt4 alone: set data.corpus.version to it")
        read = {
            role: partial(_rows, str(folder), None, role, corpus.streaming) for role in V2_FILES
        }
    # With their names, by which it is told what each is for.
    content = sorted([str(path.relative_to(folder)), memo.digest(path)] for path in files)
    return Source(
        kind="tinystories",
        description=f"{folder} {corpus.version}",
        fingerprint=digest_of(["folder", layout, content]),
        details={},
        parts=read,
    )


def _v1_on_hub(corpus: TinyStoriesCorpus, commit: str, role: str) -> Iterator[Document]:
    if revision_on_hub(corpus.source, "dataset", commit):
        yield from _rows(corpus.source, commit, role, corpus.streaming)
        return
    with offline():
        try:
            dataset = _load(corpus.source, None, role, streaming=False)
        except (FileNotFoundError, ConnectionError, ValueError) as error:
            raise unreachable(corpus.source, _INSTEAD) from error
    # What is cached is named by its commit; the cache may hold another than was asked for.
    path = Path(dataset.cache_files[0]["filename"])
    if commit not in path.parts:
        raise UserError(
            f"the hub cannot be reached, and the local cache has not revision {commit[:12]} of"
            f" {corpus.source}, but {path.parent.name}: name that with --data.corpus.revision"
        )
    yield from _documents(dataset)


def _v2_on_hub(corpus: TinyStoriesCorpus, commit: str, role: str) -> Iterator[Document]:
    name = V2_FILES[role]
    if corpus.streaming:
        if not revision_on_hub(corpus.source, "dataset", commit):
            raise unreachable(corpus.source, _INSTEAD)
        return _lines(f"hf://datasets/{corpus.source}@{commit}/{name}")
    path = hub_file(corpus.source, name, repo_type="dataset", revision=commit, instead=_INSTEAD)
    return _lines(str(path))


def _rows(source: str, commit: str | None, role: str, streaming: bool) -> Iterator[Document]:
    try:
        dataset = _load(source, commit, role, streaming)
    except (FileNotFoundError, ValueError) as error:  # no data in it; no such split
        raise UserError(
            f"{source} has no {role} split that `datasets` can read: {error}"
        ) from error
    if dataset.info.builder_name == "text":  # which would make a document of every line
        raise UserError(
            f"{source} holds .txt files that are not {' and '.join(V1_FILES.values())}: read them"
            " with data.corpus.kind files, or set data.corpus.version to v2-gpt4"
        )
    if "text" not in (dataset.column_names or ["text"]):
        raise UserError(f"{source} has no column 'text', but {', '.join(dataset.column_names)}")
    yield from _documents(dataset)


def _load(source: str, commit: str | None, role: str, streaming: bool) -> Any:
    import datasets

    return datasets.load_dataset(source, revision=commit, split=role, streaming=streaming)


def _documents(dataset: Any) -> Iterator[Document]:
    for rows in dataset.iter(batch_size=_ROWS):
        yield from (Document(text or "") for text in rows["text"])


def _lines(file: str) -> Iterator[Document]:
    """The documents of one text file, local or on the hub, without another copy of it."""
    if Path(file).is_file():
        yield from map(Document, read(Path(file), text_field="", separator=_SEPARATOR))
        return
    import datasets

    # With their line ends, so that joining the lines gives back the file whatever a line is.
    lines = datasets.load_dataset(
        "text", data_files=file, split="train", streaming=True, keep_linebreaks=True
    )
    chunks = ("".join(rows["text"]) for rows in lines.iter(batch_size=_ROWS))
    yield from map(Document, divide(chunks, _SEPARATOR))
