"""Whether two groups of runs differ by more than chance: paired where their seeds match.

Differences are of final losses at the same seed and the same other settings (size, tokens, ...):
what a seed does to both is taken out. Where nothing matches, Welch's test of two means stands in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.05  # of the test, two-sided
POWER = 0.8  # chance to see a difference that is there


@dataclass(frozen=True)
class Test:
    """One group against the reference.

    Attributes:
        group, reference: their names.
        kind: paired, unpaired, or none where there are too few runs.
        pairs: matched runs; of an unpaired test, the smaller group's runs.
        difference: mean loss of the group less that of the reference.
        ci: its 95 % interval.
        p_value: two-sided; None without a test.
        adjusted: the same for as many comparisons as are made (Holm 1979).
        noise: standard deviation of a difference.
        seeds_needed: pairs (or runs a group) that would show this difference with 80 % power.
        sentence: the same in words.
    """

    group: str
    reference: str
    kind: str
    pairs: int
    difference: float
    ci: tuple[float, float] | None = None
    p_value: float | None = None
    adjusted: float | None = None
    noise: float | None = None
    seeds_needed: int | None = None
    sentence: str = ""


def against(
    groups: Sequence[tuple[str, pd.DataFrame]], match: Sequence[str], reference: str
) -> list[Test]:
    """Each group tested against the reference, by column ``loss``.

    Args:
        groups: name and runs.
        match: columns that a pair must agree in, the seed among them.
        reference: the group that the others are held against.
    """
    base = dict(groups)[reference]
    tests = [
        _test(name, runs, reference, base, match) for name, runs in groups if name != reference
    ]
    return [replace(one, sentence=_say(one)) for one in _holm(tests)]


def seeds_needed(difference: float, noise: float, paired: bool) -> int | None:
    """The fewest pairs (or runs in each of two groups) whose t-test shows the difference.

    Found by the noncentral t distribution at the 5 % level with 80 % power; None beyond 10,000.
    """
    if difference == 0 or not math.isfinite(noise):
        return None
    if noise == 0:
        return 2
    effect = abs(difference) / noise

    def power(n: int) -> float:
        free = n - 1 if paired else 2 * n - 2
        shift = effect * math.sqrt(n if paired else n / 2)
        edge = stats.t.isf(LEVEL / 2, free)
        return float(stats.nct.sf(edge, free, shift) + stats.nct.cdf(-edge, free, shift))

    low, high = 1, 2
    while not power(high) >= POWER:  # nct gives nan far out, which is no power found
        low, high = high, high * 2
        if high > 10_000:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def _test(
    name: str, runs: pd.DataFrame, reference: str, base: pd.DataFrame, match: Sequence[str]
) -> Test:
    one = runs.groupby(list(match), dropna=False)["loss"].mean()
    other = base.groupby(list(match), dropna=False)["loss"].mean()
    apart = (one - other).dropna().to_numpy(dtype=float)
    if len(apart) >= 2:
        mean, noise = float(apart.mean()), float(apart.std(ddof=1))
        half = float(stats.t.isf(LEVEL / 2, len(apart) - 1)) * noise / math.sqrt(len(apart))
        p_value = 0.0 if noise == 0 else float(stats.ttest_1samp(apart, 0).pvalue)
        return Test(name, reference, "paired", len(apart), mean, (mean - half, mean + half),
                    p_value, None, noise, seeds_needed(mean, noise, True))  # fmt: skip
    a, b = (part["loss"].to_numpy(dtype=float) for part in (runs, base))
    mean, fewest = float(a.mean() - b.mean()), min(len(a), len(b))
    if fewest < 2 or len(apart) == 1:
        return Test(name, reference, "none", len(apart), mean)
    noise = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    if noise == 0:
        return Test(name, reference, "unpaired", fewest, mean, (mean, mean), 0.0, None, 0.0, 2)
    found = stats.ttest_ind(a, b, equal_var=False)
    low, high = found.confidence_interval(1 - LEVEL)
    return Test(name, reference, "unpaired", fewest, mean, (float(low), float(high)),
                float(found.pvalue), None, noise, seeds_needed(mean, noise, False))  # fmt: skip


def _holm(tests: list[Test]) -> list[Test]:
    """Holm's p-values: the chance of any false alarm among all the comparisons stays 5 %."""
    order = sorted(
        (k for k, one in enumerate(tests) if one.p_value is not None),
        key=lambda k: tests[k].p_value or 0.0,
    )
    done, least = list(tests), 0.0
    for rank, k in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * (tests[k].p_value or 0.0)))
        done[k] = replace(tests[k], adjusted=least)
    return done


def _say(one: Test) -> str:
    side = "lower" if one.difference < 0 else "higher"
    said = f"{one.group}: loss {side} than {one.reference}'s by {abs(one.difference):.4f}"
    if one.p_value is None or one.ci is None or one.adjusted is None:
        return f"{said}; no test, since that needs two seeds of each."
    said += f" [{one.ci[0]:+.4f}, {one.ci[1]:+.4f}], p = {one.p_value:.2g}"
    if one.adjusted != one.p_value:
        said += f" ({one.adjusted:.2g} for all comparisons)"
    what = f"{one.pairs} pairs" if one.kind == "paired" else f"{one.pairs} runs each, unpaired"
    said += f", {what}. "
    if one.adjusted < LEVEL:
        return said + "More than chance."
    if one.seeds_needed is None:
        return said + "Not told from chance, and no feasible number of seeds would."
    unit = "pairs" if one.kind == "paired" else "seeds each"
    return (
        said
        + f"Not told from chance; a true difference of this size needs {one.seeds_needed} {unit}."
    )


def spread(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean over seeds; None of one."""
    array = np.asarray(values, dtype=float)
    if len(array) < 2:
        return None
    half = float(
        stats.t.isf(LEVEL / 2, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array))
    )
    return float(array.mean()) - half, float(array.mean()) + half
