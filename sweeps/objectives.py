"""What a search makes small or large: which figures there are, and what is the best of them."""

import math
import statistics
from collections.abc import Sequence

from scaling.errors import UserError
from scaling.schema import nearest
from sweeps.ledger import Known
from sweeps.reading import Sweep
from sweeps.space import Space
from sweeps.spec import Objective, Search

METRICS = (
    *("final/val_loss", "final/val_bpb", "final/val_perplexity", "final/train_loss"),
    *("final/test_loss", "final/test_bpb", "best/val_loss", "best/val_bpb"),
    *("final/wall_seconds", "final/tokens_per_second"),
    *("parameters/total", "parameters/non_embedding", "flops", "tokens"),
)
PRUNABLE = ("final/val_loss", "final/val_bpb", "best/val_loss", "best/val_bpb")


def check_search(search: Search, sweep: Sweep) -> None:
    """Raise one sentence for what cannot be searched."""
    for objective in search.objectives:
        if objective.metric not in METRICS:
            close = nearest(objective.metric, METRICS)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(METRICS)}."
            raise UserError(f"search.objectives has no metric {objective.metric}; {hint}")
    if search.pruner.kind == "none":
        return
    if len(search.objectives) > 1:
        raise UserError("search.pruner needs one objective; leave it out with several.")
    if search.objectives[0].metric not in PRUNABLE:
        raise UserError(
            f"search.pruner judges by validation loss, not {search.objectives[0].metric}."
        )
    budget = sweep.base.get("budget", {})
    varied = Space(search.space).fields
    sized = any(f.split(".")[0] in ("model", "batch", "data", "budget") for f in varied)
    if sized and "tokens" not in budget:
        raise UserError(
            "search.pruner compares runs at equal shares of equal budgets: give budget.tokens, so"
            " that every point of this space has the same."
        )


def values(objectives: Sequence[Objective], runs: Sequence[Known]) -> list[float]:
    """The objectives, means over seeds; a diverged run is infinitely bad."""
    found = []
    for objective in objectives:
        worst = math.inf if objective.direction == "minimize" else -math.inf
        each = [
            known.summary.get(objective.metric.replace("/", "_"), worst)
            if not known.summary.get("diverged")
            else worst
            for known in runs
        ]
        found.append(statistics.fmean(each))
    return found
