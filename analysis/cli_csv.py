"""What ``tinyscale analyze --csv`` does: fits a table's points, as a plain function."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.doubts import doubts, mixed
from analysis.fits.catalog import APPROACHES, ONE_AXIS, forms
from analysis.fits.compare import compare
from analysis.fits.fitting import fit
from analysis.fits.form import Form
from analysis.fits.isoflop import fit_isoflop
from analysis.fits.points import Points
from analysis.fits.prepare import FitOptions
from analysis.fits.result import Fit, plain
from analysis.fits.table import OPTIONS, read_csv, read_points
from scaling.errors import UserError

_NEEDS: dict[str, tuple[str, ...]] = {
    "kaplan": ("N", "D"),
    "chinchilla": ("N", "D"),
    "openlm": ("N", "D"),
    "data_constrained": ("N", "D", "U"),
    "isoflop": ("N", "D"),
}


@dataclass(frozen=True)
class Request:
    """What was asked of a table.

    Attributes:
        csv: the table's file.
        columns: its column by role: loss, N, D, C, U.
        x: further columns for laws of one axis.
        form: a form's name, or ``all`` that the columns allow.
        approach: one approach; every one of the form where None.
        group: column of trajectories.
        exclude: rule of rows to leave out; the fit is made with and without them.
        options: how to fit.
    """

    csv: Path
    columns: Mapping[str, str]
    x: Sequence[str] = ()
    form: str = "chinchilla"
    approach: str | None = None
    group: str | None = None
    exclude: str | None = None
    options: FitOptions = field(default_factory=FitOptions)


def analyze_csv(request: Request) -> dict[str, Any]:
    """Fits the table and answers what fits.json holds: ``fits``, ``comparison``, ``csv``.

    Raises:
        UserError: the file, a column, a cell, an option or the number of rows is wrong.
    """
    frame = read_csv(request.csv)
    _check_roles(request)
    columns = dict(request.columns) | {name: name for name in request.x}
    table = read_points(frame, columns, group=request.group, exclude=request.exclude)
    unknown = set(request.options.at) - {*table.kept.axes, "C"}
    if unknown:
        known = ", ".join(table.kept.axes)
        raise UserError(f"--at names {min(unknown)!r}, but the columns given are {known}")
    names = _names(request, table.kept)
    _check_places(request, names, table.kept)
    fits: list[Fit] = []
    rivals: list[dict[str, Any]] = []
    sides = [(table.kept, table.excluded)]
    if request.exclude is not None:
        sides.insert(0, (table.whole, None))
    for data, left_out in sides:
        notes = doubts(data, list(request.columns), apart=request.group is None)
        if left_out == 0:
            notes.insert(0, "the rule of --exclude matches no row")
        done = [
            _recorded(one, request, left_out, notes)
            for name in names
            for one in _fit(name, data, request)
        ]
        fits += done
        scored = [one for one in done if one.quality]
        if len({one.form for one in scored}) > 1:
            rule = None if left_out is None else request.exclude
            rivals += [asdict(rival) | {"exclude": rule} for rival in compare(scored)]
    return {
        "csv": str(request.csv),
        "fits": [one.to_json() for one in fits],
        "comparison": plain(rivals),
    }


def write(answer: Mapping[str, Any], out: Path) -> Path:
    """Writes ``fits.json`` into a folder, which is made if need be, and answers its path.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    path = out / "fits.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(answer, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    return path


def _check_roles(request: Request) -> None:
    """Refuses what the form has no use for, and columns that are named for two things."""
    known = APPROACHES.get(request.form, ())
    if request.form == "all":
        known = tuple(dict.fromkeys(one for every in APPROACHES.values() for one in every))
    if request.approach is not None and known and request.approach not in known:
        said = " or ".join(known)
        raise UserError(f"{request.form} is fitted by {said}, not {request.approach!r}")
    if request.form not in {*ONE_AXIS, "all"} and request.x:
        raise UserError(f"--x is for laws of one axis, and {request.form} is none")
    if request.form not in {"data_constrained", "all"} and "U" in request.columns:
        raise UserError(f"--unique is for data_constrained, and not for {request.form}")
    for name in request.x:
        if name == request.columns["loss"]:
            raise UserError(f"--x {name!r} is the column of the losses")
        if request.columns.get(name, name) != name:
            raise UserError(f"--x {name!r} would stand beside {OPTIONS[name]}: rename the column")


