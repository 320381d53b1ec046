"""Groups of runs side by side, with tests and fronts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.curves import curves
from analysis.design import (
    CONVENTIONS,
    PREFIX,
    SHAPE,
    TOKENS,
    Design,
    design_of,
    level,
    named,
    numeric,
    series,
    varies,
)
from analysis.equal import Equal, Groups, at_compute, at_sizes, equal
from analysis.memory import inference_bytes
from analysis.paired import Test, against, listed
from analysis.rates import tuned
from analysis.runs import RunTable, Selection, read_runs
from analysis.summary import configurations, summary
from analysis.units import Unit, choose, floor_of, in_unit, judged_apart, texts
from scaling.errors import UserError
from scaling.outputs import ready_folder
from scaling.schema import nearest

Say = Callable[[str], None]

# Dimensions that are asked after by a field of another name.
_SAID_BY = {
    "model.d_model": ("width",),
    "model.n_layers": ("depth",),
    "data.context_length": ("context_length",),
    "batch.size": ("batch_size",),
    "runtime.precision": ("precision",),
    "data.fraction": ("unique_tokens",),
    "data.max_documents": ("unique_tokens",),
    **dict.fromkeys(CONVENTIONS, ("N", *SHAPE)),
    **dict.fromkeys(("C", "epochs", "steps", "resolved.tokens", "resolved.steps"), ("D",)),
}


@dataclass(frozen=True)
class Request:
    """What was asked.

    Attributes:
        selection: which runs.
        out: the folder of the report.
        group_by: fields whose values are the groups; found where empty.
        reference: the group that the others are held against; found where None.
        unit: auto, nats or bpb.
        log: whether the report goes to the store too.
        command: what to type to make it again.
    """

    selection: Selection
    out: Path
    group_by: tuple[str, ...] = ()
    reference: str | None = None
    unit: str = "auto"
    log: bool = True
    command: str = ""


@dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes:
        table: the runs as read.
        runs: the finished ones with columns ``label`` (its group), ``before`` (validation loss
            before training) and ``inference_bytes``; losses in `unit`.
        fields: what the groups are made by.
        groups: name and runs, the reference first.
        reference: its name.
        tuned: the nuisances, such as optimizer.lr, whose best values a group counts at.
        best: the groups' runs at those: what is summed up and tested.
        matched: what a pair of runs agrees in.
        alike: whether the groups' means are over the same settings.
        tests: each group against the reference.
        sizes, compute: the groups' runs that are compared at equal parameters (none where no token
            count is common to all groups), at equal FLOPs.
        equals: each group against the reference at these.
        summary: one row a group.
        configurations: one row a configuration, with the fronts that it is on.
        no_speeds: of what unlike things the speeds are; empty where they compare.
        curves: every run's curves, by run id.
        unit: of the losses.
        floor: the corpus's entropy, where it is known.
    """

    table: RunTable
    runs: pd.DataFrame
    fields: tuple[str, ...]
    groups: list[tuple[str, pd.DataFrame]]
    reference: str
    tuned: list[str]
    best: Groups
    matched: list[str]
    alike: bool
    tests: list[Test]
    sizes: Groups
    compute: Groups
    equals: list[Equal]
    summary: pd.DataFrame
    configurations: pd.DataFrame
    no_speeds: str
    curves: Mapping[str, pd.DataFrame]
    unit: Unit
    floor: float | None


