"""The runs of a store as one table: the only place that reads runs from MLflow.

``read_runs(Selection(experiment="width"))`` pages through the store once; no metric history is
asked for. What cannot count as a finished run is listed apart, with the reason, and never dropped.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.columns import number, row_of
from analysis.store import answers, download, no_collection, open_store, pages
from scaling.errors import UserError
from scaling.schema import nearest
from scaling.tracking.address import without_password
from scaling.tracking.members import WANTED, Members

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ADAPTATION = "adaptation"  # the kind of run that is no training, but the adaptation of one


class NoRunsError(UserError):
    """No training among what was selected has come to its end."""


@dataclass(frozen=True)
class Selection:
    """Which runs are meant.

    Attributes:
        store: the MLflow URI; else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here.
        experiment: its name; all experiments where None and there are runs or a sweep to find.
        sweep: a sweep's name: all runs that it wants, whichever sweep has made them.
        filter: a condition in MLflow's language, as ``params.`model.d_model` = '64'``.
        runs: names, ids (ours or MLflow's, or their beginning) or groups.
        columns: the parameter or metric to take N, D, C or loss from, by role.
    """

    store: str | None = None
    experiment: str | None = None
    sweep: str | None = None
    filter: str | None = None
    runs: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """In words."""
        parts = [f"experiment {self.experiment}"] if self.experiment else []
        parts += [f"sweep {self.sweep}"] if self.sweep else []
        parts += [f"runs where {self.filter}"] if self.filter else []
        parts += [f"runs {', '.join(self.runs)}"] if self.runs else []
        return ", ".join(parts) or "all runs"


@dataclass(frozen=True)
class RunTable:
    """Runs as tables; columns in `analysis.columns`.

    Attributes:
        runs: one row a finished run that has a loss.
        apart: the others, with the reason in column ``why``.
        uri: the store.
        experiment: the experiment's name, or that of the first run.
        selection: what was asked for.
    """

    runs: pd.DataFrame
    apart: pd.DataFrame
    uri: str
    experiment: str
    selection: Selection

    @property
    def store(self) -> str:
        """The store's address as it may be shown."""
        return without_password(self.uri)


def read_runs(selection: Selection) -> RunTable:
    """The table of the selected runs.

    Raises:
        NoRunsError: no finished run is among them.
        UserError: there is no such store, experiment, sweep or run, or the filter is wrong.
    """
    uri, store, experiments = open_store(selection.store)
    chosen = _experiments(selection, experiments, without_password(uri))
    with no_collection(), answers(uri, selection.filter):
        rows = [
            row_of(run, selection.columns) for run in pages(store, chosen, selection.filter or "")
        ]
        sweep = selection.sweep
        members = {} if sweep is None else _members(store, uri, chosen, sweep)
    frame = _selected(pd.DataFrame(rows), selection, members, without_password(uri))
    frame["experiment"] = frame["experiment_id"].map(experiments)
    runs, apart = split(frame, _why)
    if runs.empty:
        raise NoRunsError(_none_finished(selection, without_password(uri), apart["why"]))
    for role, key in selection.columns.items():
        if runs[role].isna().all():
            raise UserError(f"No run has a parameter or metric {key!r} for {role}.")
    name = selection.experiment or str(runs["experiment"].iloc[0])
    return RunTable(runs, apart, uri, name, selection)


def read_adaptations(selection: Selection) -> RunTable | None:
    """The finished adaptations of a selection, as `read_runs` has trainings; None without any.

    Those of a sweep have its own labels, whichever sweep has made them.

    Raises:
        UserError: as `read_runs`; or of a sweep's adaptations none is finished.
    """
    uri, store, experiments = open_store(selection.store)
    chosen = _experiments(selection, experiments, without_password(uri))
    members: dict[str, Members] | None = None
    with no_collection(), answers(uri, selection.filter):
        if selection.sweep is not None:
            members = _members(store, uri, chosen, selection.sweep)
            if not members:
                return None
            chosen = list(members)
        condition = f"tags.`tinyscale.kind` = '{ADAPTATION}'"
        if selection.filter:
            condition += f" AND {selection.filter}"
        rows = [_adaptation(run, selection.columns) for run in pages(store, chosen, condition)]
    if members is not None:
        labels = [members[row["experiment_id"]].labels for row in rows]
        rows = [
            row | {"baseline.label": own["baseline"], "edit.label": own["edit"]}
            for row, of in zip(rows, labels, strict=True)
            if (own := of.get((row["identity"], row["seed"]))) is not None
        ]
    if not rows:
        return None
    runs, apart = split(pd.DataFrame(rows), _why_adapted)
    if runs.empty:
        if members is None:
            return None
        raise UserError(_none_finished(selection, without_password(uri), apart["why"]))
    name = experiments[runs["experiment_id"].iloc[0]]
    return RunTable(runs, apart, uri, name, selection)


def _members(
    store: MlflowClient, uri: str, experiments: list[str], sweep: str
) -> dict[str, Members]:
    """What a sweep wants, by experiment, where that is on record.

    Of several records of one name in an experiment the last counts.
    """
    found = [
        run
        for run in pages(store, experiments, "tags.`tinyscale.kind` = 'sweep'")
        if run.data.tags.get("tinyscale.sweep") == sweep
    ]
    found.sort(key=lambda run: run.info.start_time)
    members = {}
    for experiment, run in {run.info.experiment_id: run for run in found}.items():
        if (path := download(uri, run.info.run_id, WANTED)) is not None:
            members[experiment] = Members.read(path)
    return members


def _adaptation(run: Run, given: Mapping[str, str]) -> dict[str, Any]:
    """A run's row, in which names that could be numbers stay text, and any seed is whole."""
    names = (
        *("baseline.label", "baseline.fingerprint", "baseline_tokenizer"),
        *("edit.label", "edit.digest", "tasks.digest"),
    )
    params = run.data.params
    row = row_of(run, given) | {name: params[name] for name in names if name in params}
    return row | {"seed": int(run.data.tags["tinyscale.seed"])}


def split(
    frame: pd.DataFrame, why: Callable[[Mapping[Any, Any]], str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs that count, of which ``why`` says nothing, and the others with what it says."""
    if frame.empty:
        return frame, frame.assign(why=[])
    frame = frame.assign(why=[why(row) for row in frame.to_dict("records")])
    frame = frame.sort_values("started", kind="stable")
    whole = frame[frame["why"] == ""]
    # Two runs of one training and seed are one measurement made twice, not two.
    known = whole[whole["identity"].notna() & whole["seed"].notna()]
    for _, same in known.groupby(["group", "seed"]):
        *again, last = same.index
        frame.loc[again, "why"] = "repeated later with the same config and seed"
        for one in again:  # its branches are now those of the run that counts
            old, new = frame.loc[[one, last], "trajectory"]
            frame["trajectory"] = frame["trajectory"].replace(old, new)
    apart = frame["why"] != ""
    return (
        frame[~apart].drop(columns="why").reset_index(drop=True),
        frame[apart].reset_index(drop=True),
    )


def _why(row: Mapping[Any, Any]) -> str:
    """Why a run does not count; empty where it does."""
    if end := _end(row):
        return end
    if row["above"]:
        return "other runs are nested below it"
    loss = row["loss"]
    if not isinstance(loss, int | float) or loss != loss:
        return "finished without a validation loss"
    if loss <= 0:
        return "its loss is not positive"
    if loss >= sys.float_info.max:  # an SQL store's word for infinity
        return "finished with an infinite loss"
    return ""


def _why_adapted(row: Mapping[Any, Any]) -> str:
    """The same of an adaptation."""
    gain = row.get("final/gain")
    return _end(row) or ("" if gain == gain and gain is not None else "finished without figures")


def _end(row: Mapping[Any, Any]) -> str:
    """How a run ended that did not end well; else empty."""
    if row["diverged"]:
        return "diverged"
    if row["pruned"]:
        return "pruned"
    if row["status"] == "FAILED":
        return "failed"
    if row["status"] == "KILLED":
        return "stopped before its end"
    if row["status"] != "FINISHED":
        return "unfinished"
    return ""


def _none_finished(selection: Selection, place: str, why: Iterable[str]) -> str:
    """What to tell of a selection without a run that counts, and why each does not."""
    said = "; ".join(f"{n} {reason}" for reason, n in Counter(why).most_common())
    told = f"No finished run is among {selection.describe()} in {place}"
    return told + (f": {said}." if said else ".")


def _selected(
    frame: pd.DataFrame, selection: Selection, members: Mapping[str, Members], place: str
) -> pd.DataFrame:
    """The training runs that were asked for; a sweep's own run and analyses are none.

    `members`: what the sweep that is meant wants, by experiment.
    """
    if frame.empty:
        raise NoRunsError(f"{place} has no runs in {selection.describe()}.")
    parents = frame[frame["run_id"].isin(frame["parent"].dropna())]
    names = dict(zip(parents["run_id"], parents["name"], strict=True))
    frame["sweep"] = frame["sweep"].where(frame["sweep"].notna(), frame["parent"].map(names))
    # Of others a run with runs below it is no training of its own; one with a loss is told of.
    above = frame["run_id"].isin(names) & frame["id"].isna()
    frame = frame.assign(above=above)[~(above & frame["loss"].isna()) & frame["kind"].isna()]
    if selection.sweep is not None:
        sweeps = sorted(frame["sweep"].dropna().unique())
        if selection.sweep not in sweeps and not members:
            hint = _hint(selection.sweep, sweeps, "sweeps")
            raise UserError(f"There is no sweep {selection.sweep!r} in {place}; {hint}")
        frame = frame[_belong(frame, selection.sweep, members)].assign(sweep=selection.sweep)
    if selection.runs:
        texts = [one for text in selection.runs for one in _texts(frame, text)]
        found = [
            _find(frame, text, place).assign(asked=k, asked_for=text)
            for k, text in enumerate(texts)
        ]
        frame = pd.concat(found).drop_duplicates("run_id")
    return frame.reset_index(drop=True)


def _belong(frame: pd.DataFrame, sweep: str, members: Mapping[str, Members]) -> list[bool]:
    """Whether each run is one that the sweep wants; where that is not known, one of its own."""
    wanted = {
        (experiment, identity, number(str(seed)))
        for experiment, of in members.items()
        for identity, seed in of.labels
    }
    closed = {experiment for experiment, of in members.items() if not of.grows}
    columns = (frame[name] for name in ("experiment_id", "identity", "seed", "sweep"))
    return [
        (experiment, identity, seed) in wanted or (own == sweep and experiment not in closed)
        for experiment, identity, seed, own in zip(*columns, strict=True)
    ]


def _texts(frame: pd.DataFrame, text: str) -> list[str]:
    """One name, or several with commas between them; a name may have commas of its own."""
    if _means(frame, text).any():
        return [text]
    return [one for one in text.split(",") if one]


def _find(frame: pd.DataFrame, text: str, place: str) -> pd.DataFrame:
    """The runs that a text means; an error where it means none."""
    means = _means(frame, text)
    if not means.any():
        names = sorted({*frame["name"].dropna(), *frame["group_name"].dropna()})
        raise UserError(f"There is no run {text!r} in {place}; {_hint(text, names, 'runs')}")
    return frame[means]


def _means(frame: pd.DataFrame, text: str) -> pd.Series:
    """Which runs a name, a group, a folder's name or the beginning of an id means."""
    last = frame["folder"].fillna("").str.rsplit("/", n=1).str[-1]
    means = (frame["name"] == text) | (last == text.rstrip("/").rsplit("/", 1)[-1])
    means |= frame["group"].isin(frame.loc[frame["group_name"] == text, "group"])
    means |= (frame["group"] == text) | (frame["id"] == text)
    if len(text) >= 6:
        for name in ("run_id", "id"):
            means |= frame[name].fillna("").str.startswith(text)
    return means


def _experiments(selection: Selection, known: Mapping[str, str], place: str) -> list[str]:
    if selection.experiment is None:
        if not (selection.sweep or selection.runs or selection.filter):
            names = [name for name in known.values() if name != "Default"]
            if len(names) != 1:
                said = _listed(names) or "none"
                raise UserError(f"Name one with --experiment: {place} has {said}.")
        return list(known)
    found = [key for key, name in known.items() if name == selection.experiment]
    if not found:
        hint = _hint(selection.experiment, list(known.values()), "experiments")
        raise UserError(f"There is no experiment {selection.experiment!r} in {place}; {hint}")
    return found


def _hint(text: str, names: Sequence[str], what: str) -> str:
    close = nearest(text, names)
    return f"did you mean {close!r}?" if close else f"its {what} are {_listed(names) or 'none'}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (" and others" if len(names) > 12 else "")
