"""Which runs a living driver has taken: locks of the system's, gone when the driver is."""

import resource
from pathlib import Path

from filelock import FileLock, Timeout

from scaling.tracking.members import Key

FILES = 10_240  # open ones of a driver; macOS lets no process have more, whatever its limit says


class Claims:
    """The runs of one runs folder, over all sweeps and drivers."""

    def __init__(self, runs: Path) -> None:
        self._folder = runs / "sweeps" / ".claims"
        self._held: dict[Key, FileLock] = {}
        _open_more()

    def take(self, key: Key) -> bool:
        """Claim a run; False where another driver has it."""
        if key in self._held:
            return True
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._folder / f"{key[0]}-{key[1]}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self._held[key] = lock
        return True

    def free(self, key: Key) -> None:
        """Give a run back."""
        if lock := self._held.pop(key, None):
            lock.release()


def _open_more() -> None:
    """Let this process open more files than the 256 or 1,024 that systems allow unasked: each lock
    is one, and a job of adaptations takes dozens."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
