"""What a cohort gains: all members' rate against their number, at several sizes."""

import time
from typing import Any

from scaling.bench.loop import Loop, Shape, has_room
from scaling.bench.timing import in_turn, unwatched
from scaling.graph import PLAIN_CALLS
from scaling.runtime import Runtime

SIZES = {
    "1M": Shape(128, 4),
    "0.1M": Shape(32, 2, vocab=1024),
    "10M": Shape(320, 5, n_layers=8),
    "33M": Shape(512, 8, n_layers=9, vocab=8192, context=512),
}
ON_CPU = ("1M", "0.1M")
MEMBERS = {"cpu": (1, 2, 4, 8), "cuda": (1, 16, 4, 2, 8)}  # what matters most comes first
PATIENCE = 8  # times the seconds of one size, for all sizes with their compilation


def cohorts(runtime: Runtime, seconds: float) -> dict[str, dict[str, Any]]:
    """Tokens a second of all members together, by their number.

    `gain` is the best rate over that of one; `gain_of_16` says how many times as many runs an
    hour 16 members make as the same 16 one after another. Where compilation takes long, what comes
    last is left out.
    """
    kind = runtime.device.type
    end = time.perf_counter() + PATIENCE * seconds
    found: dict[str, dict[str, Any]] = {}
    for name, shape in SIZES.items():
        if (kind == "cpu" and name not in ON_CPU) or time.perf_counter() > end:
            continue
        loops: dict[int, Loop] = {}
        for members in MEMBERS[kind]:
            fits = not loops or has_room(loops[1], runtime, members)
            if fits and (not loops or time.perf_counter() < end):
                loops[members] = Loop(shape, runtime, members)
                for _ in range(1 if kind == "cpu" else PLAIN_CALLS + 1):
                    loops[members].step()
        jobs = {str(members): loops[members].step for members in sorted(loops)}
        timings, _ = in_turn(jobs, seconds, warmup=0, calls=unwatched(runtime))
        rates = {n: int(n) * shape.tokens / timing.median for n, timing in timings.items()}
        gains = {n: rate / rates["1"] for n, rate in rates.items()}
        found[name] = {"parameters": loops[1].parameters, **rates, "gain": max(gains.values())}
        if "16" in gains:
            found[name]["gain_of_16"] = gains["16"]
    return found
