"""How large a run is: parameters, FLOPs, steps and memory, from shapes alone."""

from dataclasses import dataclass
from functools import lru_cache

from scaling.budget import Budget, ResolvedBudget
from scaling.config import DataConfig, ModelConfig, RunConfig, WarmupStableDecay
from scaling.data.prepare import PreparedData, prepare

TRAINING_PASSES = 3  # forward, and twice as much backward


@dataclass(frozen=True)
class Size:
    """The figures of one run."""

    parameters: dict[str, int]  # by convention
    budget: ResolvedBudget
    branches: tuple[tuple[int, int], ...]  # steps at which each one's decay begins and ends
    eval_tokens: int  # of one evaluation
    test_tokens: int
    weights: int  # bytes that do not depend on the batch
    sequence: int  # bytes that a sequence of the batch adds

    @property
    def tokens(self) -> int:
        """Tokens trained on, branches too."""
        steps = sum(last - first for first, last in self.stretches)
        return self.budget.tokens // self.budget.steps * steps

    @property
    def stretches(self) -> list[tuple[int, int]]:
        """The steps from and to which it trains: its own, and the decays of its branches."""
        return [(0, self.budget.steps), *self.branches]

    @property
    def flops(self) -> float:
        """FLOPs trained with, branches too."""
        return self.budget.flops * self.tokens / self.budget.tokens

    def bytes_of(self, config: RunConfig) -> int:
        """Memory of the run with its micro-batch, or with its whole batch where that is auto."""
        micro = config.batch.micro_size
        return self.weights + self.sequence * (config.batch.size if micro == "auto" else micro)


def size_of(config: RunConfig) -> Size:
    """The size of a run; prepares its data where they are not yet."""
    import torch

    from scaling.branches import branch_steps
    from scaling.model.memory import activation_bytes, weight_bytes

    data = _prepared(config.data)
    counts, flops = _counts(config.model, data.tokenizer.vocab_size, config.data.context_length)
    context = config.data.context_length

    def resolve(budget: Budget) -> ResolvedBudget:
        return budget.resolve(
            tokens_per_step=config.tokens_per_step,
            tokens_per_epoch=(data.train.tokens - 1) // context * context,
            flops_per_token=TRAINING_PASSES * flops,
            parameters=counts["total"],
        )

    branches = []
    if isinstance(schedule := config.schedule, WarmupStableDecay):
        for share in schedule.branches:
            end = resolve(config.budget.scaled(share)).steps
            branches.append((end - branch_steps(schedule, share, end), end))
    validation = data.validation.tokens - 1
    limit = config.evaluation.tokens
    return Size(
        counts,
        resolve(config.budget),
        tuple(branches),
        validation if limit == "all" else min(limit, validation),
        data.test.tokens if data.test else 0,
        weight_bytes(counts["total"]),
        activation_bytes(config.model, context, torch.float32),
    )


@lru_cache(maxsize=64)
def _prepared(config: DataConfig) -> PreparedData:
    return prepare(config)


@lru_cache(maxsize=1024)
def _counts(config: ModelConfig, vocab_size: int, context: int) -> tuple[dict[str, int], int]:
    """Parameters and forward FLOPs a token, of a model that is never allocated."""
    from scaling.model.decoder import outline

    model = outline(config, vocab_size=vocab_size, context_length=context)
    return model.param_counts(), model.flops_per_token()
