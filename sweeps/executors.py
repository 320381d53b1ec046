"""Where jobs run. `local.py` is a pool of processes; another machine's is the same few calls."""

from typing import Protocol

from sweeps.job import Answer, Event, Job, Measurement


class Executor(Protocol):
    """Trains jobs somewhere, and tells what comes of them.

    The driver calls from one thread. A job is submitted only while `has_room`; each ends in
    exactly one `Ended` or `Died` (a measurement in one `Measured`).
    """

    def warm(self, count: int) -> None:
        """Get ready for so many jobs, if that helps."""
        ...

    def has_room(self, threads: int) -> bool:
        """Whether a job of so many threads can start now."""
        ...

    def submit(self, job: Job | Measurement) -> None:
        """Start a job."""
        ...

    def events(self, timeout: float) -> list[Event]:
        """What has happened; waits up to so many seconds for the first."""
        ...

    def answer(self, answer: Answer) -> None:
        """The word on a `Judged` that a job waits for."""
        ...

    def stop(self) -> None:
        """Ask all that train to save and end; their `Ended` still come."""
        ...

    def close(self) -> None:
        """End the workers."""
        ...
