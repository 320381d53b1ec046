"""Figures of one run's step: against the plain loop, of an evaluation, and of a card's kernels."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from scaling.bench.loop import BASELINE, SHAPES, Loop, Shape
from scaling.bench.plain import PlainGPT, PlainLoop
from scaling.bench.timing import in_turn, median_ratio, unwatched
from scaling.data.batches import evaluation_batches, placed
from scaling.evaluation import PASSES
from scaling.graph import PLAIN_CALLS
from scaling.runtime import Runtime, peak_flops

# 33M parameters with an 8k vocabulary: what the rate of a whole card is judged at.
LARGE = Shape(512, 8, n_layers=9, vocab=8192, context=512, batch=64)


def training(runtime: Runtime, seconds: float) -> dict[str, Any]:
    """Our training step against the plain loop's, in turn, at two shapes."""
    found: dict[str, Any] = {}
    for name, shape in SHAPES.items():
        assert shape.d_ff is not None
        plain = PlainGPT(
            vocab=shape.vocab,
            width=shape.d_model,
            layers=shape.n_layers,
            heads=shape.n_heads,
            d_ff=shape.d_ff,
            context=shape.context,
        ).to(runtime.device)
        theirs, ours = PlainLoop(plain), Loop(shape, runtime)
        ours.training.windows.fill(0)
        inputs, targets = (
            part[0].contiguous()
            for part in (ours.training.windows.inputs, ours.training.windows.targets)
        )
        jobs: dict[str, Callable[[], object]] = {
            "plain": partial(theirs.step, inputs, targets),
            "ours": ours.step,
        }
        timings, series = in_turn(jobs, seconds, warmup=PLAIN_CALLS + 1, calls=unwatched(runtime))
        found[name] = {
            "plain_tokens_per_second": shape.tokens / timings["plain"].median,
            "tokens_per_second": shape.tokens / timings["ours"].median,
            "ratio": median_ratio(series["plain"], series["ours"]),
            "rounds": timings["ours"].calls,
        }
    return found


def evaluation(runtime: Runtime, seconds: float) -> dict[str, Any]:
    """Validation at its default batch against a training step."""
    found: dict[str, Any] = {}
    passes = PASSES[runtime.device.type]
    for name, shape in SHAPES.items():
        loop = Loop(shape, runtime)
        stream = placed(shape.stream(), runtime.device)

        @torch.no_grad()
        def evaluate(loop: Loop = loop, shape: Shape = shape, stream: Any = stream) -> None:
            rows, limit = passes * shape.batch, passes * shape.tokens
            batches = evaluation_batches(stream, shape.context, rows, runtime.device, limit)
            for inputs, targets in batches:
                loop.model.loss(inputs[None], targets[None])

        jobs = {"train": loop.step, "val": evaluate}
        timings, series = in_turn(jobs, seconds, warmup=PLAIN_CALLS + 1)
        found[name] = {
            "tokens_per_second": passes * shape.tokens / timings["val"].median,
            "ratio_to_training": passes * median_ratio(series["train"], series["val"]),
        }
    return found


def card(runtime: Runtime, seconds: float, cache: Path) -> dict[str, float]:
    """On a GPU: the share of its measured rate at 33M, and a step over its kernels at 1M."""
    large = Loop(LARGE, runtime)
    warmup = PLAIN_CALLS + 1
    timings, _ = in_turn({"step": large.step}, seconds, warmup=warmup)
    rate = LARGE.tokens / timings["step"].median
    peak = peak_flops(runtime, cache)
    small = Loop(BASELINE, runtime)
    timings, _ = in_turn({"step": small.step}, seconds, warmup=warmup, calls=unwatched(runtime))
    small_seconds = timings["step"].median
    return {
        "parameters": large.parameters,
        "tokens_per_second": rate,
        "matrix_tflops": peak / 1e12,
        "mfu": 3 * large.model.flops_per_token() * rate / peak,
        "small_seconds_a_step": small_seconds,
        "small_step_over_kernels": small_seconds / _kernel_seconds(small),
    }


def _kernel_seconds(loop: Loop, steps: int = 20) -> float:
    """Seconds that a step's kernels and copies take on the card, one after another."""
    from torch._C._autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(steps):
            loop.step()
        torch.cuda.synchronize()
    events = [e for e in profiler.events() if e.device_type == DeviceType.CUDA]
    return sum(e.time_range.elapsed_us() for e in events) / 1e6 / steps
