"""The adaptations that a sweep wants, and which of them are made together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from scaling.adapt.config import AdaptConfig, Edit, FileTasks, Full, Lora, StoriesTasks
from scaling.tracking.members import Key
from sweeps.adapting.baselines import Ready
from sweeps.adapting.material import Material
from sweeps.adapting.reading import AdaptSweep
from sweeps.cohorts import Program
from sweeps.ledger import Known
from sweeps.machine import Machine


@dataclass(frozen=True)
class Adaptation:
    """One adaptation that is wanted."""

    config: AdaptConfig
    labels: dict[str, str]
    parameters: int  # of the baseline
    trial: int | None = None
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.config.identity, self.config.seed))


def wanted_adaptations(
    sweep: AdaptSweep, material: Material, baselines: Sequence[Ready]
) -> list[Adaptation]:
    """Every adaptation of the sweep."""
    spec = sweep.spec
    ranks = [spec.lora.model_copy(update={"rank": rank}) for rank in spec.rank]
    methods: list[Lora | Full] = [*ranks, *([spec.full] if spec.full else [])]
    return [
        _adaptation(sweep, baseline, edit, method, steps, seed, material.tasks)
        for baseline in baselines
        for edit in material.edits
        for method in methods
        for seed in spec.seeds
        for steps in spec.inner_steps
    ]


def _adaptation(
    sweep: AdaptSweep, baseline: Ready, edit: Edit, method: Lora | Full, steps: int, seed: int,
    tasks: StoriesTasks | FileTasks,
) -> Adaptation:  # fmt: skip
    spec = sweep.spec
    how = f"rank {method.rank}" if isinstance(method, Lora) else "full"
    labels = {
        "baseline": baseline.config.label,
        "edit": edit.label,
        "method": how,
        "steps": str(steps),
        "seed": str(seed),
    }
    named = re.sub(r"[^A-Za-z0-9._+=-]+", "_", f"{spec.name}-{edit.label}-{how}-{steps}")
    config = AdaptConfig.model_validate(
        {
            "name": named[:96],
            "seed": seed,
            "baseline": baseline.config,
            "tasks": tasks,
            "edit": edit,
            "method": method,
            "inner_steps": steps,
            "tokens_per_step": spec.tokens_per_step,
            "price": spec.price,
            "forgetting_tokens": spec.forgetting_tokens,
            "runtime": spec.runtime,
            "tracking": spec.tracking,
        }
    )
    return Adaptation(config.plain(), labels, baseline.parameters)


class Together:
    """Puts adaptations that one program makes into one job; half-done ones begin again with it."""

    as_one = True  # edits are written, and the way of the most steps is gone, once for all of them

    def __init__(self, machine: Machine, workers: int) -> None:
        self.machine, self.workers = machine, workers

    def form(self, todo: Sequence[tuple[Adaptation, Known | None]]) -> list[Program[Adaptation]]:
        """The largest baselines first, so that no long job is left at the end."""
        groups: dict[str, list[tuple[Adaptation, Known | None]]] = {}
        for run, known in todo:
            groups.setdefault(run.config.cohort_key, []).append((run, known))
        at_once = max(1, min(self.workers, len(groups)))
        threads = 1 if self.machine.gpus else max(1, self.machine.cores // at_once)
        programs = []
        for pairs in groups.values():
            runs, known_runs = zip(*pairs, strict=True)
            programs.append(Program(runs, known_runs, threads))
        return sorted(programs, key=lambda p: -p.runs[0].parameters * len(p.runs))
