"""What a run comes to: its last figures, and all that is said of it when it has ended."""

import math
from collections.abc import Mapping

from scaling.cohort import Cohort
from scaling.evaluation import Evaluation
from scaling.progress import Progress
from scaling.stopwatch import Stopwatch

Summary = dict[str, float | int | bool | str | None]


def final_figures(
    cohort: Cohort, progress: Progress, clock: Stopwatch, k: int, test: Evaluation | None
) -> dict[str, float]:
    """Member k's `final/...` and `best/...` metrics, those that are finite."""
    last, found = progress.last[k], progress.best[k]
    assert last is not None and found is not None
    best, best_step = found
    figures = {
        "final/train_loss": progress.train_loss[k],
        "final/val_loss": last.loss,
        "final/val_bpb": last.bpb,
        "final/val_perplexity": last.perplexity,
        "best/val_loss": best.loss,
        "best/val_bpb": best.bpb,
        "best/val_perplexity": best.perplexity,
        "best/step": best_step,
        "final/wall_seconds": clock.seconds,
    }
    if clock.step_seconds is not None:
        figures["final/tokens_per_second"] = cohort.tokens_per_step / clock.step_seconds
    average = progress.last_average[k]
    if average is not None:
        figures["final/val_ema_loss"] = average
    if test is not None:
        figures |= {"final/test_loss": test.loss, "final/test_bpb": test.bpb}
    return {name: figure for name, figure in figures.items() if math.isfinite(figure)}


def summary_of(cohort: Cohort, progress: Progress, k: int, final: Mapping[str, float]) -> Summary:
    """What is to be said of member k's run, with its `final/...` and `best/...` figures."""
    config, diverged = cohort.configs[k], progress.diverged[k]
    steps = progress.step if diverged is None else diverged  # others may have gone on
    tokens = steps * cohort.tokens_per_step
    return {
        "name": config.name,
        "seed": config.seed,
        "identity": config.identity,
        "steps": steps,
        "tokens": tokens,
        "complete": diverged is None and steps == cohort.budget.steps,
        "diverged": diverged is not None,
        "diverged_step": diverged,
        **{f"parameters_{name}": n for name, n in cohort.model.param_counts().items()},
        "flops": tokens * cohort.training_flops_per_token,
        **{key.replace("/", "_"): value for key, value in final.items()},
    }
