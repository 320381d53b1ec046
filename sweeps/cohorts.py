"""Which runs train together: of one shape, at one step, so many that no worker idles."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.ledger import Known
from sweeps.machine import Advice, Machine, advise
from sweeps.sizes import Size, size_of
from sweeps.spec import SweepSpec
from sweeps.wanted import Wanted


@dataclass(frozen=True)
class Cohort:
    """Runs that train as one program."""

    runs: tuple[Wanted, ...]
    known: tuple[Known | None, ...]  # the half-done run that each goes on from
    size: Size  # of the first; shape and steps are the same in all
    threads: int

    @property
    def work(self) -> float:
        """FLOPs of all of them: the longest goes first."""
        return len(self.runs) * self.size.budget.flops


def form(
    todo: Sequence[tuple[Wanted, Known | None]],
    machine: Machine,
    spec: SweepSpec,
    *,
    alone: bool = False,
) -> list[Cohort]:
    """The runs in cohorts, half-done ones first, then the longest.

    `alone`: each by itself, where runs may be pruned: a pruned member of a program frees nothing.
    """
    workers = machine.workers if spec.workers == "auto" else min(spec.workers, machine.workers)
    groups: dict[tuple[str, bool, int | None, int], list[tuple[Wanted, Known | None]]] = {}
    for run, known in todo:
        begun = known is not None and known.folder is not None
        step = known.step if known is not None else None
        steps = size_of(run.config).budget.steps
        groups.setdefault((run.config.cohort_key, begun, step, steps), []).append((run, known))
    advised = {key: _advice(group[0][0], machine, spec) for key, group in groups.items()}
    # A second job for every worker evens out what is left at the end; one worker needs none.
    most = len(todo) if workers == 1 else max(1, len(todo) // (2 * workers))
    cohorts = []
    for key, group in groups.items():
        advice = advised[key]
        limit = 1 if alone else min(advice.members, most)
        parts = -(-len(group) // limit)
        for k in range(parts):
            part = group[k * len(group) // parts : (k + 1) * len(group) // parts]
            runs, known_runs = zip(*part, strict=True)
            cohorts.append(Cohort(runs, known_runs, size_of(runs[0].config), advice.threads))
    return sorted(cohorts, key=lambda c: (c.known[0] is None, -c.threads, -c.work))


def _advice(run: Wanted, machine: Machine, spec: SweepSpec) -> Advice:
    advice = advise(run.config, size_of(run.config).bytes_of(run.config), machine)
    if spec.cohort == "auto":
        return advice
    return Advice(advice.threads, spec.cohort)
