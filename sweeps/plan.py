"""What a sweep will do, before it does: every run with its size, time and state, and warnings."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.axes import axes_of
from sweeps.calibration import Calibration, training_seconds
from sweeps.cohorts import Cohort
from sweeps.job import Costs
from sweeps.ledger import Known
from sweeps.machine import Machine
from sweeps.sizes import Size
from sweeps.spec import SweepSpec
from sweeps.wanted import Key, Wanted

MOST_EPOCHS = 4  # repeats beyond these are worth less (Muennighoff et al., arXiv:2305.16264)
SAME_SIZE = 1.1  # a ratio of parameters that is not a difference of size
MOST_MEASURED = 12  # shapes; the rest are scaled from the nearest by their FLOPs


@dataclass(frozen=True)
class Row:
    """One run of the plan."""

    run: Wanted
    size: Size
    state: str  # missing, or a ledger's word
    cohort: int | None  # which program it is trained in; None: nothing is to be done
    memory: int  # bytes of that program
    seconds: float | None  # its share of the program's


@dataclass(frozen=True)
class Plan:
    """All runs, and what making the missing ones takes."""

    rows: list[Row]
    cohorts: list[Cohort]
    seconds: list[float | None]  # of each cohort
    wall: float | None
    warnings: list[str]

    @property
    def todo(self) -> int:
        """Runs that are to be made."""
        return sum(len(cohort.runs) for cohort in self.cohorts)


def make_plan(
    runs: Sequence[Wanted],
    known: dict[Key, Known],
    sizes: dict[Key, Size],
    cohorts: list[Cohort],
    spec: SweepSpec,
    machine: Machine,
    calibration: Calibration,
) -> Plan:
    """Put together what is known beforehand."""
    seconds = [cohort_seconds(cohort, cohorts, calibration) for cohort in cohorts]
    place = {run.key: i for i, cohort in enumerate(cohorts) for run in cohort.runs}
    rows = []
    for run in runs:
        i = place.get(run.key)
        there = known.get(run.key)
        cohort = None if i is None else cohorts[i]
        each = None if i is None else seconds[i]
        rows.append(
            Row(
                run,
                sizes[run.key],
                there.state if there else "missing",
                i,
                len(cohort.runs) * cohort.size.bytes_of(run.config) if cohort else 0,
                each / len(cohort.runs) if each is not None and cohort else None,
            )
        )
    return Plan(
        rows,
        cohorts,
        seconds,
        wall_seconds(cohorts, seconds, machine, spec),
        warnings(spec, rows),
    )


def unmeasured(cohorts: Sequence[Cohort], calibration: Calibration) -> list[Cohort]:
    """One cohort of each shape that has not been timed here; the largest shapes first."""
    found: dict[tuple[str, int, int], Cohort] = {}
    for cohort in cohorts:
        config, members = cohort.runs[0].config, len(cohort.runs)
        if calibration.costs(config, members, cohort.threads) is None:
            found.setdefault((config.cohort_key, members, cohort.threads), cohort)
    return sorted(found.values(), key=lambda c: -c.work)[:MOST_MEASURED]


def cohort_seconds(
    cohort: Cohort, others: Sequence[Cohort], calibration: Calibration
) -> float | None:
    """Seconds that a cohort takes, from set-up to the end; None where nothing has been timed."""
    config, members = cohort.runs[0].config, len(cohort.runs)
    costs = calibration.costs(config, members, cohort.threads) or _scaled(
        cohort, others, calibration
    )
    if costs is None:
        return None
    steps = cohort.size.budget.steps
    trained = training_seconds(config, steps, costs, cohort.size.eval_tokens)
    gone = (cohort.known[0].step or 0) if cohort.known[0] else 0
    tested = cohort.size.test_tokens * costs.eval_token
    left = trained * (1 - gone / steps)
    return costs.setup + left + tested + members * calibration.ending


def _scaled(cohort: Cohort, others: Sequence[Cohort], calibration: Calibration) -> Costs | None:
    """The costs of the shape that is nearest in FLOPs a step, in proportion."""
    mine = cohort.work / cohort.size.budget.steps
    nearest: tuple[float, Costs] | None = None
    for other in others:
        known = calibration.costs(other.runs[0].config, len(other.runs), other.threads)
        ratio = mine / (other.work / other.size.budget.steps)
        if known and (nearest is None or abs(ratio - 1) < abs(nearest[0] - 1)):
            nearest = ratio, known
    if nearest is None:
        return None
    ratio, costs = nearest
    return Costs(costs.setup, costs.step * ratio, costs.eval_token * ratio, costs.save * ratio)


def wall_seconds(
    cohorts: Sequence[Cohort],
    seconds: Sequence[float | None],
    machine: Machine,
    spec: SweepSpec,
) -> float | None:
    """When the last is done, given in this order to whoever has room."""
    known = [s for s in seconds if s is not None]
    if len(known) < len(seconds):
        return None
    workers = machine.workers if spec.workers == "auto" else min(spec.workers, machine.workers)
    now, running = 0.0, list[tuple[float, int]]()  # when each ends, and its threads
    cores = machine.cores if not machine.gpus else machine.gpus
    for cohort, takes in zip(cohorts, known, strict=True):
        threads = 1 if machine.gpus else cohort.threads
        while len(running) >= workers or (
            running and sum(t for _, t in running) + threads > cores
        ):
            now = max(now, heapq.heappop(running)[0])
        heapq.heappush(running, (now + takes, threads))
    return max((end for end, _ in running), default=0.0)


def warnings(spec: SweepSpec, rows: Sequence[Row]) -> list[str]:
    """What a reader of the result would object to."""
    found = []
    sizes = [row.size.parameters["non_embedding"] for row in rows]
    span = max(sizes) / min(sizes)
    if SAME_SIZE < span < 10:
        found.append(
            f"the sizes span a factor of {span:.1f} in parameters without"
            " embeddings; a law over less than an order of magnitude says little"
        )
    if len({row.run.config.seed for row in rows}) == 1:
        found.append("one seed only: nothing will say how far apart equal runs end")
    isoflop = bool(spec.budget and spec.budget.isoflop)
    tokens = {row.size.budget.tokens for row in rows}
    flops = [row.size.budget.flops for row in rows]
    equal_flops = max(flops) < 1.02 * min(flops)
    if len(tokens) > 1 and not isoflop and not equal_flops:
        found.append(
            f"the budgets differ: from {min(tokens):,} to {max(tokens):,} tokens; compare runs"
            " of one budget only"
        )
    epochs = max(row.size.budget.epochs for row in rows)
    if epochs > MOST_EPOCHS:
        found.append(
            f"up to {epochs:.1f} epochs: tokens repeated more than {MOST_EPOCHS} times are worth"
            " less than new ones"
        )
    varied = (
        {field for axis in axes_of(spec) for field in axis.fields}
        if not spec.search
        else {*spec.search.space}
    )
    rates = {row.run.config.optimizer.lr for row in rows}
    mup = any(
        getattr(getattr(row.run.config.model, "parametrization", None), "kind", "") == "mup"
        for row in rows
    )
    if span > SAME_SIZE and len(rates) == 1 and "optimizer.lr" not in varied and not mup:
        found.append(
            f"one learning rate ({rows[0].run.config.optimizer.lr:g}) for all sizes: what is best"
            " for one is not for another (see lr_per_size)"
        )
    if spec.search and spec.search.pruner.kind != "none":
        found.append("pruned runs bias a law's fit; leave them out of one")
        if any(field.startswith("model.") for field in varied):
            found.append("runs of different shapes are compared in mid-run by the pruner")
    return found
