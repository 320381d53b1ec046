"""Whether two groups of runs differ by more than chance: paired where their seeds match.

Differences are of final losses at the same settings (size, tokens, ...), and at the same seed
where most seeds match: what a seed does to both is taken out. Otherwise means over seeds are
paired by their settings, or Welch's test of two means stands in. Runs of different settings are
never tested against each other. The branches of one training share its noise and count as one:
their differences are averaged before a test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse, stats

from analysis.design import named

LEVEL = 0.05  # of the test, two-sided
POWER = 0.8  # chance to see a difference that is there
MOST = 10_000  # seeds that are reckoned with


@dataclass(frozen=True)
class Test:
    """One group against the reference.

    Attributes:
        group, reference: their names.
        kind: paired, unpaired, or none where too few runs agree in their settings.
        pairs: matched runs, branches with their stem; without pairs, the runs of the smaller group
            that agree with the other's in their settings; 0 where none do, and the difference
            means nothing.
        difference: mean loss of the group less that of the reference.
        ci: its 95 % interval.
        p_value: two-sided; None without a test.
        adjusted: the same for as many comparisons as are made (Holm 1979).
        noise: standard deviation of a difference.
        seeds_needed: pairs (or runs a group) that would show this difference with 80 % power,
            among as many comparisons.
        basis: what the test rests on in words, or why there is none.
        besides: what else the groups differ in, in words; empty where that is nothing known.
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
    basis: str = ""
    besides: str = ""
    sentence: str = ""

    def beside(self, besides: str) -> Test:
        """The test of groups that differ in more than they are told apart by."""
        if not besides:
            return self
        said = f"{self.sentence.removesuffix('.')}; {besides}."
        return replace(self, besides=besides, sentence=said)


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
    return corrected(
        [one_against(n, runs, reference, base, match) for n, runs in groups if n != reference]
    )


def corrected(tests: Sequence[Test]) -> list[Test]:
    """The tests with p-values for as many comparisons as these are, and in words."""
    return [replace(one, sentence=_say(one)) for one in _holm(tests)]


def seeds_needed(
    difference: float, noise: float, paired: bool, level: float = LEVEL
) -> int | None:
    """The fewest pairs (or runs in each of two groups) whose t-test shows the difference.

    Found by the noncentral t distribution at the two-sided level with 80 % power; None beyond
    `MOST`.
    """
    if difference == 0 or not math.isfinite(noise):
        return None
    if noise == 0:
        return 2
    effect = abs(difference) / noise

    def power(n: int) -> float:
        free = n - 1 if paired else 2 * n - 2
        shift = effect * math.sqrt(n if paired else n / 2)
        edge = stats.t.isf(level / 2, free)
        # The wrong side's is next to nothing where nct gives nan for it.
        return float(
            stats.nct.sf(edge, free, shift) + np.nan_to_num(stats.nct.cdf(-edge, free, shift))
        )

    low, high = 1, 2
    while not power(high) >= POWER:  # nan far out is no power found
        if high == MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def one_against(
    name: str, runs: pd.DataFrame, reference: str, base: pd.DataFrame, match: Sequence[str]
) -> Test:
    """One group's runs tested against the reference's, by itself; see `against`."""
    settings = [column for column in match if column != "seed"]
    runs, base = _trained(runs, name), _trained(base, reference)
    mine, theirs = _shared(runs, base, settings), _shared(base, runs, settings)
    if mine.empty:
        why = f"no two runs of them agree in {' and '.join(named(one) for one in settings)}"
        return Test(name, reference, "none", 0, _apart(runs, base), basis=why)
    a, b = (part.dropna(subset="seed") for part in (mine, theirs))  # an unknown seed is no match
    a, b = _shared(a, b, match), _shared(b, a, match)
    pairs, what = _differences(a, b, match), "pairs"
    # A few matching seeds among many would leave most of the runs out.
    if len(pairs) < 2 or 2 * min(len(a), len(b)) <= min(len(mine), len(theirs)):
        a, b = mine, theirs
        pairs, what = _differences(a, b, settings), "pairs of means over seeds"
    unused = len(runs) + len(base) - len(a) - len(b)
    rest = f"; {unused} {'run has' if unused == 1 else 'runs have'} no counterpart"
    rest = rest if unused else ""
    if len(pairs) < 2:
        return _unpaired(name, reference, a, b, settings, rest)
    if any(part["trajectory"].duplicated().any() for part in (a, b)):
        what += ", branches averaged with their stem"
    mean, noise = float(pairs.mean()), float(pairs.std(ddof=1))
    half = float(stats.t.isf(LEVEL / 2, len(pairs) - 1)) * noise / math.sqrt(len(pairs))
    p_value = float(stats.ttest_1samp(pairs, 0).pvalue) if noise > 0 else _sure(mean)
    basis = f"{len(pairs)} {what}{rest}"
    return Test(name, reference, "paired", len(pairs), mean, (mean - half, mean + half), p_value,
                None, noise, None, basis)  # fmt: skip


