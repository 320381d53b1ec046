"""The report of a comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.compare import Comparison, Request
from analysis.design import named
from analysis.figures.curves import (
    curves_figure,
    equal_figure,
    losses_figure,
    pareto_figure,
)
from analysis.figures.style import Saved
from analysis.pareto import COSTS
from analysis.report.document import (
    Block,
    Bullets,
    Code,
    Document,
    Picture,
    Section,
    Table,
    Text,
    figure,
)
from analysis.report.runs import apart_table
from analysis.report.writing import prepare

_CURVES = (
    ("train/loss", "training loss (nats per token)", "train-loss"),
    ("grad_norm", "gradient norm", "grad-norm"),
    ("weight_norm", "norm of all weights", "weight-norm"),
    ("tokens_per_second", "tokens a second", "throughput"),
)
_MOST = 300  # rows of the table of runs


def document(found: Comparison, request: Request) -> Document:
    """The report; its figures are drawn into the folder on the way."""
    folder = prepare(request.out)
    groups, lines = found.groups, found.curves
    shown: list[Block] = []
    for key, label, name in ((found.unit.metric, found.unit.label, "val-loss"), *_CURVES):
        floor = found.floor if key == found.unit.metric else None
        saved = curves_figure(groups, lines, key, label, folder, f"curves-{name}", floor)
        if saved is not None:
            shown.append(Picture(saved))
    sections = [
        Section("In short", [Bullets(in_short(found))]),
        Section(
            "Final losses",
            [
                Picture(losses_figure(found.summary, _counted(found), found.unit, folder)),
                summary_table(found),
            ],
        ),
        Section("Curves", shown or [Text("No run has recorded curves.")]),
        Section("Tests", _tests(found)),
        Section(
            "At equal cost",
            [Picture(_equal_picture(found, folder)), _equals(found)],
        ),
        Section(
            "Fronts",
            [Picture(pareto_figure(found.configurations, found.unit, folder)), _fronts(found)],
        ),
        Section("Every run, before and after", [_runs(found)]),
    ]
    if len(found.table.apart):
        sections.append(Section("Runs apart", [apart_table(found.table.apart)]))
    again = request.command or "tinyscale compare"
    sections.append(Section("To make this again", [Code(again)]))
    about = f"{found.table.selection.describe()}, from {found.table.store}"
    return Document(f"Comparison of {found.table.experiment}", about, sections)


def summary_table(found: Comparison) -> Table:
    """One row a group, the best first."""
    rows = []
    for row in found.summary.sort_values("loss").to_dict("records"):
        rows.append(
            [
                str(row["group"]),
                str(row["runs"]),
                str(row["seeds"]),
                figure(row["N"]),
                figure(row["D"]),
                figure(row["C"], 3),
                f"{row['loss']:.4f}",
                figure(row["loss_sd"], 2),
                figure(row["before"]),
                figure(row["test_loss"]),
                figure(row["bpb"]),
                figure(row["tokens_per_second"], 3),
                figure(row["inference_bytes"] / 1e6, 3),
            ]
        )
    head = ["group", "runs", "seeds", "parameters", "tokens", "FLOPs", "loss", "sd", "before",
            "test loss", "bpb", "tokens/s", "inference MB"]  # fmt: skip
    caption = (
        f"Means over runs, in {found.unit.name}; sd is between seeds of one configuration; before"
        " is the validation loss before training."
    )
    return Table(head, rows, caption)


def in_short(found: Comparison) -> list[str]:
    """What the comparison comes to, and what is to be known of it, a sentence each."""
    best = found.summary.sort_values("loss").iloc[0]
    groups = ", ".join(found.fields) if found.fields != ("group",) else "configuration"
    lines = [
        f"{len(found.runs)} runs in {len(found.groups)} groups by {groups}. {found.unit.losses}",
        f"The lowest mean loss is {best['loss']:.4f}, of {best['group']}."
        if found.alike
        else "The groups hold different sizes or budgets, which their means mix: read the tests,"
        " and the losses at equal cost.",
        *[test.sentence for test in found.tests[:6]],
    ]
    untuned = len(found.runs) - len(_counted(found))
    if untuned:
        lines.insert(
            1,
            f"Each group counts at its best {', '.join(found.tuned)} of those tried, which leaves"
            f" {untuned} runs out of means and tests; the choice, by these same losses, favours a"
            " group that tried more.",
        )
    apart = found.table.apart
    if len(apart):
        said = ", ".join(f"{n} {why}" for why, n in apart["why"].value_counts().items())
        lines.append(f"Not counted, and listed below: {said}.")
    for column in ("N", "C"):
        values = found.summary[column]
        if values.notna().all() and values.max() > 1.02 * values.min():
            ratio = values.max() / values.min()
            lines.append(
                f"The groups' mean {named(column)} differ by a factor {ratio:.3g}: see them at"
                " equal cost below."
            )
    if why := found.no_speeds:
        lines.append(f"Speeds and times are of {why} and do not compare.")
    return lines


def _tests(found: Comparison) -> list[Block]:
    matched = ", ".join(named(one) for one in found.matched)
    rows = [
        [
            test.group,
            test.kind,
            str(test.pairs),
            f"{test.difference:+.4f}" if test.pairs else "–",
            "–" if test.ci is None else f"[{test.ci[0]:+.4f}, {test.ci[1]:+.4f}]",
            figure(test.p_value, 2),
            figure(test.adjusted, 2),
            figure(test.noise, 2),
            figure(test.seeds_needed),
            test.besides.removeprefix("they ") or "–",
        ]
        for test in found.tests
    ]
    head = ["group", "test", "pairs", "difference", "95 % interval", "p", "p (Holm)", "noise",
            "seeds needed", "besides"]  # fmt: skip
    return [
        Text(
            f"Each group against {found.reference}, by t-tests of final losses, paired by"
            f" {matched} where most seeds match. Holm's p-values keep the chance of any false"
            " alarm at 5 %. Seeds needed: what would show a true difference of this size with"
            " 80 % power among as many comparisons, given this noise."
        ),
        Table(head, rows, left=2),
    ]


def _equals(found: Comparison) -> Table:
    rows = [
        [one.group, named(one.cost), one.how, figure(one.at, 3),
         "–" if one.difference is None else f"{one.difference:+.4f}"]
        for one in found.equals
    ]  # fmt: skip
    head = ["group", "at equal", "how", "at", "difference"]
    return Table(head, rows, f"Loss less that of {found.reference} at the same cost.", left=3)


def _fronts(found: Comparison) -> Table:
    fronts = [f"front_{cost.column}" for cost in COSTS]
    table = found.configurations
    rows = [
        [str(row["group"]), str(row["name"]), f"{row['loss']:.4f}"]
        + ["yes" if row[column] else "–" for column in fronts]
        for row in table[table[fronts].any(axis=1)].sort_values("loss").to_dict("records")
    ]
    head = ["group", "configuration", "loss", *[cost.label for cost in COSTS]]
    return Table(head, rows, "Which configurations are on which front.", left=2)


def _equal_picture(found: Comparison, folder: Path) -> Saved:
    return equal_figure(found.groups, found.sizes, found.compute, found.unit, folder)


def _counted(found: Comparison) -> pd.DataFrame:
    """The runs that means and tests are of."""
    return pd.concat([runs for _, runs in found.best])


def _runs(found: Comparison) -> Table:
    scale = 1.0 if found.unit.key == "nats" else float(np.log(2))
    rows = []
    for row in found.runs.head(_MOST).to_dict("records"):
        after = row["loss"]
        # exp of nats a token; of bits per byte, a byte's perplexity.
        start = row["before"]
        rows.append(
            [
                str(row["label"]),
                str(row["name"]),
                figure(row["seed"]),
                figure(start),
                f"{after:.4f}",
                figure(float(np.exp(min(start * scale, 700))) if start == start else None),
                figure(float(np.exp(min(after * scale, 700)))),
                figure(pd.to_numeric(row["test_loss"], errors="coerce")),
                str(row["run_id"])[:8],
            ]
        )
    per = "perplexity" if found.unit.key == "nats" else "perplexity per byte"
    head = ["group", "run", "seed", "loss before", "after", f"{per} before", "after",
            "test loss", "id"]  # fmt: skip
    caption = f"The first {_MOST}; runs.csv has all." if len(found.runs) > _MOST else ""
    return Table(head, rows, caption, left=2)
