"""Evidence rules: what a law's claim rests on, each with a verdict and the figure behind it.

The rules read a plain table, one row a run, and the fit. What the table or the fit does not say
is `UNKNOWN`, never passed. Columns known (all optional, units in brackets):

    N, N_non_embedding    parameters, all; without embeddings and head [parameters]
    D, unique_tokens      tokens trained on, repeats counted; unique ones [tokens]
    C                     training FLOPs, exact [FLOPs]
    exact_flops           there where C, or D of C, is 6ND and so not exact
    loss                  the loss that is fitted [nats per token or any one unit]
    loss_kind             "final" or "best": which loss of the run it is
    group, seed           identity of the configuration without its seed; the seed
    width, depth, context_length, batch_size
                          what else makes a point at which learning rates are held together
    lr                    peak learning rate
    warmup_steps, steps   of the schedule's warmup; of the run [optimizer steps]
    schedule_steps        the length that the schedule was laid out for [optimizer steps]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from analysis.design import CONVENTIONS, IN_BUDGETS, JOINT, in_budgets, level, named, settings
from analysis.fits.isoflop import group_budgets
from analysis.fits.result import Fit
from analysis.rates import basins

if TYPE_CHECKING:
    import pandas as pd

SPAN = 10.0  # largest over smallest size
SAME_TOKENS = 0.01  # relative difference of tokens that counts as equal
SIGNAL = 3.0  # the effect must be this many seed deviations, and
CHANCE = 0.05  # of what seeds alone make so often nothing is claimed
WARMUP = 0.1  # of the run; longer warmups bend small runs' losses (arXiv:2406.19146)
EPOCHS = 4.0  # repeats up to here cost next to nothing (arXiv:2305.16264)
TREND = 0.05  # p-value below which residuals have a trend, over the number of axes
SHARE = 0.05  # of the starts that must reach the best
AHEAD = 2.0  # of AICc, within which laws are hardly told apart (Burnham, Anderson 2002, 2.6)
_WORDS = {"group", "seed", "loss_kind"}  # may be words; of another column these say nothing


class Verdict(StrEnum):
    """What a rule says."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One rule's answer.

    Attributes:
        rule: its name.
        verdict: pass, fail or unknown.
        figure: the number behind the verdict; None where unknown.
        sentence: the same in words.
    """

    rule: str
    verdict: Verdict
    figure: float | None
    sentence: str


def of_runs(runs: pd.DataFrame, rates: pd.DataFrame | None = None) -> list[Finding]:
    """What the rules say of runs, whichever law is fitted to them; in a fixed order.

    Args:
        runs: one row a run, columns as in the module's head.
        rates: of all learning rates that were tried, where `runs` are of the best ones.
    """
    return [
        sizes_span(runs),
        equal_budgets(runs),
        final_loss(runs),
        seeds(runs),
        seed_noise(runs),
        learning_rate(runs if rates is None else rates),
        warmup(runs),
        schedule(runs),
        repeats(runs),
        conventions(runs),
    ]


def of_fit(fit: Fit | None, beside: Sequence[Fit] = ()) -> list[Finding]:
    """What the rules say of the fit that a claim states, in a fixed order; unknown without one.

    Args:
        fit: that one.
        beside: the laws that were fitted to the same points.
    """
    return [converged(fit), residual_trend(fit), held_out(fit), rivals(fit, beside)]


def may_claim(findings: Sequence[Finding], axis: str = "N") -> str:
    """In plain words, what the findings allow to be said of a law of this axis."""
    by_rule = {one.rule: one.verdict for one in findings}
    failed = [one.rule for one in findings if one.verdict is Verdict.FAIL]
    unknown = [one.rule for one in findings if one.verdict is Verdict.UNKNOWN]
    if by_rule.get("converged") is not Verdict.PASS:
        return "No law may be claimed: there is no converged fit."
    if not failed and not unknown:
        over = "sizes" if axis in CONVENTIONS else f"range of {named(axis)}"
        return f"A scaling law may be claimed over the {over} studied: every rule is met."
    parts = []
    if failed:
        parts.append(f"not met: {', '.join(failed)}")
    if unknown:
        parts.append(f"not known: {', '.join(unknown)}")
    said = "; ".join(parts)
    if failed:
        return f"A trend in these runs may be described, but no law claimed ({said})."
    return f"A law may be suggested, not claimed ({said})."


def sizes_span(runs: pd.DataFrame) -> Finding:
    """Sizes span an order of magnitude."""
    rule = "sizes_span"
    if (unknown := _lacking(rule, runs, "N")) is not None:
        return unknown
    ratio = float(runs["N"].max() / runs["N"].min())
    return _say(rule, ratio >= SPAN, ratio, f"the largest model is {ratio:.3g} times the smallest")


def equal_budgets(runs: pd.DataFrame, design: str | None = None, axis: str = "N") -> Finding:
    """All runs saw equally many tokens, or the stated design holds; and all else is equal.

    Args:
        runs: one row a run, columns as in the module's head.
        design: "isoflop" (several sizes at each compute budget) or "grid" (every size at every
            token count) where the runs were not all given equal tokens; held against the table.
        axis: what else than size, tokens and compute the law is of.
    """
    rule = "equal_budgets"
    needed = ("N", "D") if design != "isoflop" else ("N", "D", "C")
    if (unknown := _lacking(rule, runs, *needed)) is not None:
        return unknown
    if design not in {"isoflop", "grid", None}:
        raise ValueError(f"design is 'isoflop', 'grid' or None, not {design!r}")
    differ = settings(runs, (*JOINT, axis))
    rest = " and ".join(map(named, differ)) or "nothing"
    if design is None:
        apart = float(runs["D"].max() / runs["D"].min() - 1)
        said = f"token counts differ by {apart:.2%} and no other design is stated"
        if apart <= SAME_TOKENS:
            said = f"token counts agree within {apart:.2%}"
        said += f"; beside them {rest} differs" if differ else ""
        return _say(rule, apart <= SAME_TOKENS and not differ, apart, said)
    good, figure, said = _isoflop(runs) if design == "isoflop" else _grid(runs)
    return _say(rule, good and not differ, figure, f"{said}; beside them {rest} differs")


def _isoflop(runs: pd.DataFrame) -> tuple[bool, float, str]:
    """Whether the runs are of three budgets or more, the sizes in the least of them, and words."""
    inside = in_budgets(runs)
    if not inside.any():
        return False, 0.0, "isoFLOP design: no compute budget has 3 sizes"
    part = runs[inside]
    budget = group_budgets(part["C"].to_numpy(dtype=float))
    sizes = part["N"].groupby(budget).nunique()
    said = f"isoFLOP design: {len(sizes)} budgets, at least {sizes.min()} sizes in each"
    if outside := int((~inside).sum()):
        said += f", {outside} run{'s' * (outside > 1)} outside the budgets"
    good = len(sizes) >= 3 and inside.mean() >= IN_BUDGETS
    return bool(good), float(sizes.min()), said


def _grid(runs: pd.DataFrame) -> tuple[bool, float, str]:
    """Whether every size was given every token count, the share that were, and words."""
    tokens = level(runs, "D")
    whole = runs["N"].nunique() * tokens.nunique()
    share = len(runs.groupby([runs["N"], tokens])) / whole
    return share == 1.0, share, f"grid design: {share:.0%} of sizes times token counts were run"


def final_loss(runs: pd.DataFrame) -> Finding:
    """The loss is the last of each run, not its best: picking the best is picking noise."""
    rule = "final_loss"
    if (unknown := _lacking(rule, runs, "loss_kind")) is not None:
        return unknown
    share = float((runs["loss_kind"] == "final").mean())
    return _say(rule, share == 1.0, share, f"{share:.0%} of the losses are final ones")


def seeds(runs: pd.DataFrame) -> Finding:
    """Every configuration has at least two seeds."""
    rule = "seeds"
    if (unknown := _lacking(rule, runs, "group", "seed")) is not None:
        return unknown
    least = int(runs.groupby("group")["seed"].nunique().min())
    return _say(rule, least >= 2, float(least), f"the fewest seeds of a configuration: {least}")


def seed_noise(runs: pd.DataFrame) -> Finding:
    """The effect is well above the noise between seeds."""
    rule = "seed_noise"
    if (unknown := _lacking(rule, runs, "group", "seed", "loss")) is not None:
        return unknown
    groups = runs.groupby("group")["loss"]
    room = int((groups.count() - 1).sum())
    if room < 1:
        return Finding(rule, Verdict.UNKNOWN, None, "no configuration was run twice")
    noise = float(np.sqrt(((runs["loss"] - groups.transform("mean")) ** 2).sum() / room))
    effect = float(groups.mean().max() - groups.mean().min())
    ratio = effect / noise if noise > 0 else float("inf")
    # The more configurations, the further apart are the outermost of them by chance alone: whether
    # they differ at all is the F test of one way.
    away = groups.transform("mean") - runs["loss"].mean()
    degrees = max(groups.ngroups - 1, 1)
    between = float((away**2).sum()) / degrees
    p_value = float(stats.f.sf(between / noise**2, degrees, room)) if noise > 0 else 0.0
    said = f"losses range over {effect:.4g}, {ratio:.3g} times the seeds' deviation of {noise:.2g}"
    if ratio >= SIGNAL and p_value > CHANCE:
        said += (
            ", which chance alone can make of so many configurations or so few repeats (F test:"
            f" p = {p_value:.2g})"
        )
    return _say(rule, ratio >= SIGNAL and p_value <= CHANCE, ratio, said)


def learning_rate(runs: pd.DataFrame) -> Finding:
    """At every size and budget the best learning rate has worse ones on both sides.

    A run that diverged is one of infinite loss.
    """
    rule = "learning_rate"
    if (unknown := _lacking(rule, runs, "N", "lr", "loss")) is not None:
        return unknown
    inside = [_between_worse(rates) for _, rates in basins(runs)]
    share = float(np.mean(inside))
    said = (
        f"{sum(inside)} of {len(inside)} points of size and budget have worse learning rates on"
        " both sides of the best"
    )
    return _say(rule, share == 1.0, share, said)


def warmup(runs: pd.DataFrame) -> Finding:
    """Warmup is short against every run."""
    rule = "warmup"
    if (unknown := _lacking(rule, runs, "warmup_steps", "steps")) is not None:
        return unknown
    longest = float((runs["warmup_steps"] / runs["steps"]).max())
    return _say(
        rule, longest <= WARMUP, longest, f"the longest warmup is {longest:.1%} of its run"
    )


def schedule(runs: pd.DataFrame) -> Finding:
    """Each schedule was laid out for the run's own length."""
    rule = "schedule"
    if (unknown := _lacking(rule, runs, "schedule_steps", "steps")) is not None:
        return unknown
    apart = float((runs["schedule_steps"] / runs["steps"] - 1).abs().max())
    said = f"schedules and runs differ in length by at most {apart:.1%}"
    return _say(rule, apart <= SAME_TOKENS, apart, said)


