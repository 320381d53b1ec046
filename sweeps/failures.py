"""What comes of failures: another chance after a worker's death, and when a sweep is to end."""

from collections import Counter
from collections.abc import Sequence

from scaling.tracking.members import Key
from sweeps.job import Outcome
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

    def died(self, keys: Sequence[Key]) -> list[list[Key]]:
        """Which runs of a dead worker are tried once more, and which of them together.

        Each alone, since the worker may have been ended for taking too much memory; those that are
        made as one get one chance together before.
        """
        chances = 2 if self._as_one else 1
        self._deaths.update(keys)
        again = [key for key in keys if self._deaths[key] <= chances]
        if any(self._deaths[key] == chances for key in again):
            return [[key] for key in again]
        return [again] if again else []
