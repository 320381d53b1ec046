"""The unit that losses are compared in: nats per token, or bits per byte across tokenizers."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from scaling.errors import UserError

CHOICES = ("auto", "nats", "bpb")


@dataclass(frozen=True)
class Unit:
    """What a loss is measured in.

    Attributes:
        key: nats or bpb.
        name: in words.
        label: of an axis of a figure.
        why: the reason it was chosen.
        metric: the validation metric's key in a run's curves.
    """

    key: str
    name: str
    label: str
    why: str
    metric: str


def choose(runs: pd.DataFrame, asked: str = "auto") -> Unit:
    """The unit for these runs: bits per byte where their tokenizers differ.

    Raises:
        UserError: nats are asked for across tokenizers, or bits per byte that runs do not have.
    """
    named = [c for c in map(str, runs) if c.startswith("data.tokenizer.")] + ["vocab_size"]
    differ = any(runs[c].nunique(dropna=False) > 1 for c in named if c in runs)
    if asked == "nats" and differ:
        raise UserError(
            "The runs have different tokenizers, and a nat per token of one is not one of another:"
            " compare them in bits per byte (--unit bpb)."
        )
    if asked == "bpb" or (asked == "auto" and differ):
        if runs["bpb"].isna().any():
            lacking = runs.loc[runs["bpb"].isna(), "name"].iloc[0]
            raise UserError(
                f"Bits per byte are needed, and run {lacking} has logged none: select runs of one"
                " tokenizer."
            )
        why = "the tokenizers differ" if differ else "as asked for"
        return Unit(
            "bpb", "bits per byte", "validation loss (bits per byte)", f"since {why}", "val/bpb"
        )
    why = "all runs have one tokenizer" if asked == "auto" else "as asked for"
    return Unit(
        "nats", "nats per token", "validation loss (nats per token)", f"since {why}", "val/loss"
    )


def in_unit(runs: pd.DataFrame, unit: Unit) -> pd.DataFrame:
    """The table with losses and the floor in this unit, under the same names."""
    if unit.key == "nats":
        return runs
    names = {"loss": "bpb", "best_loss": "best_bpb", "test_loss": "test_bpb", "floor": "floor_bpb"}
    missing = pd.Series(float("nan"), index=runs.index)
    return runs.assign(**{name: runs.get(other, missing) for name, other in names.items()})


def floor_of(runs: pd.DataFrame) -> float | None:
    """The irreducible loss, where it is known and one for all the runs."""
    if "floor" not in runs or runs["floor"].isna().any() or runs.empty:
        return None
    floor = runs["floor"].astype(float)
    return float(floor.iloc[0]) if floor.max() - floor.min() <= 1e-6 * floor.max() else None