def compare_runs(request: Request, say: Say) -> Comparison:
    """Reads the runs and compares their groups.

    Raises:
        UserError: the selection is wrong, a field is unknown, there is only one group, or the
            folder of the report cannot be written to.
    """
    table = read_runs(request.selection)
    unit = choose(table.runs, request.unit)
    runs = in_unit(table.runs, unit)
    table = replace(table, apart=in_unit(table.apart, unit))
    _refuse_without_runs(table)
    design = design_of(runs)
    fields = _fields(runs, design, request)
    runs = runs.assign(label=_labels(runs, fields))
    order = runs.sort_values("asked", kind="stable") if "asked" in runs else runs
    names = list(dict.fromkeys(order["label"]))
    if len(names) < 2:
        raise UserError(
            f"There is only one group, {names[0]}: name more runs, or another field to group by."
        )
    reference = _reference(runs, names, request)
    names = [reference, *[name for name in names if name != reference]]
    ready_folder(request.out)  # before the curves, which take their time
    say(f"{len(runs)} runs in {len(names)} groups; reading curves")
    lines = {row["run_id"]: curves(row, table.uri) for row in runs.to_dict("records")}
    runs = runs.assign(
        before=[_before(lines[run], unit) for run in runs["run_id"]],
        inference_bytes=np.array(
            [inference_bytes(row) for row in runs.to_dict("records")], dtype=float
        ),
    )
    if no_speeds := _no_speeds(runs):
        runs = runs.assign(tokens_per_second=np.nan)
    groups = [(name, runs[runs["label"] == name]) for name in names]
    best = [(name, _at_best(part, design)) for name, part in groups]
    # Token counts that agree within 1 % are equal, of whichever groups they are.
    tokens = {c: level(runs, c) for c in TOKENS if c in runs}
    even = [(name, part.assign(**tokens)) for name, part in best]
    matched = _matched(even, design, fields)
    sizes, compute = at_sizes(even), at_compute(best)
    means = _means(compute, lines, unit)
    searched = [one for one in design.nuisances if any(varies(part, one) for _, part in groups)]
    tests = against(even, matched, reference)
    return Comparison(
        table,
        runs,
        fields,
        groups,
        reference,
        searched,
        best,
        matched,
        _alike(even, matched),
        _told_apart(tests, dict(even), design, fields, matched, searched),
        sizes,
        compute,
        equal(sizes, reference, "N") + equal(compute, reference, "C", means),
        summary(best),
        configurations(groups),
        no_speeds,
        lines,
        unit,
        floor_of(runs),
    )


def _refuse_without_runs(table: RunTable) -> None:
    """Raise where of a run that was named none has finished: another would be the reference."""
    if "asked" not in table.runs:
        return
    for asked, part in table.apart.groupby("asked"):
        if asked not in set(table.runs["asked"]):
            said = ", ".join(f"{n} {why}" for why, n in part["why"].value_counts().items())
            text = part["asked_for"].iloc[0]
            raise UserError(f"No finished run is among those of {text}: {said}. Leave it out.")


def _fields(runs: pd.DataFrame, design: Design, request: Request) -> tuple[str, ...]:
    """The fields to group by: as asked, else the variants, else each configuration."""
    for field in request.group_by:
        if field not in runs:
            close = nearest(field, [str(c) for c in runs])
            hint = f"; did you mean {close}?" if close else "."
            raise UserError(f"--group-by: no run has a field {field}{hint}")
    if request.group_by:
        return request.group_by
    if request.selection.runs:
        return ("group",)
    return tuple(one for one in design.variants if one != PREFIX) or ("group",)


def _labels(runs: pd.DataFrame, fields: Sequence[str]) -> pd.Series:
    """Each run's group, in as few words as tell them apart; a configuration has one name."""
    if tuple(fields) == ("group",):
        first = runs.groupby("group")[["name", "group_name"]].transform("first")
        one = runs.groupby(first["name"])["group"].transform("nunique") == 1
        return first["name"].where(one, first["group_name"]).astype(str)
    if len(fields) == 1:
        return runs[fields[0]].map(_word)
    short = {field: field.removesuffix(".kind").rsplit(".", 1)[-1] for field in fields}
    labels = [
        ", ".join(f"{short[field]} {_word(row[field])}" for field in fields)
        for row in runs[list(fields)].to_dict("records")
    ]
    return pd.Series(labels, index=runs.index)


def _word(value: object) -> str:
    if value is None or value != value:
        return "none"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)  # as many digits as tell two groups apart


def _reference(runs: pd.DataFrame, names: Sequence[str], request: Request) -> str:
    """As asked; else the first run named, or the group with the most runs."""
    asked = request.reference
    if asked is None and request.selection.runs:
        return names[0]
    if asked is None:
        return max(names, key=lambda name: int((runs["label"] == name).sum()))
    if asked not in names:
        close = nearest(asked, names)
        hint = f"did you mean {close}?" if close else f"they are {', '.join(names[:12])}."
        raise UserError(f"--reference: there is no group {asked}; {hint}")
    return asked


def _at_best(runs: pd.DataFrame, design: Design) -> pd.DataFrame:
    """One group's runs at the best of its nuisances; each of several variants has its own best."""
    return pd.concat([tuned(part, design) for _, part in series(runs, design)]).sort_index()