def repeats(runs: pd.DataFrame) -> Finding:
    """No text was seen more than four times."""
    rule = "repeats"
    if (unknown := _lacking(rule, runs, "D", "unique_tokens")) is not None:
        return unknown
    most = float((runs["D"] / runs["unique_tokens"]).max())
    return _say(rule, most <= EPOCHS, most, f"the most repeated run saw its text {most:.3g} times")


def conventions(runs: pd.DataFrame) -> Finding:
    """Parameters are counted with and without embeddings, and FLOPs are exact."""
    named = [name for name in ("N", "N_non_embedding", "C") if _has(runs, name)]
    if "exact_flops" in runs and "C" in named:
        named.remove("C")
    said = f"the table counts {', '.join(named) or 'nothing'} of N, N_non_embedding and C"
    if not named:
        return Finding("conventions", Verdict.UNKNOWN, None, said)
    return _say("conventions", len(named) == 3, float(len(named)), said)


def converged(fit: Fit | None) -> Finding:
    """The fit settled inside its bounds, from more than a lucky start."""
    rule = "converged"
    if fit is None:
        return Finding(rule, Verdict.UNKNOWN, None, "there is no fit")
    share = fit.starts.get("share_reached_best")
    if not fit.converged or share is None:
        figure = None if fit.converged else 0.0
        verdict = Verdict.PASS if fit.converged else Verdict.FAIL
        return Finding(rule, verdict, figure, f"{fit.status}: {fit.message}")
    said = f"{fit.status}; {share:.0%} of the starts reached the best"
    return _say(rule, share >= SHARE, share, said)


