"""Which runs a living driver has taken: locks of the system's, gone when the driver is."""

from pathlib import Path

from filelock import FileLock, Timeout

from scaling.tracking.members import Key


class Claims:
    """The runs of one runs folder, over all sweeps and drivers."""

    def __init__(self, runs: Path) -> None:
        self._folder = runs / "sweeps" / ".claims"
        self._held: dict[Key, FileLock] = {}

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
