"""Which groups no other beats in both loss and cost."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Cost:
    """Something that one would rather have less of, or more.

    Attributes:
        column: of the summary table.
        label: of its axis.
        more: whether more of it is better.
    """

    column: str
    label: str
    more: bool = False


COSTS = (
    Cost("N", "parameters"),
    Cost("C", "training FLOPs"),
    Cost("inference_bytes", "inference memory (bytes)"),
    Cost("tokens_per_second", "training tokens a second", more=True),
)


def front(table: pd.DataFrame, cost: Cost) -> pd.Series:
    """Which rows no other row undercuts in mean ``loss`` at no more cost: [rows] of bool.

    Rows without the cost are on no front; of equal rows all are.
    """
    price = -table[cost.column] if cost.more else table[cost.column]
    known = price.notna()
    on = pd.Series(False, index=table.index)
    for k in table.index[known]:
        cheaper = known & (price <= price[k]) & (table["loss"] <= table["loss"][k])
        better = cheaper & ((price < price[k]) | (table["loss"] < table["loss"][k]))
        on[k] = not better.any()
    return on
