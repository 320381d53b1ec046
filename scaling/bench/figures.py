"""The figures: each function measures one thing and returns plain numbers."""

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch

from scaling.bench.plain import PlainGPT, PlainLoop
from scaling.bench.timing import in_turn, median_ratio
from scaling.config import ModelConfig, RunConfig
from scaling.model.decoder import Decoder
from scaling.optim import MemberOptimizers
from scaling.runtime import Runtime

SHAPES: dict[str, dict[str, Any]] = {
    "baseline": {"d_model": 128, "n_heads": 4, "d_ff": 352, "vocab": 4096},
    "cs336": {"d_model": 256, "n_heads": 8, "d_ff": 1024, "vocab": 10_000},
}
LAYERS, CONTEXT, BATCH = 4, 256, 16


class OurLoop:
    """Our model and optimizers, a step a call, as the trainer does it."""

    def __init__(
        self, config: ModelConfig, vocab: int, runtime: Runtime, members: int = 1
    ) -> None:
        run = RunConfig.model_validate({"model": config.model_dump(), "budget": {"steps": 1}})
        self.model = Decoder(
            config, vocab_size=vocab, context_length=CONTEXT, members=members, dtype=runtime.dtype
        )
        self.model.init_weights(range(members))
        self.model.to(runtime.device)
        self.optimizers = MemberOptimizers(self.model, [run.optimizer] * members)

    def step(self, ids: torch.Tensor, targets: torch.Tensor) -> None:
        """One optimizer step on `[M, B, T]`."""
        loss = self.model.loss(ids, targets) / ids[0].numel()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        self.optimizers.clip()
        self.optimizers.step([1.0] * self.model.members)
        self.optimizers.zero_grad()


def _config(shape: dict[str, Any]) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "d_model": shape["d_model"],
            "n_heads": shape["n_heads"],
            "n_layers": LAYERS,
            "feedforward": {"kind": "swiglu", "d_ff": shape["d_ff"]},
        }
    )


def _tokens(vocab: int, members: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocab, (members, BATCH, CONTEXT + 1), generator=generator).to(device)
    return ids[..., :-1].contiguous(), ids[..., 1:].contiguous()


def training(runtime: Runtime, seconds: float) -> dict[str, Any]:
    """Our training step against the plain loop's, in turn, at two shapes."""
    found: dict[str, Any] = {}
    for name, shape in SHAPES.items():
        vocab = shape["vocab"]
        plain = PlainGPT(
            vocab=vocab,
            width=shape["d_model"],
            layers=LAYERS,
            heads=shape["n_heads"],
            d_ff=shape["d_ff"],
            context=CONTEXT,
        ).to(runtime.device)
        theirs, ours = PlainLoop(plain), OurLoop(_config(shape), vocab, runtime)
        ids, targets = _tokens(vocab, 1, runtime.device)
        jobs = {
            "plain": lambda theirs=theirs, a=ids[0], b=targets[0]: theirs.step(a, b),
            "ours": lambda ours=ours, a=ids, b=targets: ours.step(a, b),
        }
        timings, series = in_turn(jobs, seconds)
        found[name] = {
            "plain_tokens_per_second": BATCH * CONTEXT / timings["plain"].median,
            "tokens_per_second": BATCH * CONTEXT / timings["ours"].median,
            "ratio": median_ratio(series["plain"], series["ours"]),
            "rounds": timings["ours"].calls,
        }
    return found


def evaluation(runtime: Runtime, seconds: float) -> dict[str, float]:
    """The rate of a forward pass with the loss against a training step's, at the first shape."""
    shape = SHAPES["baseline"]
    loop = OurLoop(_config(shape), shape["vocab"], runtime)
    ids, targets = _tokens(shape["vocab"], 1, runtime.device)

    @torch.no_grad()
    def evaluate() -> None:
        loop.model.loss(ids, targets)

    timings, series = in_turn({"train": lambda: loop.step(ids, targets), "val": evaluate}, seconds)
    return {
        "tokens_per_second": BATCH * CONTEXT / timings["val"].median,
        "ratio_to_training": median_ratio(series["train"], series["val"]),
    }


def cohorts(runtime: Runtime, seconds: float) -> dict[str, dict[str, float]]:
    """Tokens a second of all members together against M, for a model of about 0.1M and 1M."""
    found: dict[str, dict[str, float]] = {}
    widths = {"0.1M": (32, 2, 1024), "1M": (128, 4, 4096)}
    sizes = (1, 2, 4, 8, 16) if runtime.device.type == "cuda" else (1, 2, 4)
    for name, (width, heads, vocab) in widths.items():
        config = ModelConfig.model_validate(
            {"d_model": width, "n_heads": heads, "n_layers": LAYERS}
        )
        jobs = {}
        for members in sizes:
            loop = OurLoop(config, vocab, runtime, members)
            ids, targets = _tokens(vocab, members, runtime.device)
            jobs[str(members)] = lambda loop=loop, a=ids, b=targets: loop.step(a, b)
        timings, _ = in_turn(jobs, seconds, warmup=1)
        found[name] = {
            members: int(members) * BATCH * CONTEXT / timing.median
            for members, timing in timings.items()
        }
    return found


