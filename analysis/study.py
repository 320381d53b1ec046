"""From the runs of a store to the laws that they can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.design import Design, design_of, series
from analysis.fits import FitOptions
from analysis.fits.exclusion import excluded
from analysis.fits.model import Mask
from analysis.floor import OF_THE_FLOOR, Held, held
from analysis.laws import LEVELS, questions, roles
from analysis.question import Question
from analysis.runs import RunTable, Selection, read_runs
from analysis.units import BITS, Unit, choose, floor_of, in_unit
from scaling.errors import UserError
from scaling.outputs import ready_folder

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What was asked of a store.

    Attributes:
        selection: which runs.
        out: the folder of the report.
        unit: auto, nats or bpb.
        design: isoflop or grid where the runs' design is stated, not found.
        exclude: rule of runs to leave out.
        options: how to fit.
        log: whether the report goes to the store too.
        command: what to type to make it again.
    """

    selection: Selection
    out: Path
    unit: str = "auto"
    design: str | None = None
    exclude: str | None = None
    options: FitOptions = field(default_factory=FitOptions)
    log: bool = True
    command: str = ""


@dataclass(frozen=True)
class Study:
    """What was found.

    Attributes:
        table: the runs as read.
        runs: the finished ones that were fitted; losses in `unit`.
        apart: the others, with the reason; likewise.
        design: what varies.
        unit: of the losses.
        floor: the corpus's entropy, where it is known.
        series: each variant's runs, by its name.
        questions: the laws asked after, all series.
        held: fitted floors beside the known one.
        options: how it was fitted.
        notes: what the options came to where the runs did not do as they say.
    """

    table: RunTable
    runs: pd.DataFrame
    apart: pd.DataFrame
    design: Design
    unit: Unit
    floor: float | None
    series: list[tuple[str, pd.DataFrame]]
    questions: list[Question]
    held: list[Held]
    options: FitOptions
    notes: list[str]


def study(request: Request, say: Say) -> Study:
    """Reads the runs and fits every law that they can be asked for.

    Raises:
        UserError: the selection, the unit, the rule or a place to predict at is wrong, or the
            folder of the report cannot be written to.
    """
    table = read_runs(request.selection)
    apart = table.apart
    runs, notes = _reckoned(table.runs, request)
    unit, out = _judged(runs, request)
    if request.exclude is not None and not out.any():
        notes.append(f"--exclude {request.exclude!r} matches no run")
    if out.any():
        gone = runs[out].assign(why=f"left out: {request.exclude}")
        runs, apart = runs[~out].reset_index(drop=True), pd.concat([apart, gone])
        if runs.empty:
            raise UserError(f"--exclude {request.exclude!r} leaves no run.")
    without = _without(runs)
    if (counted := without == "").any() and not counted.all():
        apart = pd.concat([apart, runs[~counted].assign(why=without[~counted])])
        runs = runs[counted].reset_index(drop=True)
    runs, apart = in_unit(runs, unit), in_unit(apart, unit)
    for note in notes:
        say(note)
    design = design_of(runs, request.design)
    say(f"{len(runs)} finished runs, {len(apart)} apart; {design.describe()}")
    parts = series(runs, design)
    enough = [(name, part) for name, part in parts if part["group"].nunique() >= LEVELS]
    _check_places(request.options.at, {one for _, part in enough for one in roles(part, design)})
    ready_folder(request.out)  # before the fits, which take their time
    asked = [
        question
        for name, part in enough
        for question in questions(name, part, design, request.options, say, apart)
    ]
    floor = floor_of(runs)
    found = [
        one
        for question in sorted(asked, key=lambda one: one.axis != "joint")
        if question.axis in OF_THE_FLOOR
        for law in question.laws
        if floor is not None and (one := held(question, law, floor)) is not None
    ]
    return Study(
        table, runs, apart, design, unit, floor, parts, asked, found, request.options, notes
    )


def _reckoned(runs: pd.DataFrame, request: Request) -> tuple[pd.DataFrame, list[str]]:
    """The runs with what the options need of tokens and FLOPs, by C = 6ND, and a note on it.

    Such runs have a column ``exact_flops``, which is false.
    """
    n, d, c = (pd.to_numeric(runs[column], errors="coerce") for column in ("N", "D", "C"))
    if request.selection.columns.keys() & {"C", "D"} == {"C"} and d.isna().any():
        tokens = d.fillna(c / (6 * n))
        if tokens.notna().sum() > d.notna().sum():
            return runs.assign(D=tokens, exact_flops=False), [
                "--c without --d: the tokens are reckoned as D = C/6N"
            ]
    elif request.design == "isoflop" and c.isna().any() and (n * d).notna().any():
        return runs.assign(C=6 * n * d, exact_flops=False), [
            "--design isoflop: the FLOPs of not all runs are known, and are reckoned as C = 6ND"
        ]
    return runs, []


def _without(runs: pd.DataFrame) -> pd.Series:
    """Which of N and D a run lacks that most others have, in words; empty of those that count."""
    why = pd.Series("", index=runs.index)
    for column, what in (("N", "parameters"), ("D", "training tokens")):
        values = pd.to_numeric(runs[column], errors="coerce")
        has = values.notna() & (values > 0)
        if has.mean() > 0.5:
            lacks = f"without its number of {what}, which most others have"
            why = why.where(has | (why != ""), lacks)
    return why


def _check_places(at: Mapping[str, float], known: set[tuple[str, ...]]) -> None:
    """Refuses places of roles that no law is of, or that a law needs another beside."""
    if unknown := set(at) - {role for together in known for role in together}:
        said = ", ".join(sorted({role for together in known for role in together})) or "nothing"
        raise UserError(f"--at names {min(unknown)!r}, but the laws of these runs are of {said}.")
    answered = {role for together in known if at.keys() >= {*together} for role in together}
    if left := set(at) - answered:
        role = min(left)
        beside = next(together for together in sorted(known) if role in together)
        lacking = " and ".join(f"--at {one}" for one in beside if one not in at)
        raise UserError(f"--at {role} is half a place for the laws of these runs: give {lacking}.")


def _judged(runs: pd.DataFrame, request: Request) -> tuple[Unit, Mask]:
    """The unit of the losses, and which runs the rule leaves out, judged in that unit, [runs].

    A rule that is not about losses leaves out the same runs in every unit. Then those that it
    leaves decide on the unit: they may have one tokenizer where all the runs have several.
    """
    column = request.selection.columns.get("loss")
    if request.exclude is None:
        return choose(runs, request.unit, column), np.zeros(len(runs), dtype=bool)
    out = excluded(runs, request.exclude, {})
    in_bits = excluded(in_unit(runs, BITS), request.exclude, {})
    deciding = runs[~out] if np.array_equal(out, in_bits) else runs
    unit = choose(deciding, request.unit, column)
    return unit, in_bits if unit.key == BITS.key else out
