"""What a reader of a sweep's result would object to, said before anything is trained."""

from collections.abc import Iterator, Sequence

from scaling.config import RunConfig
from sweeps.calibration import evaluations
from sweeps.objectives import one_tokenizer
from sweeps.samplers import by_chance
from sweeps.sizes import Size
from sweeps.space import varied_by
from sweeps.spec import SweepSpec

MOST_EPOCHS = 4  # repeats beyond these are worth less (Muennighoff et al., arXiv:2305.16264)
ALIKE = 1.02  # a ratio of budgets that is whole steps' rounding
SAME_SIZE = 1.1  # a ratio of parameters that is not a difference of size

Sized = tuple[RunConfig, Size]


def objections(spec: SweepSpec, runs: Sequence[Sized]) -> list[str]:
    """One sentence for each; of a search by the runs at the ends of its space."""
    return [
        *_of_sizes(spec, runs),
        *_of_budgets(spec, runs),
        *_of_texts(runs),
        *_of_rates(spec, runs),
        *_of_search(spec),
    ]


def _of_sizes(spec: SweepSpec, runs: Sequence[Sized]) -> Iterator[str]:
    span = _span(runs)
    if SAME_SIZE < span < 10:
        yield (
            f"the sizes span a factor of {span:.1f} in parameters without"
            " embeddings; a law over less than an order of magnitude says little"
        )
    seeds = set(spec.seeds) if spec.search else {config.seed for config, _ in runs}
    if len(seeds) <= 1:
        yield "one seed only: nothing will say how far apart equal runs end"


def _of_budgets(spec: SweepSpec, runs: Sequence[Sized]) -> Iterator[str]:
    budgets = [size.budget for _, size in runs]
    tokens, flops = [one.tokens for one in budgets], [one.flops for one in budgets]
    equal = any(max(each) < ALIKE * min(each) for each in (tokens, flops))
    if not equal and not (spec.budget and spec.budget.isoflop):
        yield (
            f"the budgets differ: from {min(tokens):,} to {max(tokens):,} tokens; compare runs"
            " of one budget only"
        )
    if off := [size.budget.flops for config, size in runs if _is_off(config, size)]:
        yield (
            f"{len(off)} runs cannot have the FLOPs asked for in whole steps, such as"
            f" {off[0]:.3g}; a smaller batch comes closer"
        )
    epochs = max(one.epochs for one in budgets)
    if epochs > MOST_EPOCHS:
        yield (
            f"up to {epochs:.1f} epochs: tokens repeated more than {MOST_EPOCHS} times are worth"
            " less than new ones"
        )
    judged, trained = max(
        ((_judged(*one), one[1].budget.tokens) for one in runs), key=lambda pair: pair[0] / pair[1]
    )
    if judged > trained:
        yield (
            f"{judged:,} tokens are validated or tested in a run that trains on"
            f" {trained:,}: evaluation.every, evaluation.tokens or data.test_share"
            " could spare much"
        )


def _of_texts(runs: Sequence[Sized]) -> Iterator[str]:
    configs = [config for config, _ in runs]
    limits = {config.evaluation.tokens for config in configs}
    if limits != {"all"} and not one_tokenizer(configs):
        yield (
            "evaluation.tokens counts each run's own tokens: with several tokenizers the losses"
            " are of different texts, which do not compare; leave it at all"
        )


def _of_rates(spec: SweepSpec, runs: Sequence[Sized]) -> Iterator[str]:
    rates = {config.optimizer.lr for config, _ in runs}
    mup = any(config.model.parametrization.kind == "mup" for config, _ in runs)
    tuned = len(rates) > 1 or "optimizer.lr" in varied_by(spec)
    if _span(runs) > SAME_SIZE and not tuned and not mup:
        yield (
            f"one learning rate ({runs[0][0].optimizer.lr:g}) for all sizes: what is best"
            " for one is not for another (see lr_per_size)"
        )
    for field, width, narrow, wide in _fixed_in_mup(runs):
        yield (
            f"{field} is {width} at widths from {narrow} to {wide}: muP's rates hold across widths"
            " only where inner widths grow with them"
        )


def _of_search(spec: SweepSpec) -> Iterator[str]:
    if spec.search is None:
        return
    if (first := by_chance(spec.search)) >= spec.search.trials:
        yield (
            f"all {spec.search.trials} points are drawn by chance: {spec.search.sampler.kind}"
            f" begins to learn after {first} (search.sampler.options)"
        )
    if spec.search.pruner.kind != "none":
        yield "pruned runs bias a law's fit; leave them out of one"
        if any(field.startswith("model.") for field in varied_by(spec)):
            yield "runs of different shapes are compared in mid-run by the pruner"


def _span(runs: Sequence[Sized]) -> float:
    """The largest size over the smallest, in parameters without embeddings."""
    sizes = [size.parameters["non_embedding"] for _, size in runs]
    return max(sizes) / min(sizes)


def _fixed_in_mup(runs: Sequence[Sized]) -> list[tuple[str, int, int, int]]:
    """Inner widths that stay as they are while d_model varies, with its ends, of runs in muP."""
    models = [config.model for config, _ in runs if config.model.parametrization.kind == "mup"]
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


def _is_off(config: RunConfig, size: Size) -> bool:
    """Whether a run's FLOPs are not those asked for, since it takes few steps."""
    asked = config.budget.flops
    return asked is not None and not 1 / ALIKE < size.budget.flops / asked < ALIKE


def _judged(config: RunConfig, size: Size) -> int:
    """Tokens that a run is judged by: all of its evaluations together, and the test at its end."""
    return evaluations(config, size.budget.steps) * size.eval_tokens + size.test_tokens