def tracking(runtime: Runtime) -> dict[str, float]:
    """What the record costs a run at the default intervals, in shares of its time.

    A run's whole record is written and sent for a known length of training; the cost is the time
    of the calls in the loop, and the processor time of the sending thread after its start.
    """
    from scaling.tracking.folder import RunFolder
    from scaling.tracking.store import client, sync
    from scaling.tracking.tracker import Tracker, new_run

    logs, run_seconds = 100, 60.0  # a default run: 1 % intervals, and about a minute
    with tempfile.TemporaryDirectory() as place:
        uri = f"sqlite:///{place}/mlflow.db"
        config = RunConfig.model_validate(
            {"budget": {"steps": logs}, "tracking": {"uri": uri, "folder": f"{place}/runs"}}
        )
        folder = new_run(
            config,
            run_id=RunFolder.new_id(),
            cohort=[],
            facts={},
            tags={},
            dataset={},
            claimed=None,
        )
        tracker, store = Tracker(folder), client(uri)
        started = time.perf_counter()
        sync(folder, store)
        setup = time.perf_counter() - started
        calls: list[float] = []
        sent: list[float] = []
        for step in range(1, logs + 1):
            metrics = dict.fromkeys(("train/loss", "lr", "tokens", "grad_norm", "mfu"), 1.0 / step)
            start = time.perf_counter()
            tracker.log(step, metrics)
            calls.append(time.perf_counter() - start)
            if step % (logs // 12) == 0:  # the sender wakes every 5 s: 12 times a minute

                def send() -> None:
                    before = time.thread_time()
                    sync(folder, store)
                    sent.append(time.thread_time() - before)

                thread = threading.Thread(target=send)
                thread.start()
                thread.join()
    return {
        "seconds_a_log": statistics.median(calls),
        "seconds_a_sending": statistics.median(sent),
        "share_of_a_minute": (sum(calls) + sum(sent)) / run_seconds,
        "store_setup_seconds": setup,
    }


def sampling(runtime: Runtime, tokens: int = 256, batch: int = 16) -> dict[str, float]:
    """Tokens a second of generation with the key-value cache, and without."""
    from scaling.sampling import SamplingSettings, continue_ids

    shape = SHAPES["baseline"]
    model = OurLoop(_config(shape), shape["vocab"], runtime).model
    found = {}
    prompt = torch.ones(batch, 1, dtype=torch.long, device=runtime.device)
    for name, cached, count in (("cached", True, tokens), ("uncached", False, tokens)):
        settings = SamplingSettings(max_tokens=count, top_k=None, top_p=None)
        streams = [torch.Generator().manual_seed(i) for i in range(batch)]
        start = time.perf_counter()
        continue_ids(model, prompt, settings, streams, eot=-1, cached=cached)
        found[f"{name}_tokens_per_second"] = batch * count / (time.perf_counter() - start)
    found["ratio"] = found["cached_tokens_per_second"] / found["uncached_tokens_per_second"]
    return found


def packing(megabytes: int = 8) -> dict[str, float]:
    """From a text file to packed tokens with a BPE of 8,192 trained on it, in MB a second."""
    from scaling.config import DataConfig
    from scaling.data import stories
    from scaling.data.prepare import prepare

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "texts.txt"
        size = 0
        start = time.perf_counter()
        with path.open("w") as stream:
            for story in stories.generate(1, 0, 10**9):
                size += stream.write(story.text + "<|endoftext|>")
                if size > megabytes * 10**6:
                    break
        generating = time.perf_counter() - start
        config = DataConfig.model_validate(
            {
                "corpus": {"kind": "files", "files": str(path)},
                "tokenizer": {"kind": "bpe", "vocab_size": 8192},
            }
        )
        start = time.perf_counter()
        prepare(config, cache=Path(place) / "cache", say=lambda _: None)
        cold = time.perf_counter() - start
        start = time.perf_counter()
        prepare(config, cache=Path(place) / "cache", say=lambda _: None)
        again = time.perf_counter() - start
    return {
        "megabytes_per_second": size / 1e6 / cold,
        "reuse_seconds": again,
        "stories_megabytes_per_minute": 60 * size / 1e6 / generating,
    }


def start_up() -> dict[str, float]:
    """Seconds of whole processes, the median of five."""
    found = {}
    for name, words in {"help": ["--help"], "train_help": ["train", "--help"]}.items():
        times = []
        for _ in range(5):
            start = time.perf_counter()
            command = [sys.executable, "-m", "scaling.cli", *words]
            subprocess.run(command, check=True, capture_output=True)
            times.append(time.perf_counter() - start)
        found[f"{name}_seconds"] = statistics.median(times)
    return found