def residual_trend(fit: Fit | None) -> Finding:
    """Residuals lean or bend along no axis."""
    rule = "residual_trend"
    found = {} if fit is None else fit.quality.get("trend", {})
    tested = {role: one["p_value"] for role, one in found.items() if one["p_value"] is not None}
    if not tested:
        return Finding(rule, Verdict.UNKNOWN, None, "no residuals were tested for a trend")
    worst = min(tested, key=lambda role: tested[role])
    least = float(tested[worst])
    said = f"the strongest trend is along {worst}, p = {least:.2g} among {len(tested)} axes"
    return _say(rule, least >= TREND / len(tested), least, said)


def held_out(fit: Fit | None) -> Finding:
    """The largest runs, left out, fall inside the interval predicted for them."""
    rule = "held_out"
    found = {} if fit is None else fit.held_out
    if "mean_error" not in found:
        why = found.get("message", "no runs were held out")
        return Finding(rule, Verdict.UNKNOWN, None, why)
    error = float(found["mean_error"])
    if "inside" not in found or fit is None:
        said = f"the largest runs are predicted {error:+.2%} off, without an interval"
        return Finding(rule, Verdict.UNKNOWN, error, said)
    level, count = float(fit.settings["level"]), int(found["n"])
    expected = level - 2 * float(np.sqrt(level * (1 - level) / count))
    inside = float(found["inside"])
    said = (
        f"the largest {count} runs are predicted {error:+.2%} off on average,"
        f" {inside:.0%} of them inside the {level:.0%} interval"
    )
    return _say(rule, inside >= expected, error, said)