def _check_places(request: Request, names: Sequence[str], data: Points) -> None:
    """Refuses places that none of the forms to be fitted has an answer for."""
    at = request.options.at
    laws = [form for n in names if n != "isoflop" for form in forms(n, _varying(data, request))]
    left = set(at) - {role for form in laws for role in form.answers(at)}
    if not left:
        return
    role = min(left)
    partly = next((form for form in laws if role in form.axes), None)
    if partly is None:
        raise UserError(f"--at {role} asks what {request.form} does not predict")
    lacking = " and ".join(f"--at {one}" for one in partly.axes if one not in at)
    raise UserError(f"--at {role} is half a place for {partly.name}: it needs {lacking} too")


def _names(request: Request, data: Points) -> list[str]:
    """The forms to fit, each of which the columns allow."""
    have = set(data.axes)
    lines = [role for role in data.axes if role in {"N", "D", "C"} or role in request.x]
    if request.form == "all":
        found = [name for name, roles in _NEEDS.items() if have >= set(roles)]
        if lines:
            found += list(ONE_AXIS)
        enough = [name for name in found if len(data) > _size(name, lines)]
        if not enough:
            raise UserError("no form can be fitted: name columns by --n, --d, --c or --x")
        return enough
    if request.form not in APPROACHES:
        raise UserError(f"there is no form {request.form!r}; there are {', '.join(APPROACHES)}")
    missing = [role for role in _NEEDS.get(request.form, ()) if role not in have]
    if missing:
        flags = " and ".join("--d (or --c)" if role == "D" else OPTIONS[role] for role in missing)
        raise UserError(f"{request.form} needs {flags}")
    if request.form in ONE_AXIS and not lines:
        raise UserError(f"{request.form} needs a column: --x, --n, --d or --c")
    needed = _size(request.form, lines) + 1
    if len(data) < needed:
        raise UserError(
            f"{request.form} has {needed - 1} parameters and needs at least {needed} rows;"
            f" {request.csv.name} has {len(data)} that can be used"
        )
    return [request.form]


def _size(name: str, lines: Sequence[str]) -> int:
    """Parameters of a form; of isoflop, those of one budget's parabola."""
    return 3 if name == "isoflop" else len(forms(name, lines or ["N"])[0].parameters)


def _fit(name: str, data: Points, request: Request) -> list[Fit]:
    chosen = [request.approach] if request.approach in APPROACHES[name] else APPROACHES[name]
    if name == "isoflop":
        return [fit_isoflop(data, one, request.options) for one in chosen if one]
    done = []
    for form in forms(name, _varying(data, request)):
        data_of_form = data if _joint(form) else _alone(data, form.axes[0])
        fits = [fit(form, data_of_form, request.options, one) for one in chosen]
        notes = [] if _joint(form) else mixed(data, form.axes[0])
        done += _agreeing([replace(one, notes=[*one.notes, *notes]) for one in fits])
    return done


def _agreeing(fits: list[Fit]) -> list[Fit]:
    """Approaches to one law, with a note where their intervals for an exponent are apart."""
    apart = set()
    for one, other in itertools.combinations([one for one in fits if one.converged], 2):
        for name in one.params:
            mine, theirs = one.ci[name], other.ci.get(name)
            if mine and theirs and (mine[0] > theirs[1] or mine[1] < theirs[0]):
                apart.add(name)
    if apart:
        names = ", ".join(sorted(apart))
        note = f"the approaches disagree on {names}: look for outliers, which sway least squares"
        for one in fits:
            one.notes.append(note)
    return fits


def _varying(data: Points, request: Request) -> list[str]:
    """Axes for laws of one: those asked by --x, else every given one that varies."""
    if request.x:
        return list(request.x)
    given = [role for role in ("N", "D", "C") if role in request.columns]
    varying = [role for role in given if np.ptp(data.axes[role]) > 0]
    return varying or given


def _joint(form: Form) -> bool:
    return len(form.axes) > 1


def _alone(data: Points, axis: str) -> Points:
    """Points with one axis first, so that held-out runs are the largest along it."""
    return replace(data, axes={axis: data.axes[axis]})


def _recorded(one: Fit, request: Request, left_out: int | None, notes: Sequence[str]) -> Fit:
    """The fit with what was left out of it among its settings, and notes on its table."""
    rule = None if left_out is None else request.exclude
    return replace(
        one,
        settings=one.settings
        | {"exclude": rule, "excluded_rows": left_out or 0, "group": request.group},
        notes=[*one.notes, *notes],
    )
