"""Branches of a warmup-stable-decay run: decayed ends at smaller budgets, on the way to its own.

Where a branch's decay begins, the run stands where the run of that smaller budget would stand: the
same weights after the same batches at the same rates. The decay is then trained from a copy, and
recorded as that smaller run; the run itself goes on as if nothing had been (arXiv:2405.18392).
"""

from dataclasses import dataclass

from scaling.checkpoint import Checkpoints
from scaling.cohort import Cohort
from scaling.config import RunConfig, WarmupStableDecay
from scaling.errors import UserError
from scaling.optim import decay_steps
from scaling.tracking.folder import RunFolder, recorded_runs
from scaling.tracking.tracker import Tracker


@dataclass(frozen=True)
class Branch:
    """A decayed end of every member of a cohort."""

    share: float  # of the whole budget
    start: int  # the step at which the decay begins
    cohort: Cohort  # the same models, with the configs of the smaller runs


def branch_config(config: RunConfig, share: float) -> RunConfig:
    """The config of the run that a branch at a share of the budget equals."""
    assert isinstance(config.schedule, WarmupStableDecay)
    schedule = config.schedule.model_copy(update={"branches": ()})
    changes = {
        "name": f"{config.name}-{share:g}",
        "budget": config.budget.scaled(share),
        "schedule": schedule,
    }
    return config.model_copy(update=changes)


def branches_of(cohort: Cohort) -> list[Branch]:
    """The branches that a cohort's config asks for, in the order of their starts.

    Raises UserError where one would begin before the run does.
    """
    schedule = cohort.config.schedule
    if not isinstance(schedule, WarmupStableDecay):
        return []
    found = []
    for share in schedule.branches:
        smaller = cohort.with_configs([branch_config(config, share) for config in cohort.configs])
        total = smaller.budget.steps
        found.append(Branch(share, total - branch_steps(schedule, share, total), smaller))
    return sorted(found, key=lambda branch: branch.start)


def branch_steps(schedule: WarmupStableDecay, share: float, total: int) -> int:
    """Steps that a branch trains besides its run: the decay of a run of `total` steps.

    Raises UserError where that run would be nothing but decay.
    """
    decay = decay_steps(schedule.decay, total)
    if decay == total and schedule.decay >= 1:
        raise UserError(
            f"A branch at {share:g} of the budget has {total} steps, too few for"
            f" schedule.decay {schedule.decay:g}."
        )
    return decay


def is_recorded(stem: RunFolder, share: float) -> bool:
    """Whether a run's branch has been trained to its end, by this process or one before it."""
    found = find_branch(stem, share)
    return found is not None and found.read_record().status == "FINISHED"


def find_branch(stem: RunFolder, share: float) -> RunFolder | None:
    """A run's branch, as this process or one before it has begun it: finished, if one is."""
    wanted = branch_tags(stem, share)
    found = [
        (record.status == "FINISHED", folder)
        for folder, record in recorded_runs(stem.path.parent)
        if wanted.items() <= record.tags.items()
    ]
    return max(found, key=lambda one: one[0])[1] if found else None


def branch_tags(stem: RunFolder, share: float) -> dict[str, str]:
    """What marks a run as a branch of another."""
    return {"tinyscale.branch_of": stem.read_record().id, "tinyscale.branch_at": f"{share:g}"}


def sweep_tags(stem: RunFolder) -> dict[str, str]:
    """What ties a run to its sweep, if it is of one: its branches belong there too."""
    tags = stem.read_record().tags
    return {key: tags[key] for key in ("mlflow.parentRunId", "tinyscale.sweep") if key in tags}


def share_past(stem: RunFolder, branch: Tracker, until: int) -> None:
    """Give a branch what it has in common with its stem: metrics up to a step, checkpoints.

    What a branch has that was begun before is the same metrics, which stay, and checkpoints of
    its own decay, which this one trains anew.
    """
    for row in stem.rows():
        if row.step <= until:
            branch.log(row.step, row.metrics)
    Checkpoints(branch.folder.path / "checkpoints").begin_with(
        Checkpoints(stem.path / "checkpoints")
    )
