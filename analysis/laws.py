"""From runs to laws: which laws the runs can speak of, each fitted, with its evidence.

They are asked as `Question`s: the loss against one dimension over a slice of the runs, or jointly
against parameters and tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from analysis import evidence as rules
from analysis.design import (
    CONVENTIONS,
    JOINT,
    SHAPE,
    Design,
    frontier,
    goes_along,
    in_budgets,
    kind_of,
    level,
    named,
    numeric,
    places,
    slices,
    varies,
)
from analysis.evidence import Finding, Verdict, may_claim
from analysis.fits import (
    Chinchilla,
    DataConstrained,
    Fit,
    FitOptions,
    Form,
    Kaplan,
    LogPower,
    Points,
    PowerLaw,
    PowerLawNoOffset,
    compare,
    fit,
    fit_isoflop,
    points,
)
from analysis.fits.compare import Rival
from analysis.question import Law, Question
from analysis.rates import tried, tuned

LEVELS = 3  # values of a dimension below which no law of it is tried
RIVAL_STARTS = 512  # at most: enough for the laws beside Chinchilla's, which have easier minima
Say = Callable[[str], None]


def questions(
    name: str,
    runs: pd.DataFrame,
    design: Design,
    options: FitOptions,
    say: Say,
    apart: pd.DataFrame | None = None,
) -> list[Question]:
    """Every law that one series of runs can be asked for.

    Of the runs that do not count (`apart`) those that diverged still say which learning rates
    were tried.
    """
    best = tuned(runs, design)
    rates = runs if apart is None else tried(runs, apart)
    found = []
    for axis in _axes(best, design):
        found += _one_axis(name, axis, best, rates, design, options, say)
    return [*found, *_of_n_and_d(name, best, rates, design, options, say)]


def roles(runs: pd.DataFrame, design: Design) -> list[tuple[str, ...]]:
    """At what the laws of one series can be asked to predict: roles that go together."""
    best = tuned(runs, design)
    found: list[tuple[str, ...]] = [
        (axis,) for axis in _axes(best, design) if _cut(axis, best) is not None
    ]
    if (cut := _surface(best)) is not None:
        found += [("C",), *((size, "D") for size in _sizes(cut[1]))]
        found += [("N", "D", "U")] if _repeats(cut[1]) else []
    return found


def _axes(runs: pd.DataFrame, design: Design) -> list[str]:
    """What there are laws of: sizes first and compute last."""
    found = _sizes(runs)
    found += [c for c in design.dimensions if c not in found and numeric(runs, c)]
    if numeric(runs, "C") and varies(runs, "C"):
        found.append("C")
    return found


def _sizes(runs: pd.DataFrame) -> list[str]:
    """The conventions that count differently; with tied embeddings the head is in N already."""
    found = [c for c in CONVENTIONS if numeric(runs, c) and varies(runs, c)]
    return [c for c in found if c == "N" or "N" not in found or (runs[c] != runs["N"]).any()]


def _one_axis(
    name: str,
    axis: str,
    best: pd.DataFrame,
    rates: pd.DataFrame,
    design: Design,
    options: FitOptions,
    say: Say,
) -> list[Question]:
    cut = _cut(axis, best)
    if cut is None:
        return []
    held, runs, note = cut
    say(f"fitting {named(axis)}{f' of {name}' if name else ''}: {len(runs)} runs")
    data = _points(runs, axis, {axis: axis})
    forms: tuple[Form, ...] = (PowerLaw(axis), PowerLawNoOffset(axis), LogPower(axis))
    if axis == "context_length" or axis in SHAPE:
        forms = forms[:2]  # the logarithm of so small a number is no law's
    how = replace(options, starts=min(RIVAL_STARTS, options.starts))
    done = [(form, fit(form, data, how)) for form in forms]
    whole = slices(best, JOINT)[0][1] if axis == "C" else runs  # of which the frontier is taken
    stated = {"D": "grid", "C": _kind(whole, design)}.get(axis)
    known = _known(runs, rates, rules.equal_budgets(whole, stated, axis), axis)
    laws = _laws(done, known, axis)
    size = axis if axis in CONVENTIONS else "N"
    return [
        Question(
            _key(name, axis), name, axis, size, held, runs, best, data, laws, _rank(laws), note
        )
    ]


Cut = tuple[Mapping[str, float], pd.DataFrame, str]


def _cut(axis: str, best: pd.DataFrame) -> Cut | None:
    """What the runs of a law of one axis agree in, they, and a note on their choice.

    None where they have too few values of the axis.
    """
    notes = []
    cut = slices(best, JOINT if axis == "C" else [axis])
    held, runs = cut[0]
    if len(cut) > 1:
        notes.append(
            f"one slice of {len(cut)}, the widest and largest; the figure shows the others"
        )
    if axis == "C" and varies(runs, "D") and varies(runs, "N"):
        whole, runs = runs, frontier(runs)
        if len(runs) < len(whole):
            notes.append(
                f"the {runs['group'].nunique()} configurations of {whole['group'].nunique()} that"
                " no cheaper one undercuts: their choice favours lucky runs"
            )
    return None if level(runs, axis).nunique() < LEVELS else (held, runs, "; ".join(notes))


def _surface(best: pd.DataFrame) -> Cut | None:
    """The same of the laws of N and D; None unless both vary, neither with the other."""
    if not all(numeric(best, c) and varies(best, c) for c in ("N", "D")):
        return None
    cut = slices(best, JOINT)
    held, runs = cut[0]
    met = runs[["N"]].assign(D=level(runs, "D")).drop_duplicates()
    if len(met) <= 4 or met["D"].nunique() < 2 or goes_along(runs, "D", "N"):
        return None
    notes = []
    if len(cut) > 1:
        notes.append(f"one slice of {len(cut)}, the widest and largest; the others are not fitted")
    if _repeats(runs) and varies(runs, "unique_tokens"):
        notes.append(
            "runs of several counts of unique tokens, which only the data-constrained law tells"
            " apart"
        )
    return held, runs, "; ".join(notes)


def _repeats(runs: pd.DataFrame) -> bool:
    """Whether some run was trained on tokens more than once."""
    return numeric(runs, "unique_tokens") and bool((runs["D"] > runs["unique_tokens"]).any())


def _kind(runs: pd.DataFrame, design: Design) -> str | None:
    """The design that these runs are held to: the one stated, else their own."""
    kind = design.kind if design.stated else kind_of(runs)
    return kind if kind in {"isoflop", "grid"} else None


def _of_n_and_d(
    name: str,
    best: pd.DataFrame,
    rates: pd.DataFrame,
    design: Design,
    options: FitOptions,
    say: Say,
) -> list[Question]:
    """Joint laws and, where the design is one, isoFLOP optima: in each convention of size."""
    cut = _surface(best)
    if cut is None:
        return []
    held, runs, note = cut
    kind = _kind(runs, design)
    known = _known(runs, rates, rules.equal_budgets(runs, kind), "N")

    def asked(axis: str, size: str, data: Points, laws: list[Law], note: str) -> Question:
        key = _key(name, f"{axis}-{size}")
        ranked = _rank(laws) if axis == "joint" else []
        return Question(key, name, axis, size, held, runs, best, data, laws, ranked, note)

    found = []
    for size in _sizes(runs):
        own = _counted(options, size)
        rival = replace(own, starts=min(RIVAL_STARTS, own.starts))
        say(f"fitting {named(size)} and tokens{f' of {name}' if name else ''}: {len(runs)} runs")
        data = _points(runs, "C", {"N": size, "D": "D"})
        forms: list[tuple[Form, str, FitOptions]] = [
            (Chinchilla(), "huber", own if size == "N" else rival),
            (Chinchilla(), "variable_projection", rival),
        ]
        if size == "N":
            forms.append((Kaplan(), "huber", rival))
            if _repeats(runs):
                seen = runs.assign(U=runs[["D", "unique_tokens"]].min(axis=1))
                data = _points(seen, "C", {"N": size, "D": "D", "U": "U"})
                forms.append((DataConstrained(), "huber", rival))
        fits = [(form, fit(form, data, how, approach)) for form, approach, how in forms]
        laws = _laws([(form, _called(one, size)) for form, one in fits], known, size)
        found.append(asked("joint", size, data, laws, note))
        if kind == "isoflop" and numeric(runs, "C"):
            data = replace(data, axes={**data.axes, "C": runs["C"].to_numpy(dtype=float)})
            optima = [fit_isoflop(data, way, options) for way in ("parabola", "akima")]
            laws = _laws([(None, one) for one in optima], known, size)
            found.append(asked("isoflop", size, data, laws, "; ".join(_outside(runs, note))))
    return found


def _counted(options: FitOptions, size: str) -> FitOptions:
    """The options of laws whose N is counted in a convention: the places asked in it alone."""
    at = {role: place for role, place in options.at.items() if role not in CONVENTIONS}
    return replace(options, at=at | ({"N": options.at[size]} if size in options.at else {}))


def _called(one: Fit, size: str) -> Fit:
    """Their fits, with N at its places called by its convention."""

    def named(at: Mapping[str, float]) -> dict[str, float]:
        return {size if role == "N" else role: place for role, place in at.items()}

    derived = {
        name: replace(found, at=named(found.at), outside=named(found.outside))
        for name, found in one.derived.items()
    }
    return replace(one, derived=derived, settings=one.settings | {"at": named(one.settings["at"])})


def _outside(runs: pd.DataFrame, note: str) -> list[str]:
    """The note of an isoFLOP question: which runs lie outside the budgets."""
    out = runs[~in_budgets(runs)]["name"].tolist()
    more = f" and {len(out) - 5} more" if len(out) > 5 else ""
    said = f"outside the budgets {'is' if len(out) == 1 else 'are'} {', '.join(out[:5])}{more}"
    return [part for part in (note, said if out else "") if part]


def _points(runs: pd.DataFrame, cost: str, roles: Mapping[str, str]) -> Points:
    """Points of runs; the cost (C) goes along where every run has it, to order them by.

    Branches share their stem's noise, and are resampled with it.
    """
    axes = {role: runs[column].to_numpy(dtype=float) for role, column in roles.items()}
    exact = "exact_flops" not in runs  # else they are 6ND, which is what C is without them
    if cost == "C" and numeric(runs, "C") and "C" not in axes and exact:
        axes["C"] = runs["C"].to_numpy(dtype=float)
    stems = runs["trajectory"].fillna(runs["run_id"])
    group = stems.to_numpy() if stems.duplicated().any() else None
    made = points(runs["loss"].to_numpy(dtype=float), group=group, **axes)
    return replace(made, columns={"loss": "loss"} | dict(roles))


def _known(runs: pd.DataFrame, rates: pd.DataFrame, spent: Finding, axis: str) -> list[Finding]:
    """The evidence that a question's laws share; budgets (`spent`) are judged over the design.

    Learning rates are judged at the points fitted, over all runs there (`rates`), not the tuned.
    """
    point = rates.groupby(places(rates), dropna=False).ngroup()
    whole = rates[point.isin(point[rates["run_id"].isin(runs["run_id"])])]
    swaps = {"equal_budgets": spent}
    if axis not in CONVENTIONS:
        swaps["sizes_span"] = _spans(runs, axis)
    return [swaps.get(found.rule, found) for found in rules.of_runs(runs, whole)]


def _laws(
    done: Sequence[tuple[Form | None, Fit]], known: Sequence[Finding], axis: str
) -> list[Law]:
    """Fits of the same points with their evidence, each held against the others."""
    beside = [one for _, one in done]
    laws = []
    for form, one in done:
        findings = [*known, *rules.of_fit(one, beside)]
        laws.append(Law(form, one, findings, may_claim(findings, axis)))
    return laws


def _spans(runs: pd.DataFrame, axis: str) -> Finding:
    """The axis of the law spans an order of magnitude, where that is not size."""
    ratio = float(runs[axis].max() / runs[axis].min())
    verdict = Verdict.PASS if ratio >= rules.SPAN else Verdict.FAIL
    said = f"the largest {named(axis)} is {ratio:.3g} times the smallest"
    return Finding("sizes_span", verdict, ratio, said)


def _rank(laws: Sequence[Law]) -> list[Rival]:
    scored = [law.fit for law in laws if law.fit.quality]
    return compare(scored) if len(scored) > 1 else []


def _key(series: str, axis: str) -> str:
    plain = "".join(c if c.isalnum() else "-" for c in f"{series} {axis}".strip().lower())
    return "-".join(part for part in plain.split("-") if part)
