"""A cohort: runs of one shape as one model, with their data, optimizers and checkpoints."""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scaling.budget import ResolvedBudget
from scaling.checkpoint import Checkpoints
from scaling.config import RunConfig
from scaling.data.batches import Batches, placed
from scaling.data.packed import PackedSplit
from scaling.data.prepare import PreparedData
from scaling.data.windows import Windows
from scaling.errors import UserError
from scaling.evaluation import PASSES, Evaluation, Evaluator
from scaling.model.decoder import Decoder
from scaling.model.memory import activation_bytes, weight_bytes
from scaling.optim import Average, MemberOptimizers
from scaling.runtime import Runtime, free_bytes, peak_flops
from scaling.step import TrainingStep
from scaling.tracking.folder import RunFolder

TRAINING_PASSES = 3  # forward, and twice as much backward


class Cohort:
    """M runs trained as one program: configs[k], data[k], and member k of everything.

    The members may differ in seed, in the numbers of the optimizer, in schedule and in data
    fraction; `RunConfig.cohort_key` says which runs go together.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        data: Sequence[PreparedData],
        runtime: Runtime,
        cache: Path,
        micro_size: int | None = None,
    ) -> None:
        """`micro_size` is what `auto` chose when the runs began: kept where the memory allows."""
        if len({config.cohort_key for config in configs}) > 1:
            raise UserError("These runs differ in shape, steps or evaluation, and train apart.")
        self.configs, self.data = list(configs), list(data)
        self.config, self.members = configs[0], len(configs)
        self.runtime, self.device, self.cache = runtime, runtime.device, cache
        self.model = Decoder(
            self.config.model,
            vocab_size=data[0].tokenizer.vocab_size,
            context_length=self.config.data.context_length,
            members=self.members,
            dtype=runtime.dtype,
        )
        self.model.init_weights([config.seed for config in configs])
        self.model.to(self.device)
        runtime.compile_each(self.model.blocks)
        self.optimizers = MemberOptimizers(
            self.model,
            [config.optimizer for config in configs],
            on_device=self.device.type == "cuda",
        )
        memory = self.config.evaluation.ema
        self.average = None if memory is None else Average(self.optimizers.stacked, memory)
        self.batches = self._make_batches()
        self.tokens_per_step = self.config.tokens_per_step
        self.training_flops_per_token = TRAINING_PASSES * self.model.flops_per_token()
        self._evaluators: dict[tuple[str, int | None], Evaluator] = {}
        self._resolve_budgets()
        size = self.config.batch.micro_size
        self.micro_size = self._fitting_micro_size(micro_size) if size == "auto" else size
        self.step = TrainingStep(
            self.model,
            self.optimizers,
            self.average,
            Windows(self.batches, self.device),
            seeds=[config.seed for config in configs],
            micro_size=self.micro_size,
        )
        if (test := self.data[0].test) is not None:  # judged on at the end: hours from now, maybe
            self.evaluator(test, None)

    def with_configs(self, configs: Sequence[RunConfig]) -> "Cohort":
        """The same models, data and optimizers, as runs of other schedules and budgets."""
        other = copy.copy(self)
        other.configs, other.config = list(configs), configs[0]
        other._resolve_budgets()
        return other

    def _make_batches(self) -> list[Batches]:
        """Each member's; those of one text have one copy of it on the device."""
        streams = {id(d): placed(d.train.tokens_array(), self.device) for d in self.data}
        return [
            Batches(
                streams[id(d)], c.data.context_length, c.batch.size, c.seed, device=self.device
            )
            for c, d in zip(self.configs, self.data, strict=True)
        ]

    def _resolve_budgets(self) -> None:
        self.budgets = [self._resolve(k) for k in range(self.members)]
        if len({budget.steps for budget in self.budgets}) > 1:
            raise UserError("These runs have budgets of different lengths, and train apart.")
        self.budget = self.budgets[0]

    def _resolve(self, k: int) -> ResolvedBudget:
        return self.configs[k].budget.resolve(
            tokens_per_step=self.tokens_per_step,
            tokens_per_epoch=self.batches[k].tokens_per_epoch,
            flops_per_token=self.training_flops_per_token,
            parameters=self.model.param_counts()["total"],
        )

    def _fitting_micro_size(self, wanted: int | None) -> int:
        """The largest divisor of the batch whose activations fill at most half the free memory.

        One that is wanted may fill all of it.
        """
        size = self.config.batch.size
        each = self.members * activation_bytes(self.model, self.runtime.dtype, self.device)
        free = free_bytes(self.device)
        free -= self.members * weight_bytes(self.model.param_counts()["total"])
        if wanted is not None and wanted * each < free:
            return wanted
        return max(
            d for d in range(1, size + 1) if size % d == 0 and (d == 1 or d * each < free / 2)
        )

    # ------------------------------------------------------------ judgement

    @cached_property
    def _token_bytes(self) -> Tensor:
        return torch.from_numpy(self.data[0].tokenizer.token_bytes()).long()

    @property
    def evaluation_rows(self) -> int:
        """Sequences that are evaluated at a time."""
        return PASSES[self.device.type] * self.micro_size

    def evaluator(self, split: PackedSplit, limit: int | None) -> Evaluator:
        """What judges the models on a split, or on its first `limit` tokens."""
        key = split.name, limit
        if key not in self._evaluators:
            self._evaluators[key] = Evaluator(
                split, self._token_bytes, self.evaluation_rows, limit
            )
        return self._evaluators[key]

    @property
    def validator(self) -> Evaluator:
        """What judges on the validation split, or on the config's prefix of it."""
        limit = self.config.evaluation.tokens
        return self.evaluator(self.data[0].validation, None if limit == "all" else limit)

    def validate(self, stopped: Callable[[], bool] = lambda: False) -> list[Evaluation]:
        """Each member's validation loss. Raises GivenUpError where it has been stopped."""
        return self.validator(self.model, stopped)

    def validate_average(
        self, stopped: Callable[[], bool] = lambda: False
    ) -> list[Evaluation] | None:
        """The same of the averaged weights, where there are any."""
        if self.average is None:
            return None
        with self.average.in_place():
            return self.validate(stopped)

    def test(self, stopped: Callable[[], bool] = lambda: False) -> list[Evaluation] | None:
        """Each member's loss on the test split, where there is one; likewise."""
        split = self.data[0].test
        return None if split is None else self.evaluator(split, None)(self.model, stopped)

    def mfu(self, tokens_per_second: float) -> float:
        """Share of this machine's measured matrix rate that the cohort's useful FLOPs make."""
        return self.members * tokens_per_second * self.training_flops_per_token / self.peak

    @cached_property
    def peak(self) -> float:
        """That rate, in FLOP/s; on a machine's first run it takes a moment to measure."""
        return peak_flops(self.runtime, self.cache)

    def weight_norms(self) -> Tensor:
        """The norm of each parameter of each member, `[M, P]`, in the optimizers' order."""
        stacked = (p.detach().flatten(1) for p in self.optimizers.stacked)
        return torch.stack([torch.linalg.vector_norm(p, dim=1) for p in stacked], dim=1)

    def layer_norms(self, norms: Tensor) -> list[dict[str, float]]:
        """Gradient and weight norms of each member by layer, from the `[M, P]` norms of a step."""
        weights = self.weight_norms().tolist()
        found: list[dict[str, float]] = []
        for gradient_row, weight_row in zip(norms.tolist(), weights, strict=True):
            squares: dict[str, float] = defaultdict(float)
            for name, g, w in zip(self.optimizers.names, gradient_row, weight_row, strict=True):
                squares[f"grad_norm/{layer_of(name)}"] += g * g
                squares[f"weight_norm/{layer_of(name)}"] += w * w
            found.append({key: value**0.5 for key, value in squares.items()})
        return found

    # ------------------------------------------------------------ state

    def weights(self, k: int) -> dict[str, Tensor]:
        """Member k's weights by parameter name, without the member axis."""
        return {name: p.detach()[k] for name, p in self.model.named_parameters()}

    def save(
        self,
        k: int,
        folder: RunFolder,
        step: int,
        progress: dict[str, Any],
        *,
        best: bool,
        keep: int | None,
    ) -> None:
        """Save member k's state in its run folder."""
        names, average = self.optimizers.names, self.average
        Checkpoints(folder.path / "checkpoints").save(
            step,
            self.weights(k),
            self.optimizers.members[k].state_dict(),
            progress,
            average=None
            if average is None
            else {name: a[k] for name, a in zip(names, average.averages, strict=True)},
            best=best,
            keep=keep,
        )

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """What is trained while entered is forgotten on leaving: all is as it was."""
        held = [tensor.detach().clone() for tensor in self._tensors()]
        optimizers = [copy.deepcopy(member.state_dict()) for member in self.optimizers.members]
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, before in zip(self._tensors(), held, strict=True):
                    tensor.copy_(before)
            for member, state in zip(self.optimizers.members, optimizers, strict=True):
                member.load_state_dict(state)
            self.step.forget()

    def _tensors(self) -> list[Tensor]:
        averages = [] if self.average is None else self.average.averages
        return [*self.optimizers.stacked, *averages]

    @torch.no_grad()
    def restore(self, k: int, folder: RunFolder) -> dict[str, Any]:
        """Put the last checkpoint of a run folder into member k; returns its progress."""
        checkpoint = Checkpoints(folder.path / "checkpoints").last
        if checkpoint is None:
            raise UserError(f"{folder.path} has no checkpoint to resume from.")
        weights = checkpoint.load_weights()
        for name, parameter in self.model.named_parameters():
            parameter[k].copy_(weights[name])
        self.optimizers.members[k].load_state_dict(checkpoint.load_optimizer())
        self.step.forget()
        if self.average is not None:
            averages = checkpoint.load_average()
            for name, average in zip(self.optimizers.names, self.average.averages, strict=True):
                average[k].copy_(averages[name])
        return checkpoint.load_progress()


def layer_of(name: str) -> str:
    """The layer that a parameter belongs to: `blocks.3`, `embedding`, `norm` or `head`."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "blocks" else parts[0]
