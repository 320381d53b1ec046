"""How long programs take, one by one and together, from what was timed on this machine."""

import heapq
from collections.abc import Sequence

from sweeps.calibration import Calibration, training_seconds
from sweeps.cohorts import Cohort
from sweeps.job import Costs
from sweeps.machine import Machine


def seconds_of(cohorts: Sequence[Cohort], calibration: Calibration) -> list[float | None]:
    """Seconds of each cohort, from set-up to the end; None where nothing has been timed."""
    alike = {_kind(cohort): cohort for cohort in cohorts}
    seconds = {
        kind: _seconds(cohort, list(alike.values()), calibration) for kind, cohort in alike.items()
    }
    return [seconds[_kind(cohort)] for cohort in cohorts]


def wall_seconds(
    cohorts: Sequence[Cohort], seconds: Sequence[float], machine: Machine, workers: int
) -> float:
    """When the last is done, given in this order to whoever has room."""
    now, running = 0.0, list[tuple[float, int]]()  # when each ends, and its threads
    cores = machine.cores if not machine.gpus else machine.gpus
    for cohort, takes in zip(cohorts, seconds, strict=True):
        threads = 1 if machine.gpus else cohort.threads
        while len(running) >= workers or (
            running and sum(t for _, t in running) + threads > cores
        ):
            now = max(now, heapq.heappop(running)[0])
        heapq.heappush(running, (now + takes, threads))
    return max((end for end, _ in running), default=0.0)


def _kind(cohort: Cohort) -> tuple[object, ...]:
    return cohort.config.cohort_key, cohort.size.budget.steps, cohort.way, cohort.begun


def _seconds(cohort: Cohort, others: Sequence[Cohort], calibration: Calibration) -> float | None:
    config, members = cohort.config, len(cohort.runs)
    costs = calibration.costs(config, cohort.way) or _scaled(cohort, others, calibration)
    if costs is None:
        return None
    size = cohort.size
    trained = training_seconds(config, size.stretches, costs, size.eval_tokens)
    tested = size.test_tokens * costs.eval_token
    left = trained * (1 - cohort.begun / size.budget.steps)
    ends = len(size.stretches)  # a branch is judged and recorded as a run is
    return costs.setup + left + ends * (tested + members * calibration.ending)


def _scaled(cohort: Cohort, others: Sequence[Cohort], calibration: Calibration) -> Costs | None:
    """The costs of the shape that is nearest in FLOPs a step, in proportion."""
    mine = cohort.work / cohort.size.budget.steps
    nearest: tuple[float, Costs] | None = None
    for other in others:
        known = calibration.costs(other.config, other.way)
        ratio = mine / (other.work / other.size.budget.steps)
        if known and (nearest is None or abs(ratio - 1) < abs(nearest[0] - 1)):
            nearest = ratio, known
    return None if nearest is None else nearest[1].times(nearest[0])
