"""The folder of prepared data: built once under a lock, moved into place whole."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from scaling.errors import UserError

_BUILDING = ".building-"


def default_cache() -> Path:
    """Where prepared data are kept: $TINYSCALE_CACHE, else the user's cache folder."""
    if named := os.environ.get("TINYSCALE_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tinyscale"


@contextmanager
def answering_for(cache: Path) -> Iterator[None]:
    """Turn what the system refuses (no room, no permission) into one sentence: UserError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UserError(
                f"there is no room for the prepared data in {cache}; make some, or name another"
                " place with TINYSCALE_CACHE"
            ) from error
        if error.filename is None:
            raise
        path = Path(os.fsdecode(error.filename))
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        if path.is_relative_to(cache):
            raise UserError(
                f"the cache {cache} cannot be used ({why}: {path});"
                " name another with TINYSCALE_CACHE"
            ) from error
        raise UserError(f"{path} cannot be read: {why}") from error


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of one folder of the cache; the system lets go of it when a process dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_file(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process is preparing {folder.name}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A new folder to build `folder` in; takes its place at the end, or is gone after an error.

    Only for the holder of the folder's lock. A killed build leaves its own folder behind, which
    nothing takes for the real one, and which the next build of anything clears away.
    """
    _clear_stale(folder)
    new = folder.parent / f"{_BUILDING}{folder.name}"
    new.mkdir()
    try:
        yield new
        if folder.exists():
            # A reader keeps its mapping of the old files until it ends.
            old = folder.parent / f"{_BUILDING}old-{folder.name}"
            folder.rename(old)
            new.rename(folder)
            shutil.rmtree(old)
        else:
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _lock_file(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.lock"


def _clear_stale(folder: Path) -> None:
    """Remove what killed builds left: of this folder, and of any whose lock nobody holds."""
    for left in folder.parent.glob(f"{_BUILDING}*"):
        name = left.name.removeprefix(_BUILDING).removeprefix("old-")
        if name == folder.name:
            _remove(left)
            continue
        try:
            with FileLock(_lock_file(folder.parent / name), timeout=0):
                _remove(left)
        except Timeout:
            continue  # it is being built right now


def _remove(folder: Path) -> None:
    """Delete a folder, which another process may be deleting as well."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
