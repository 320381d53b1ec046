"""What comes of failures: another chance after a worker's death, and when a sweep is to end."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from scaling.tracking.folder import RunFolder
from scaling.tracking.members import Key
from sweeps.job import Job, Outcome
from sweeps.ladder import lower, parts
from sweeps.source import R, Source


class Failures:
    """Those of one driver's runs.

    Args:
        most: so many failures in a row end the sweep.
        as_one: what is made together shares most of its work, so that it fails as one as well.
    """

    def __init__(self, source: Source[R], most: int, as_one: bool) -> None:
        self._source, self._most, self._as_one = source, most, as_one
        self._in_a_row: set[Key | str | int] = set()
        self._deaths: Counter[Key] = Counter()
        self._micro: dict[Key, int] = {}  # of those whose worker the system has ended for memory

    def count(self, job: int, outcome: Outcome) -> str | None:
        """Note how a run ended; why the sweep is to stop, where it is.

        What fails by what it is fails with every seed: a point counts once, but where the sweep
        has no other. What is made as one counts by jobs.
        """
        if outcome.end != "failed":
            self._in_a_row.clear()
            return None
        point = outcome.key[0]
        if self._as_one:
            what = "jobs"
            self._in_a_row.add(job)
        elif sum(run.key[0] == point for run in self._source.runs()) < self._source.total:
            what = "points"
            self._in_a_row.add(point)
        else:
            what = "runs"
            self._in_a_row.add(outcome.key)
        if len(self._in_a_row) < self._most:
            return None
        return (
            f"{len(self._in_a_row)} {what} in a row have failed, the last by {outcome.error};"
            " mend that and retry with --retry failed"
        )

    def died(
        self, job: Job, left: RunFolder | None, *, memory: bool
    ) -> tuple[list[Sequence[Key]], str]:
        """Which runs of a dead worker are tried again, and which of them together; and how, in
        words.

        Args:
            job: what the worker had to do.
            left: the folder of the job's first run, as the death has left it.
            memory: the system ended the worker for want of memory, of which it could not tell
                itself: the runs go down the ladder, to its end.

        Any other death costs one more try: each alone, since a system that does not tell may have
        ended the worker for its memory as well; those that are made as one get one chance together
        before.
        """
        keys = [member.key for member in job.members]
        if memory and not self._as_one:
            first = replace(job.members[0], folder=left.path if left is not None else None)
            rung = lower([first, *job.members[1:]], job.micro_size)
            if rung is None:
                return [], ""
            if rung.micro_size is not None:
                self._micro |= dict.fromkeys(keys, rung.micro_size)
            return parts(keys, rung.members), rung.text
        chances = 2 if self._as_one else 1
        self._deaths.update(keys)
        again = [key for key in keys if self._deaths[key] <= chances]
        if any(self._deaths[key] == chances for key in again):
            alone = ", each alone" if len(again) > 1 else ""
            return parts(again, 1), f"trying once more{alone}"
        return ([again] if again else []), "trying once more"

    def micro_size(self, keys: Iterable[Key]) -> int | None:
        """The micro-batch of runs that are tried again with less memory; None: the config's."""
        return min((self._micro[key] for key in keys if key in self._micro), default=None)
