"""Our training step without a run around it: the trainer's own, on random tokens."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling.config import ModelConfig, OptimizerConfig, RunConfig
from scaling.data.batches import Batches, placed
from scaling.data.windows import Windows
from scaling.model.decoder import Decoder
from scaling.model.memory import activation_bytes, weight_bytes
from scaling.optim import MemberOptimizers
from scaling.runtime import Runtime, free_bytes
from scaling.step import TrainingStep


@dataclass(frozen=True)
class Shape:
    """What decides how long a step takes; the feedforward is SwiGLU."""

    d_model: int
    n_heads: int
    d_ff: int | None = None  # None: as configs derive it
    n_layers: int = 4
    vocab: int = 4096
    context: int = 256
    batch: int = 16

    @property
    def model(self) -> ModelConfig:
        """The architecture."""
        feedforward: dict[str, Any] = {"kind": "swiglu"}
        if self.d_ff is not None:
            feedforward["d_ff"] = self.d_ff
        return ModelConfig.model_validate(
            {
                "d_model": self.d_model,
                "n_heads": self.n_heads,
                "n_layers": self.n_layers,
                "feedforward": feedforward,
            }
        )

    @property
    def tokens(self) -> int:
        """Of a step of one member."""
        return self.batch * self.context

    def stream(self) -> np.ndarray[Any, np.dtype[np.uint16]]:
        """Random tokens to learn from, for 64 steps until they repeat."""
        draw = np.random.default_rng(0)
        return draw.integers(0, self.vocab, 64 * self.tokens + 1, dtype=np.uint16)


BASELINE = Shape(128, 4, 352)
SHAPES = {"baseline": BASELINE, "cs336": Shape(256, 8, 1024, vocab=10_000)}


class Loop:
    """M members of one shape, a step a call."""

    def __init__(
        self,
        shape: Shape,
        runtime: Runtime,
        members: int = 1,
        optimizer: OptimizerConfig | None = None,
    ) -> None:
        run = RunConfig.model_validate({"model": shape.model.model_dump(), "budget": {"steps": 1}})
        device, self.shape, self.members = runtime.device, shape, members
        self.model = Decoder(
            shape.model,
            vocab_size=shape.vocab,
            context_length=shape.context,
            members=members,
            dtype=runtime.dtype,
        )
        self.model.init_weights(range(members))
        self.model.to(device)
        runtime.compile_each(self.model.blocks)
        optimizers = MemberOptimizers(
            self.model, [optimizer or run.optimizer] * members, on_device=device.type == "cuda"
        )
        stream = placed(shape.stream(), device)
        batches = [
            Batches(stream, shape.context, shape.batch, seed, device) for seed in range(members)
        ]
        self.training = TrainingStep(
            self.model,
            optimizers,
            None,
            Windows(batches, device),
            seeds=range(members),
            micro_size=shape.batch,
        )
        self._steps = 0

    def step(self) -> None:
        """One optimizer step of all members."""
        self.training(self._steps, [1.0] * self.members)
        self._steps += 1

    @property
    def parameters(self) -> int:
        """Of one member."""
        return self.model.param_counts()["total"]


def has_room(loop: Loop, runtime: Runtime, members: int) -> bool:
    """Whether a loop of so many members fills at most half of the free memory, by its shapes."""
    sequence = activation_bytes(loop.model, runtime.dtype, runtime.device)
    member = loop.shape.batch * sequence + weight_bytes(loop.parameters)
    return members * member < free_bytes(runtime.device) / 2
