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
    from scaling.branches import branch_steps
    from scaling.model.memory import weight_bytes
    from scaling.runtime import device_of

    data, context = _prepared(config.data), config.data.context_length
    device = device_of(config.runtime).type
    counts, flops, sequence = _counts(config.model, data.tokenizer.vocab_size, context, device)

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
        sequence,
    )


@lru_cache(maxsize=64)
def _prepared(config: DataConfig) -> PreparedData:
    return prepare(config)


@lru_cache(maxsize=1024)
def _counts(
    config: ModelConfig, vocab_size: int, context: int, device: str
) -> tuple[dict[str, int], int, int]:
    """Parameters, forward FLOPs a token and bytes a sequence, of a model that is never allocated.

    The bytes are those of the precision that takes more: which it will be, workers resolve.
    """
    import torch

    from scaling.model.decoder import outline
    from scaling.model.memory import activation_bytes

    model = outline(config, vocab_size=vocab_size, context_length=context)
    kept = [
        activation_bytes(model, dtype, torch.device(device))
        for dtype in (torch.float32, torch.bfloat16)
    ]
    return model.param_counts(), model.flops_per_token(), max(kept)
