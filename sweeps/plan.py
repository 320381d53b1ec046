"""What a sweep will do, before it does: every run with its size, time and state, and warnings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scaling.tracking.members import Key
from sweeps.advice import Advisor
from sweeps.calibration import evaluations
from sweeps.cohorts import Cohort
from sweeps.estimate import seconds_of, wall_seconds
from sweeps.ledger import Known
from sweeps.samplers import by_chance
from sweeps.sizes import Size
from sweeps.space import varied_by
from sweeps.spec import SweepSpec
from sweeps.wanted import Wanted

MOST_EPOCHS = 4  # repeats beyond these are worth less (Muennighoff et al., arXiv:2305.16264)
ALIKE = 1.02  # a ratio of budgets that is whole steps' rounding
SAME_SIZE = 1.1  # a ratio of parameters that is not a difference of size


@dataclass(frozen=True)
class Row:
    """One run of the plan."""

    run: Wanted
    size: Size
    state: str  # missing, or a ledger's word
    left: float  # the share of its steps that is to be done
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
    ways: list[str]  # how the runs are divided into programs, in words
    asked: int | None = None  # of a search: runs to ask for yet; the rows are those at its ends

    @property
    def todo(self) -> int:
        """Runs that are to be made."""
        if self.asked is not None:
            return self.asked
        return sum(len(cohort.runs) for cohort in self.cohorts)

    @property
    def tokens(self) -> int:
        """Tokens to train on."""
        return round(self._of_todo([row.left * row.size.tokens for row in self._open]))

    @property
    def flops(self) -> float:
        """FLOPs to train with."""
        return self._of_todo([row.left * row.size.flops for row in self._open])

    @property
    def busy(self) -> float:
        """Seconds of workers, where they are known."""
        return self._of_todo([row.seconds or 0.0 for row in self._open])

    @property
    def _open(self) -> list[Row]:
        return [row for row in self.rows if self.asked is not None or row.cohort is not None]

    def _of_todo(self, each: Sequence[float]) -> float:
        """The sum; of a search what its runs come to, if they are as those at its ends."""
        return sum(each) if self.asked is None else self.asked * sum(each) / len(each)


def make_plan(
    runs: Sequence[Wanted],
    known: dict[Key, Known],
    sizes: dict[Key, Size],
    cohorts: list[Cohort],
    advisor: Advisor,
) -> Plan:
    """Put together what is known beforehand."""
    seconds = seconds_of(cohorts, advisor.calibration)
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
                1.0 - cohort.begun / cohort.size.budget.steps if cohort else 1.0,
                i,
                _memory(cohort, advisor) if cohort else 0,
                each / len(cohort.runs) if each is not None and cohort else None,
            )
        )
    measured = [takes for takes in seconds if takes is not None]
    wall = None
    if len(measured) == len(seconds):
        wall = wall_seconds(cohorts, measured, advisor.machine, advisor.workers)
    return Plan(rows, cohorts, seconds, wall, warnings(advisor.spec, rows), ways(cohorts, advisor))


def ways(cohorts: Sequence[Cohort], advisor: Advisor) -> list[str]:
    """How the runs are divided, one line for each way: programs, members, threads."""
    found = Counter(
        (cohort.way, len(advisor.calibration.ways(cohort.config))) for cohort in cohorts
    )
    lines = []
    for (way, timed), count in sorted(found.items()):
        programs = f"{count} program{'s' * (count > 1)} of {way.members}"
        runs = f" run{'s' * (way.members > 1)}"
        threads = f" on {way.threads} thread{'s' * (way.threads > 1)}"
        if advisor.machine.gpus:
            threads = ""
        at_once = min(count, advisor.at_once(way))
        why = f"the best of {timed} timed" if timed > 1 else "by rule"
        lines.append(f"{programs}{runs}{threads}, {at_once} at once: {why}")
    return lines


def _memory(cohort: Cohort, advisor: Advisor) -> int:
    """Bytes of a program: the peak that was measured, or an estimate from shapes."""
    costs = advisor.calibration.costs(cohort.config, cohort.way)
    if costs is not None and costs.peak is not None:
        return costs.peak
    return len(cohort.runs) * cohort.size.bytes_of(cohort.config)


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
    seeds = set(spec.seeds) if spec.search else {row.run.config.seed for row in rows}
    if len(seeds) <= 1:
        found.append("one seed only: nothing will say how far apart equal runs end")
    isoflop = bool(spec.budget and spec.budget.isoflop)
    tokens = [row.size.budget.tokens for row in rows]
    flops = [row.size.budget.flops for row in rows]
    equal = any(max(each) < ALIKE * min(each) for each in (tokens, flops))
    if not equal and not isoflop:
        found.append(
            f"the budgets differ: from {min(tokens):,} to {max(tokens):,} tokens; compare runs"
            " of one budget only"
        )
    if off := [row for row in rows if _is_off(row)]:
        found.append(
            f"{len(off)} runs cannot have the FLOPs asked for in whole steps, such as"
            f" {off[0].size.budget.flops:.3g}; a smaller batch comes closer"
        )
    epochs = max(row.size.budget.epochs for row in rows)
    if epochs > MOST_EPOCHS:
        found.append(
            f"up to {epochs:.1f} epochs: tokens repeated more than {MOST_EPOCHS} times are worth"
            " less than new ones"
        )
    row = max(rows, key=lambda row: _judged(row) / row.size.budget.tokens)
    if _judged(row) > row.size.budget.tokens:
        found.append(
            f"{_judged(row):,} tokens are validated or tested in a run that trains on"
            f" {row.size.budget.tokens:,}: evaluation.every, evaluation.tokens or data.test_share"
            " could spare much"
        )
    varied = varied_by(spec)
    rates = {row.run.config.optimizer.lr for row in rows}
    mup = any(row.run.config.model.parametrization.kind == "mup" for row in rows)
    if span > SAME_SIZE and len(rates) == 1 and "optimizer.lr" not in varied and not mup:
        found.append(
            f"one learning rate ({rows[0].run.config.optimizer.lr:g}) for all sizes: what is best"
            " for one is not for another (see lr_per_size)"
        )
    found += [
        f"{field} is {width} at widths from {narrow} to {wide}: muP's rates hold across widths"
        " only where inner widths grow with them"
        for field, width, narrow, wide in _fixed_in_mup(rows)
    ]
    if spec.search and (first := by_chance(spec.search)) >= spec.search.trials:
        found.append(
            f"all {spec.search.trials} points are drawn by chance: {spec.search.sampler.kind}"
            f" begins to learn after {first} (search.sampler.options)"
        )
    if spec.search and spec.search.pruner.kind != "none":
        found.append("pruned runs bias a law's fit; leave them out of one")
        if any(field.startswith("model.") for field in varied):
            found.append("runs of different shapes are compared in mid-run by the pruner")
    return found


def _fixed_in_mup(rows: Sequence[Row]) -> list[tuple[str, int, int, int]]:
    """Inner widths that stay as they are while d_model varies, with its ends, of runs in muP."""
    models = [row.run.config.model for row in rows]
    models = [model for model in models if model.parametrization.kind == "mup"]
    found = []
    for field in ("feedforward.d_ff", "attention.kv_rank"):
        at: dict[int, set[int]] = {}
        for model in models:
            part, name = field.split(".")
            if width := getattr(getattr(model, part), name, None):
                at.setdefault(width, set()).add(model.d_model)
        found += [
            (f"model.{field}", width, min(widths), max(widths))
            for width, widths in at.items()
            if len(widths) > 1
        ]
    return found


def _is_off(row: Row) -> bool:
    """Whether a run's FLOPs are not those asked for, since it takes few steps."""
    asked = row.run.config.budget.flops
    return asked is not None and not 1 / ALIKE < row.size.budget.flops / asked < ALIKE


def _judged(row: Row) -> int:
    """Tokens that a run is judged by: all of its evaluations together, and the test at its end."""
    size = row.size
    return evaluations(row.run.config, size.budget.steps) * size.eval_tokens + size.test_tokens
