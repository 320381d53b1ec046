"""Figures of what surrounds the step: tracking, sampling, packing, start-up."""

import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import torch

from scaling.bench.loop import BASELINE, Loop
from scaling.bench.timing import in_turn
from scaling.config import RunConfig
from scaling.model.decoder import Decoder
from scaling.runtime import Runtime
from scaling.sampling import SamplingSettings, continue_ids
from scaling.tracking.folder import RunFolder
from scaling.tracking.tracker import Tracker, new_run

SLOWEST = 4.0  # seconds that a generation without a cache may take
PHASES = 3  # of steps with a store that does not answer, between phases without one


def tracking() -> dict[str, float]:
    """What the record costs a run at the default intervals, in shares of its time.

    A run's whole record is written and sent for a known length of training; the cost is the time
    of the calls in the loop and of the closing tables and figures (matplotlib's import among
    them), and the processor time of the sending thread after its start.
    """
    from scaling.tracking.store import client, sync

    logs, run_seconds = 100, 60.0  # a default run: 1 % intervals, and about a minute
    with tempfile.TemporaryDirectory() as place:
        uri = f"sqlite:///{place}/mlflow.db"
        folder = _record(Path(place), uri)
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
        start = time.perf_counter()
        tracker.finish("FINISHED", {"final_val_loss": 1.0})
        ending = time.perf_counter() - start
        before = time.thread_time()
        sync(folder, store)
        ending += time.thread_time() - before
    return {
        "seconds_a_log": statistics.median(calls),
        "seconds_a_sending": statistics.median(sent),
        "seconds_at_the_end": ending,
        "share_of_a_minute": (sum(calls) + sum(sent) + ending) / run_seconds,
        "store_setup_seconds": setup,
    }


def store_down(runtime: Runtime, seconds: float) -> dict[str, float]:
    """A training step while the store takes connections and never answers, against one without.

    The phases take turns; every step is logged, and the sender tries ten times as often as in a
    run.
    """
    from scaling.tracking.sender import Sender

    loop = Loop(BASELINE, runtime)
    each = max(0.5, seconds / (2 * PHASES + 1))
    times: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as place, socket.create_server(("127.0.0.1", 0)) as deaf:
        folder = _record(Path(place), f"http://127.0.0.1:{deaf.getsockname()[1]}")
        tracker = Tracker(folder)
        step = 0
        _steps(loop, tracker, step, 0.5)  # warm
        for phase in range(2 * PHASES + 1):
            sender = Sender(folder.read_record().uri, lambda _: None)
            sender.interval, sender.deadline = sender.interval / 10, 0.0
            if phase % 2:
                sender.start([folder])
            taken = _steps(loop, tracker, step, each)
            step += len(taken)
            times[bool(phase % 2)] += taken
            if phase % 2:
                sender.close()
    return {
        "seconds_a_step": statistics.median(times[False]),
        "seconds_a_step_store_down": statistics.median(times[True]),
        "ratio": statistics.median(times[True]) / statistics.median(times[False]),
    }


def _steps(loop: Loop, tracker: Tracker, first: int, seconds: float) -> list[float]:
    """Seconds of each step, logging included, for so many seconds."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        loop.step()
        tracker.log(first + len(times) + 1, {"train/loss": float(loop.training.loss[0])})
        times.append(time.perf_counter() - start)
    return times


def _record(place: Path, uri: str) -> RunFolder:
    """A new run's folder, as training makes it."""
    config = RunConfig.model_validate(
        {"budget": {"steps": 100}, "tracking": {"uri": uri, "folder": f"{place}/runs"}}
    )
    return new_run(
        config,
        run_id=RunFolder.new_id(),
        cohort=[],
        facts={},
        tags={},
        dataset={},
        claimed=None,
    )


def sampling(runtime: Runtime, seconds: float, batch: int = 16) -> dict[str, float]:
    """Tokens a second of generation with the key-value cache, and without, of equal length.

    The two take turns, on a model that is not compiled: no command samples from one that is.
    """
    model = Loop(BASELINE, replace(runtime, compile=False)).model
    _generate(model, batch, 8, cached=False)  # warm
    start = time.perf_counter()
    _generate(model, batch, 32, cached=False)
    probe = time.perf_counter() - start
    # Without a cache each token costs all before it again.
    fitting = [n for n in (256, 128, 64) if probe * (n / 32) ** 2 < SLOWEST]
    tokens = fitting[0] if fitting else 64
    timings, _ = in_turn(
        {
            "cached": lambda: _generate(model, batch, tokens, cached=True),
            "uncached": lambda: _generate(model, batch, tokens, cached=False),
        },
        seconds,
        warmup=1,
    )
    cached, uncached = timings["cached"].median, timings["uncached"].median
    return {
        "cached_tokens_per_second": batch * tokens / cached,
        "uncached_tokens_per_second": batch * tokens / uncached,
        "ratio": uncached / cached,
        "tokens": tokens,
    }


def _generate(model: Decoder, batch: int, tokens: int, *, cached: bool) -> None:
    """Let `batch` sequences become so long."""
    prompt = torch.ones(batch, 1, dtype=torch.long, device=model.embedding.weight.device)
    settings = SamplingSettings(max_tokens=tokens, top_k=None, top_p=None)
    streams = [torch.Generator().manual_seed(i) for i in range(batch)]
    continue_ids(model, prompt, settings, streams, eot=-1, cached=cached)


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
