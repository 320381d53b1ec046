"""The unit that losses are compared in: nats per token, or bits per byte across tokenizers.

Losses of a column that the user named are in its own unit, which is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from scaling.config.data import PLACES
from scaling.data.tokenizer import MOST_UNKNOWN
from scaling.errors import UserError


@dataclass(frozen=True)
class Unit:
    """What a loss is measured in.

    Attributes:
        key: nats, bpb or own.
        name: in words.
        label: of an axis of a figure.
        why: the reason it was chosen.
        metric: the validation metric's key in a run's curves; of its own unit the loss's column.
        text: what they are losses of.
    """

    key: str
    name: str
    label: str
    why: str
    metric: str
    text: str = "the validation split"

    @property
    def is_own(self) -> bool:
        """Whether it is that of a column that the user named."""
        return self.key == "own"

    @property
    def losses(self) -> str:
        """What the losses are, in a sentence."""
        if self.is_own:
            return f"Losses are each run's {self.metric}, {self.why}."
        return f"Losses are final ones on {self.text}, in {self.name}, {self.why}."


BITS = Unit("bpb", "bits per byte", "validation loss (bits per byte)", "", "val/bpb")


def choose(runs: pd.DataFrame, asked: str = "auto", column: str | None = None) -> Unit:
    """The unit for these runs: that of the column named for their losses, if any was; else bits
    per byte where their tokenizers differ.

    Raises:
        UserError: nats are asked for across tokenizers, bits per byte that runs do not have, or
            any unit of a column that was named.
    """
    differ = tokenizers_differ(runs)
    if column is not None:
        if asked != "auto":
            raise UserError(
                f"--unit {asked} does not go with --loss {column}, whose unit is what its column"
                " has: leave one of them out."
            )
        why = "as asked for"
        if differ:
            why += "; the tokenizers differ, across which no loss per token can be compared"
        return Unit("own", f"the unit of {column}", column, why, column)
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
        unknown = runs.get("unknown_share", pd.Series(0.0, index=runs.index)).fillna(0.0)
        if unknown.max() > MOST_UNKNOWN:
            name = list(runs["name"])[int(unknown.to_numpy().argmax())]
            raise UserError(
                f"Bits per byte are needed, and those of run {name} compare with no others:"
                f" {unknown.max():.1%} of its validation tokens stand for characters that its"
                " tokenizer does not know. Leave it out."
            )
        why = "since the tokenizers differ" if differ else "as asked for"
        return replace(BITS, why=why, text=_text(runs))
    kinds = runs.get("data.tokenizer.kind", pd.Series(index=runs.index, dtype=object))
    why = "since all runs have one tokenizer" if asked == "auto" else "as asked for"
    if kinds.isna().any():
        why = "as is assumed of runs that do not say what their tokens are"
    return Unit(
        "nats",
        "nats per token",
        "validation loss (nats per token)",
        why,
        "val/loss",
        _text(runs),
    )


def tokenizers_differ(runs: pd.DataFrame) -> bool:
    """Whether the runs' tokens are of several tokenizers.

    One that is learned from the corpus is another one with every corpus (all of it: a fraction is
    taken later).
    """
    names = [c for c in map(str, runs) if c.startswith("data.tokenizer.")] + ["vocab_size"]
    if "data.tokenizer.kind" in runs and runs["data.tokenizer.kind"].isin(["bpe", "char"]).any():
        names += texts(runs)
    return any(runs[c].nunique(dropna=False) > 1 for c in names if c in runs)


def texts(runs: pd.DataFrame) -> list[str]:
    """The fields that decide which documents there are, and which of them validate."""
    rule = ("data.validation_share", "data.test_share", "data.val_is_test")
    fields = [c for c in map(str, runs) if c.startswith("data.corpus.")]
    content = "data.corpus.content"
    if content in runs and runs[content].notna().all():  # wherever the files are
        fields = [c for c in fields if c.removeprefix("data.corpus.") not in PLACES]
    return fields + [c for c in rule if c in runs]


def _text(runs: pd.DataFrame) -> str:
    """What the runs were validated on."""
    tokens = set(runs.get("evaluation.tokens", pd.Series("all", index=runs.index)).fillna("all"))
    if tokens == {"all"}:
        return "the validation split"
    if len(tokens) == 1:
        text = f"the first {int(tokens.pop()):,} tokens of the validation split"
        apart = ", which are other texts with each tokenizer"
        return text + apart if tokenizers_differ(runs) else text
    return "the validation split, of which some runs were given a prefix (evaluation.tokens)"


def judged_apart(runs: pd.DataFrame) -> bool:
    """Whether the runs were validated on so many tokens of several tokenizers: other texts."""
    limits = runs.get("evaluation.tokens", pd.Series("all", index=runs.index)).fillna("all")
    return bool((limits != "all").any()) and tokenizers_differ(runs)


def in_unit(runs: pd.DataFrame, unit: Unit) -> pd.DataFrame:
    """The table with losses and the floor in this unit, under the same names.

    Beside losses of a unit of their own the others and the floor have no place: they are missing.
    """
    if unit.key == "nats":
        return runs
    names = {"best_loss": "best_bpb", "test_loss": "test_bpb", "floor": "floor_bpb"}
    if unit.is_own:
        names = dict.fromkeys(names, "")
    else:
        names["loss"] = "bpb"
    missing = pd.Series(float("nan"), index=runs.index)
    return runs.assign(**{name: runs.get(other, missing) for name, other in names.items()})


def floor_of(runs: pd.DataFrame) -> float | None:
    """The irreducible loss, where it is known and one for all the runs."""
    if "floor" not in runs or runs["floor"].isna().any() or runs.empty:
        return None
    floor = runs["floor"].astype(float)
    return float(floor.iloc[0]) if floor.max() - floor.min() <= 1e-6 * floor.max() else None
