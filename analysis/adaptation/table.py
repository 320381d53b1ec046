"""Adaptations of a store as tables: one row each, and one a point over its seeds.

A point is one identity over its seeds. Where a selection holds several that have one name in
common, what they differ in becomes part of it, so that every table and test keeps them apart.

Losses are nats per token of held-out text: `loss` is that of the documents' continuations after
adaptation (mean over documents), `gain` what it has fallen by, `forgetting` what the loss on the
baseline's own validation text has risen by.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from analysis.paired import spread
from analysis.pareto import Cost, front
from analysis.runs import RunTable, Selection, read_adaptations

FORGETTING = Cost("forgetting", "forgetting (nats per token)")
PLACE = ["baseline", "method", "edit", "steps"]  # what a point is, over its seeds
FIGURES = (
    *("gain", "forgetting", "reward", "loss", "accuracy", "p_right"),
    *("tokens_tried", "wall_seconds", "writing_seconds"),
)
VERBATIM = "verbatim"
# Nats per token that one computation may differ by in programs of other sizes: on a CPU up to 2e-6
# within 30 steps, in bf16 as in fp32; on a card it was not measured, and an interval too few is
# better than one of rounding.
ROUNDING = 1e-2
_NAMES = ("edit.label", "edit.policy", "tasks.file")  # of what has a hash beside
_COMMON = ("tokens_per_step", "price", "forgetting_tokens", "runtime.precision")


def adaptations(selection: Selection) -> RunTable | None:
    """The finished adaptations of a selection; None where it has none."""
    found = read_adaptations(selection)
    if found is None:
        return None
    raw = found.runs
    names = _told_apart(raw)
    runs = pd.DataFrame(
        {
            "run_id": raw["run_id"],
            "name": raw["name"],
            "sweep": raw["sweep"],
            "identity": raw["identity"],
            "fingerprint": raw["baseline.fingerprint"],
            "baseline": names["baseline"],
            "tokenizer": raw.get("baseline_tokenizer", pd.Series("", index=raw.index)).fillna(""),
            "parameters": raw["N"].astype(float),
            "edit": names["edit"],
            "method": names["method"],
            "rank": pd.to_numeric(raw["method.rank"]) if "method.rank" in raw else float("nan"),
            "steps": raw["inner_steps"].astype(int),
            "seed": raw["seed"].astype(int),
            "tokens": raw["final/tokens"].astype(float),
            "loss": raw["final/continuation_after"],
            "before": raw["final/continuation_before"],
            "general_before": raw["final/general_before"],
            **{
                name: raw[f"final/{name}"]
                for name in ("gain", "forgetting", "reward", "tokens_tried", "wall_seconds",
                             "writing_seconds")
            },
        }
    )  # fmt: skip
    for name in ("accuracy", "p_right"):
        for when in ("before", "after"):
            key = f"final/{name}_{when}"
            runs[name if when == "after" else f"{name}_before"] = (
                raw[key] if key in raw else float("nan")
            )
    order = ["parameters", "baseline", "rank", "edit", "steps", "seed"]  # without a rank: last
    runs = runs.sort_values(order, kind="stable").reset_index(drop=True)
    first = runs["edit"] != VERBATIM  # what self-edits are held against comes first
    runs = runs.assign(first=first).sort_values(["parameters", "baseline", "rank", "first"],
                                                kind="stable")  # fmt: skip
    runs = runs.drop(columns="first").reset_index(drop=True)
    return replace(found, runs=runs)


def _told_apart(raw: pd.DataFrame) -> pd.DataFrame:
    """What baseline, method and edit are called, with the fields in which runs of one name differ.

    A baseline or an edit that has had several names has the last. Passages, and what figures are
    of, go with the baseline: only what agrees in these compares.
    """
    if "tasks.practice" in raw:  # without rounds it decides nothing, and a file's tasks have none
        practice = raw["tasks.practice"].where(raw["edit.rounds"] > 0)
        raw = raw.assign(**{"tasks.practice": practice})
    columns = [str(name) for name in raw]
    of_edit = [name for name in columns if name.startswith("edit.") and name not in _NAMES]
    of_edit += [name for name in columns if name == "tasks.practice"]  # rounds train on these
    fields = {
        "baseline": ["baseline.fingerprint", *(name for name in _COMMON if name in columns)],
        "method": [
            name for name in columns if name.startswith("method.") and name != "method.rank"
        ],
        "edit": of_edit,
    }
    fields["baseline"] += [
        name for name in columns if name.startswith("tasks.") and name not in (*_NAMES, *of_edit)
    ]
    names = {
        "baseline": raw.groupby("baseline.fingerprint")["baseline.label"].transform("last"),
        "method": _methods(raw),
        "edit": raw.groupby(of_edit, dropna=False)["edit.label"].transform("last"),
    }
    return pd.DataFrame(
        {kind: _with_fields(names[kind], raw.loc[:, fields[kind]]) for kind in names}
    )


def _with_fields(names: pd.Series, fields: pd.DataFrame) -> pd.Series:
    """Each name with the values of those fields that differ among its rows."""
    told = names.copy()
    for _, own in fields.groupby(names):
        differ = own.loc[:, own.nunique(dropna=False) > 1]
        for row in differ.index:
            values = differ.loc[row].dropna()
            told[row] = ", ".join([names[row], *map(_field, values.index, values)])
    return told


def _field(name: str, value: object) -> str:
    """`lr 0.003`, `tasks.seed 1`; of a hash its beginning."""
    if name == "baseline.fingerprint":
        return str(value)[:6]
    short = name.removeprefix("method.").removeprefix("edit.")
    return f"{short} {value:g}" if isinstance(value, float) else f"{short} {value}"


def _methods(raw: pd.DataFrame) -> pd.Series:
    ranks = raw["method.rank"] if "method.rank" in raw else pd.Series(None, index=raw.index)
    return pd.Series(
        [
            f"rank {int(rank)}" if kind == "lora" else "full"
            for kind, rank in zip(raw["method.kind"], ranks, strict=True)
        ],
        index=raw.index,
    )


def seedless(runs: pd.DataFrame) -> bool:
    """Whether a seed decides nothing of these runs: then they say nothing of chance.

    So it is with full fine-tuning on verbatim text, where that is one piece; of several the seed
    draws the order, and losses at one number of tokens differ by more than rounding.
    """
    undrawn = runs["rank"].isna() & runs["edit"].str.startswith(VERBATIM)
    each = runs.groupby("tokens")["loss"]
    return bool(undrawn.all() and (each.max() - each.min()).max() < ROUNDING)


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a point: means over its seeds, 95 % intervals of gain and forgetting where seeds
    differ, and whether it is on its baseline's front of gain against forgetting."""
    rows = []
    for place, own in runs.groupby(PLACE, sort=False):
        row: dict[str, object] = dict(zip(PLACE, place, strict=True))
        row |= {name: own[name].iloc[0] for name in ("parameters", "rank", "tokens")}
        row["seeds"] = own["seed"].nunique()
        for name in FIGURES:
            row[name] = own[name].mean()
        chance = None if seedless(own) else own
        for name in ("gain", "forgetting"):
            ends = None if chance is None else spread(chance[name].tolist())
            row[f"{name}_low"], row[f"{name}_high"] = ends or (float("nan"), float("nan"))
        rows.append(row)
    table = pd.DataFrame(rows)
    table["on_front"] = False
    for _, own in table.groupby("baseline"):
        better = own.assign(loss=-own["gain"])  # of equal passages, more gain is less loss
        table.loc[own.index, "on_front"] = front(better, FORGETTING)
    return table