def _matched(groups: Groups, design: Design, fields: Sequence[str]) -> list[str]:
    """What two runs must agree in to be a pair: the seed, and all else that varies in a group."""
    parts = [part for _, part in groups]
    found = ["seed"]
    for column in (*design.dimensions, *design.variants):
        if column in fields or not any(varies(part, column) for part in parts):
            continue
        if column == "D" and all(_decided(part, found[1:]) for part in parts):
            continue  # a budget that follows the size is not asked to be equal besides
        found.append(column)
    return found


def _decided(part: pd.DataFrame, by: Sequence[str]) -> bool:
    if not by or not numeric(part, "D"):
        return False
    return not any(varies(one, "D") for _, one in part.groupby(list(by), dropna=False))


def _told_apart(
    tests: Sequence[Test],
    groups: Mapping[str, pd.DataFrame],
    design: Design,
    fields: Sequence[str],
    matched: Sequence[str],
    searched: Sequence[str],
) -> list[Test]:
    """The tests, each with what else its two groups differ in at the same settings."""
    settings = [column for column in matched if column != "seed"]
    kinds = [one for one in (*fields, *design.variants) if one.endswith(".kind")]
    asked = {one for field in fields for one in _SAID_BY.get(field, ())}
    if any(field.startswith("budget.") for field in fields):
        asked.add("D")
    asked |= {*fields, *matched}
    others = (*design.dimensions, *design.variants, "precision")  # as `auto` chose it
    columns = [one for one in others if one not in asked]
    columns += [  # those of a kind go with it, and those that were tuned count at their best
        one
        for one in design.nuisances
        if one not in (*asked, *searched)
        and not any(one.startswith(kind.removesuffix("kind")) for kind in kinds)
    ]
    also = "" if tuple(fields) == ("group",) else "also "
    found = []
    for test in tests:
        runs, base = groups[test.group], groups[test.reference]
        differ = [named(one) for one in columns if _differs(runs, base, one, settings)]
        said = [f"they {also}differ in {listed(differ)}"] if differ else []
        judged = [*texts(runs), *([PREFIX] if PREFIX in runs else [])]
        apart = judged_apart(pd.concat([runs, base]))
        if apart or any(_differs(runs, base, one, settings) for one in judged):
            said.append("their losses are of different validation texts")
        found.append(test.beside("; ".join(said) if test.pairs else ""))
    return found


def _differs(runs: pd.DataFrame, base: pd.DataFrame, column: str, settings: Sequence[str]) -> bool:
    """Whether two groups have other values of a column where they agree in the settings."""
    if column not in runs:
        return False
    by = list(settings)
    one, other = (
        {
            place: set(part[column].astype(str))
            for place, part in (group.groupby(by, dropna=False) if by else [((), group)])
        }
        for group in (runs, base)
    )
    return any(one[place] != other[place] for place in one.keys() & other.keys())


def _no_speeds(runs: pd.DataFrame) -> str:
    """Why the runs' speeds do not compare: of machines, or of programs that share one."""
    devices = runs["device"].dropna().nunique()
    if devices > 1:
        return f"{devices} machines"
    members = sorted({int(count) for count in runs["members"].dropna()})
    if len(members) > 1:
        return f"programs of {listed([str(count) for count in members])} runs"
    return ""


def _alike(groups: Groups, matched: Sequence[str]) -> bool:
    """Whether every group has the same settings, each with the same share of its runs."""
    settings = [column for column in matched if column != "seed"]
    if not settings:
        return True
    first, *others = (
        part[settings].astype(str).value_counts(normalize=True).to_dict() for _, part in groups
    )
    return all(shares == first for shares in others)


def _before(frame: pd.DataFrame, unit: Unit) -> float:
    """The validation loss before the first step; not a number where it was not measured."""
    if unit.metric not in frame:
        return float("nan")
    first = frame.loc[frame["step"] == 0, unit.metric].dropna()
    return float(first.iloc[0]) if len(first) else float("nan")


def _means(
    compute: Groups, lines: Mapping[str, pd.DataFrame], unit: Unit
) -> dict[str, pd.DataFrame]:
    """The mean curve over seeds of each group that is compared by one configuration."""
    means = {}
    for name, runs in compute:
        mine = [lines[run] for run in runs["run_id"]]
        if runs["group"].nunique() == 1 and all(unit.metric in one for one in mine):
            whole = pd.concat([one[["flops", unit.metric]].dropna() for one in mine])
            mean = whole.groupby("flops")[unit.metric].mean()
            means[name] = pd.DataFrame({"flops": mean.index, "loss": mean.to_numpy()})
    return means