def _unpaired(
    name: str,
    reference: str,
    runs: pd.DataFrame,
    base: pd.DataFrame,
    settings: Sequence[str],
    rest: str,
) -> Test:
    """Welch's test of runs or, where some are branches, of the means of each training's."""
    a, b = _levelled(runs, base, settings)
    mean, fewest = float(a.mean() - b.mean()), min(len(a), len(b))
    what = "runs" if len(a) == len(runs) and len(b) == len(base) else "stems with their branches"
    if fewest < 2:
        why = "that needs two seeds of each"
        return Test(name, reference, "none", fewest, mean, basis=why)
    noise = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    low, high, p_value = mean, mean, _sure(mean)
    if noise > 0:
        found = stats.ttest_ind(a, b, equal_var=False)
        (low, high), p_value = found.confidence_interval(1 - LEVEL), float(found.pvalue)
    return Test(name, reference, "unpaired", fewest, mean, (float(low), float(high)), p_value,
                None, noise, None, f"{len(a)} and {len(b)} {what}, unpaired{rest}")  # fmt: skip


def _trained(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """The runs with column ``trajectory`` (see `columns`); a table without it has no branches."""
    if "trajectory" in runs:
        return runs
    return runs.assign(trajectory=[f"{name} {k}" for k in range(len(runs))])


def _shared(runs: pd.DataFrame, others: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The runs that agree with one of the others in all columns."""
    if not columns:
        return runs
    return runs.merge(others[list(columns)].drop_duplicates(), on=list(columns))


def _differences(runs: pd.DataFrame, base: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Mean loss of the runs less that of the base, at each place in the columns.

    Places that share a training, by its branches, are one measurement of it: their mean counts.
    """
    if runs.empty:
        return np.array([])
    both = pd.concat([runs.assign(sign=1), base.assign(sign=-1)], ignore_index=True)
    place, training = _places(both, columns), pd.factorize(both["trajectory"])[0]
    means = both.groupby([place, "sign"])["loss"].mean().unstack()
    # Places and trainings are the two sides of a graph: what hangs together is one measurement.
    size = len(both)
    edges = sparse.coo_array((np.ones(size), (place, size + training)), (2 * size, 2 * size))
    together = sparse.csgraph.connected_components(edges, directed=False)[1]
    found = (means[1] - means[-1]).groupby(together[means.index]).mean()
    return found.to_numpy(dtype=float)


def _levelled(
    runs: pd.DataFrame, base: pd.DataFrame, settings: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Each training's mean loss, in both groups, less what the settings do to both alike."""
    both = pd.concat([runs.assign(sign=1), base.assign(sign=-1)], ignore_index=True)
    place = _places(both, settings)
    means = both.groupby([place, "sign"])["loss"].mean().groupby(level=0).mean()
    both = both.assign(loss=both["loss"] - means.loc[place].to_numpy())
    each = both.groupby(["sign", "trajectory"], sort=False)["loss"].mean()
    return each.loc[1].to_numpy(dtype=float), each.loc[-1].to_numpy(dtype=float)


def _places(runs: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Which runs agree in the columns: a number for each run."""
    if not columns:
        return np.zeros(len(runs), dtype=int)
    return runs.groupby(list(columns), dropna=False).ngroup().to_numpy()


def _apart(runs: pd.DataFrame, base: pd.DataFrame) -> float:
    return float(runs["loss"].mean() - base["loss"].mean())


def _sure(mean: float) -> float:
    """The p-value without any noise."""
    return 1.0 if mean == 0 else 0.0


def _holm(tests: Sequence[Test]) -> list[Test]:
    """Holm's p-values: the chance of any false alarm among all the comparisons stays 5 %.

    Seeds are reckoned for the level that the comparison is held to: 5 % divided by the number of
    comparisons that no smaller p-value has settled.
    """
    order = sorted(
        (k for k, one in enumerate(tests) if one.p_value is not None),
        key=lambda k: tests[k].p_value or 0.0,
    )
    done, least, settled = list(tests), 0.0, 0
    for rank, k in enumerate(order):
        one = tests[k]
        least = max(least, min(1.0, (len(order) - rank) * (one.p_value or 0.0)))
        needed = None
        if one.noise is not None:
            share = LEVEL / (len(order) - settled)
            needed = seeds_needed(one.difference, one.noise, one.kind == "paired", share)
        done[k] = replace(one, adjusted=least, seeds_needed=needed)
        settled += least < LEVEL
    return done


def _say(one: Test) -> str:
    if one.pairs == 0:
        return f"{one.group} against {one.reference}: no test, since {one.basis}."
    side = "lower" if one.difference < 0 else "higher"
    said = f"{one.group}: loss {side} than {one.reference}'s by {abs(one.difference):.4f}"
    if one.difference == 0:
        said = f"{one.group}: mean loss the same as {one.reference}'s"
    if one.p_value is None or one.ci is None or one.adjusted is None:
        return f"{said}; no test, since {one.basis}."
    said += f" [{one.ci[0]:+.4f}, {one.ci[1]:+.4f}], p = {one.p_value:.2g}"
    if one.adjusted != one.p_value:
        said += f" ({one.adjusted:.2g} for all comparisons)"
    said += f", {one.basis}. "
    if one.adjusted < LEVEL:
        return said + "More than chance."
    if one.difference == 0:
        return said + "Not told from chance."
    if one.seeds_needed is None:
        return said + "Not told from chance, and no feasible number of seeds would."
    enough = f"{one.seeds_needed} {'pairs' if one.kind == 'paired' else 'seeds each'}"
    return f"{said}Not told from chance; a true difference of this size needs {enough}."


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def spread(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean over seeds; None of one."""
    array = np.asarray(values, dtype=float)
    if len(array) < 2:
        return None
    half = float(
        stats.t.isf(LEVEL / 2, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array))
    )
    return float(array.mean()) - half, float(array.mean()) + half
