"""What runs are judged by: a search's objectives, else their validation loss."""

import statistics
from collections.abc import Sequence

from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.schema import nearest
from sweeps.job import Figure
from sweeps.ledger import Known
from sweeps.reading import Sweep
from sweeps.space import Space
from sweeps.spec import Objective, Search, SweepSpec
from sweeps.wanted import Wanted

METRICS = (
    *("final/val_loss", "final/val_bpb", "final/val_perplexity", "final/train_loss"),
    *("final/test_loss", "final/test_bpb", "best/val_loss", "best/val_bpb"),
    *("final/wall_seconds", "final/tokens_per_second"),
    *("parameters/total", "parameters/non_embedding", "flops", "tokens"),
)
PER_TOKEN = (
    *("final/val_loss", "final/val_perplexity", "final/train_loss"),
    *("final/test_loss", "best/val_loss"),
)
# What of an evaluation in mid-run a pruner hears, so that it judges by the objective's unit.
PRUNABLE: dict[str, Figure] = {
    "final/val_loss": "loss",
    "best/val_loss": "loss",
    "final/val_bpb": "bpb",
    "best/val_bpb": "bpb",
}


def check_search(search: Search, sweep: Sweep, ends: Sequence[Wanted]) -> None:
    """Raise one sentence for what cannot be searched; `ends` are the runs at the space's ends."""
    configs = [run.config for run in ends]
    one_unit = one_tokenizer(configs)
    for objective in search.objectives:
        metric = objective.metric
        if metric not in METRICS:
            close = nearest(metric, METRICS)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(METRICS)}."
            raise UserError(f"search.objectives has no metric {metric}; {hint}")
        if metric in PER_TOKEN and not one_unit:
            raise UserError(
                f"search.objectives: {metric} is per token, and the space has several tokenizers,"
                " whose tokens differ: bits per byte compare, such as final/val_bpb."
            )
        if metric.startswith("final/test") and not all(map(_has_test, configs)):
            raise UserError(
                f"search.objectives: there is no {metric} without a test split (data.test_share)."
            )
    if search.pruner.kind != "none":
        _check_pruner(search, sweep, configs)


def values(objectives: Sequence[Objective], runs: Sequence[Known]) -> list[float]:
    """The objectives, means over seeds. Infinitely bad is a diverged run, and one without the
    figure: what is not finite, such as e to a loss of 800, is in no record."""
    found = []
    for objective in objectives:
        each = []
        for known in runs:
            value = known.summary.get(objective.figure)
            if value is None or known.summary.get("diverged"):
                value = objective.worst
            each.append(value)
        found.append(statistics.fmean(each))
    return found


def judged_by(spec: SweepSpec, runs: Sequence[Wanted]) -> Objective:
    """What says which run is best: a search's (first) objective, else the validation loss.

    Losses per token compare with one tokenizer only.
    """
    if spec.search:
        return spec.search.objectives[0]
    one = one_tokenizer([run.config for run in runs])
    return Objective(metric="final/val_loss" if one else "final/val_bpb")


def _check_pruner(search: Search, sweep: Sweep, configs: Sequence[RunConfig]) -> None:
    if len(search.objectives) > 1:
        raise UserError("search.pruner needs one objective; leave it out with several.")
    if search.objectives[0].metric not in PRUNABLE:
        raise UserError(
            f"search.pruner judges by validation loss, not {search.objectives[0].metric}."
        )
    if any(config.evaluation.every is None for config in configs):
        raise UserError(
            "search.pruner judges runs at their evaluations: evaluation.every cannot be null."
        )
    varied = Space(search.space).fields
    sized = any(f.split(".")[0] in ("model", "batch", "data") for f in varied)
    budgets = any(f.split(".")[0] == "budget" for f in varied)
    if budgets or (sized and "tokens" not in sweep.base.get("budget", {})):
        raise UserError(
            "search.pruner compares runs at equal shares of equal budgets: give budget.tokens, so"
            " that every point of this space has the same."
        )


def one_tokenizer(configs: Sequence[RunConfig]) -> bool:
    """Whether a token is the same in all of them: some tokenizers learn from their corpus."""
    found = [(config.data.tokenizer, config.data.corpus) for config in configs]
    return all(one == found[0] for one in found)


def _has_test(config: RunConfig) -> bool:
    data = config.data
    named = getattr(data.corpus, "test", None) is not None
    return named or data.val_is_test or data.test_share > 0
