"""Whether what is tuned at one width holds at others: muP's two pictures.

The coordinate check (arXiv:2203.03466, appendix D.1) trains a few steps at several widths and
looks at how large the activations become: in muP they do not grow with the width. The learning
rate transfer trains a grid of rates at several widths and looks at where the best one lies.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from scaling.budget import Budget
from scaling.cohort import Cohort
from scaling.config import RunConfig
from scaling.config.model import small_init
from scaling.data.cache import default_cache
from scaling.data.prepare import PreparedData
from scaling.errors import UserError
from scaling.optim import lr_factor
from scaling.runtime import Runtime
from scaling.schema import explain

PARAMETRIZATIONS = ("standard", "mup")


@dataclass(frozen=True)
class Coordinate:
    """The mean absolute value of a place's activations after some steps."""

    parametrization: str
    width: int
    step: int
    place: str
    size: float


@dataclass(frozen=True)
class RatePoint:
    """The validation loss that a learning rate ends with."""

    parametrization: str
    width: int
    lr: float
    loss: float


def at_width(config: RunConfig, width: int, parametrization: str) -> RunConfig:
    """A config at another width: heads of the same size, other widths in proportion."""
    tree: dict[str, Any] = config.model_dump(mode="json")
    model = tree["model"]
    ratio = width / config.model.d_model
    scaled = [(model["feedforward"], "d_ff"), (model["attention"], "kv_rank")]
    for part, field in scaled:
        if part.get(field) is not None:
            part[field] = max(1, round(part[field] * ratio))
    model |= {"d_model": width, "n_heads": None}
    if config.model.init_std == small_init(config.model.d_model / config.model.width_ratio):
        model["init_std"] = None  # what followed from the width does so again
    if parametrization == "standard":
        model["parametrization"] = {"kind": "standard"}
    elif model["parametrization"]["kind"] != "mup":
        base = {"base_width": config.model.d_model, "base_head_dim": config.model.head_dim}
        model["parametrization"] = {"kind": "mup", **base}
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"At width {width}: {explain(error, RunConfig, {})}") from None


def coordinate_check(
    config: RunConfig,
    data: PreparedData,
    runtime: Runtime,
    widths: Sequence[int],
    *,
    steps: int = 8,
    say: Callable[[str], None],
) -> list[Coordinate]:
    """Train `steps` steps at each width in both parametrizations, and measure after each."""
    found: list[Coordinate] = []
    # Compiled blocks would not heed the hooks that `_sizes` puts on them.
    runtime = replace(runtime, compile=False)
    for (parametrization, width), own in _family(config, widths).items():
        say(f"{parametrization}, width {width}")
        cohort = _cohort([own], data, runtime, steps)
        for step in range(steps + 1):
            sizes = _sizes(cohort)
            found += [Coordinate(parametrization, width, step, p, s) for p, s in sizes.items()]
            if step < steps:
                cohort.step(step, [1.0] * cohort.members)
    return found


def slopes(coordinates: Sequence[Coordinate]) -> dict[tuple[str, str], float]:
    """How each place's size after the last step grows with width: the power, by least squares."""
    last = max(c.step for c in coordinates)
    found = {}
    for key in dict.fromkeys((c.parametrization, c.place) for c in coordinates):
        points = [
            (math.log(c.width), math.log(max(c.size, 1e-30)))
            for c in coordinates
            if (c.parametrization, c.place) == key and c.step == last
        ]
        x0 = sum(x for x, _ in points) / len(points)
        y0 = sum(y for _, y in points) / len(points)
        spread = sum((x - x0) ** 2 for x, _ in points)
        found[key] = sum((x - x0) * (y - y0) for x, y in points) / spread
    return found


def lr_transfer(
    config: RunConfig,
    data: PreparedData,
    runtime: Runtime,
    widths: Sequence[int],
    rates: Sequence[float],
    *,
    steps: int,
    say: Callable[[str], None],
) -> list[RatePoint]:
    """Train every rate at every width in both parametrizations; a width's rates are one cohort."""
    found: list[RatePoint] = []
    for (parametrization, width), own in _family(config, widths).items():
        configs = [
            own.model_copy(update={"optimizer": own.optimizer.model_copy(update={"lr": rate})})
            for rate in rates
        ]
        cohort = _cohort(configs, data, runtime, steps)
        for step in range(steps):
            cohort.step(step, [lr_factor(own.schedule, step, steps)] * cohort.members)
        losses = [result.loss for result in cohort.validate()]
        best = min(zip(losses, rates, strict=True))
        say(f"{parametrization}, width {width}: best rate {best[1]:.2g}, loss {best[0]:.4f}")
        found += [
            RatePoint(parametrization, width, rate, loss)
            for rate, loss in zip(rates, losses, strict=True)
        ]
    return found


def _family(config: RunConfig, widths: Sequence[int]) -> dict[tuple[str, int], RunConfig]:
    """The config in both parametrizations at all widths: one that does not fit is told first."""
    return {
        (parametrization, width): at_width(config, width, parametrization)
        for parametrization in PARAMETRIZATIONS
        for width in widths
    }


def _cohort(configs: list[RunConfig], data: PreparedData, runtime: Runtime, steps: int) -> Cohort:
    short = [config.model_copy(update={"budget": Budget(steps=steps)}) for config in configs]
    return Cohort(short, [data] * len(short), runtime, default_cache())


@torch.no_grad()
def _sizes(cohort: Cohort) -> dict[str, float]:
    """Mean absolute activations of the first batch, by place."""
    found: dict[str, float] = {}

    def note(place: str, module: nn.Module, inputs: Any, out: Any) -> None:
        tensor: Tensor = out[0] if isinstance(out, tuple) else out
        found[place] = tensor.float().abs().mean().item()

    places = {"embedding": cohort.model.embedding}
    for i, block in enumerate(cohort.model.blocks):
        places[f"blocks.{i}.attention"] = block.attention  # type: ignore[assignment]
        places[f"blocks.{i}.feedforward"] = block.feedforward  # type: ignore[assignment]
        places[f"blocks.{i}"] = block  # type: ignore[assignment]
    handles = [m.register_forward_hook(partial(note, place)) for place, m in places.items()]
    cohort.step.windows.fill(0)
    logits = cohort.model(cohort.step.windows.inputs[:, :4])
    for handle in handles:
        handle.remove()
    found["logits"] = logits.float().abs().mean().item()
    return found