def rivals(fit: Fit | None, beside: Sequence[Fit]) -> Finding:
    """No other form describes the same points as well: by AIC corrected for few points.

    Hurvich and Tsai 1989; other approaches to the same form are no rivals.
    """
    rule = "rivals"
    if fit is None or (own := fit.quality.get("aicc")) is None:
        return Finding(rule, Verdict.UNKNOWN, None, "there is no AICc of the fit")
    others = [
        (score, one.form)
        for one in beside
        if one.form != fit.form
        and one.converged
        and (score := one.quality.get("aicc")) is not None
    ]
    if not others:
        return Finding(rule, Verdict.UNKNOWN, None, "no other form could be held against it")
    score, closest = min(others)
    ahead = float(score - own)
    where = f"{abs(ahead):.3g} {'above' if ahead >= 0 else 'below'}"
    said = f"of the other forms {closest.replace('_', ' ')} comes closest, its AICc {where}"
    return _say(rule, ahead >= AHEAD, ahead, said)


def _between_worse(rates: pd.DataFrame) -> bool:
    best = rates[rates["best"]].iloc[0]
    worse = rates.loc[rates["mean"] > best["mean"], "lr"]
    return bool(worse.min() < best["lr"] < worse.max())


def _has(runs: pd.DataFrame, name: str) -> bool:
    if name not in runs.columns or not len(runs) or not runs[name].notna().all():
        return False
    return name in _WORDS or not runs[name].map(lambda value: isinstance(value, str)).any()


def _lacking(rule: str, runs: pd.DataFrame, *names: str) -> Finding | None:
    """Unknown, if a column is missing or has an empty cell."""
    missing = [name for name in names if not _has(runs, name)]
    if not missing:
        return None
    said = f"the table does not say {' and '.join(missing)} of every run"
    return Finding(rule, Verdict.UNKNOWN, None, said)


def _say(rule: str, good: bool, figure: float, sentence: str) -> Finding:
    return Finding(rule, Verdict.PASS if good else Verdict.FAIL, figure, sentence)
