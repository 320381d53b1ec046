"""Where a sweep's time went."""

import time
from dataclasses import dataclass, field

from sweeps.cohorts import Program
from sweeps.job import Ended
from sweeps.wanted import Run


@dataclass
class Clock:
    """Where the time went, in seconds since 1970."""

    started: float = field(default_factory=time.time)
    ended: float = 0.0
    starting: float = 0.0  # of workers, until they were ready
    jobs: list[tuple[Ended, Program[Run]]] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """Seconds of the driver's loop."""
        return self.ended - self.started

    @property
    def busy(self) -> float:
        """Seconds of all workers in jobs."""
        return sum(job.seconds for job, _ in self.jobs)

    @property
    def workers(self) -> int:
        """Processes that had a job."""
        return len({job.worker for job, _ in self.jobs})

    @property
    def gaps(self) -> float:
        """Seconds between one job of a worker and its next, of all workers."""
        total, last = 0.0, dict[int, float]()
        for job, _ in sorted(self.jobs, key=lambda pair: pair[0].began):
            total += max(0.0, job.began - last.get(job.worker, job.began))
            last[job.worker] = job.began + job.seconds
        return total
