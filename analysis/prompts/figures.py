"""The pictures of a prompt eval; their numbers are in the tables beside them."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from analysis.prompts.tables import loss_column, rank_correlation

FEW = 5  # runs that can stand side by side as bars
_AXES = {
    "val_loss": "validation loss (nats per token)",
    "val_bpb": "validation loss (bits per byte)",
    "parameters": "parameters",
    "tokens": "training tokens",
}
_MEASURES = {"accuracy": "accuracy", "p_right": "mean probability of the right choice"}


def draw(
    summary: pd.DataFrame, categories: pd.DataFrame, difficulties: pd.DataFrame, folder: Path
) -> list[Path]:
    """Write `categories.png`, `difficulties.png` and `score.png`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [
        _breakdown(categories, "category", folder / "categories.png"),
        _breakdown(difficulties, "difficulty", folder / "difficulties.png"),
    ]
    (folder / "score.png").unlink(missing_ok=True)  # of an eval of several, for which there was it
    if len(summary) > 1:
        drawn.append(_against(summary, folder / "score.png"))
    return drawn


def _breakdown(table: pd.DataFrame, by: str, path: Path) -> Path:
    runs, groups = list(table["run"].unique()), list(table[by].unique())
    if len(runs) > FEW:
        return _heat(table, by, runs, groups, path)
    figure = Figure(
        figsize=(7, 0.6 + 0.16 * len(groups) * (len(runs) + 1.2)), layout="constrained"
    )
    axes = figure.subplots()
    height = 0.8 / len(runs)
    for i, run in enumerate(runs):
        own = table[table["run"] == run].set_index(by).loc[groups]
        y = np.arange(len(groups)) + (i - (len(runs) - 1) / 2) * height
        low = own["accuracy"] - own["accuracy_low"]
        high = own["accuracy_high"] - own["accuracy"]
        error = np.clip(np.array([low, high]), 0, None)
        axes.barh(y, own["accuracy"], height * 0.9, xerr=error, label=run,
                  error_kw={"linewidth": 0.8, "ecolor": "0.4"})  # fmt: skip
    chance = table.groupby(by, sort=False)["chance"].first().loc[groups]
    label: str | None = "chance"  # said of the first that is drawn
    for j, level in enumerate(chance):
        if level > 0:
            axes.plot([level, level], [j - 0.42, j + 0.42], color="black", linestyle=":",
                      label=label)  # fmt: skip
            label = None
    axes.set_yticks(range(len(groups)), [str(group) for group in groups])
    axes.invert_yaxis()
    axes.set(xlabel="accuracy, with 95% intervals over items", xlim=(0, 1))
    if by == "difficulty":
        axes.set_ylabel("difficulty")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2,
                  fontsize="small", frameon=False)  # fmt: skip
    figure.savefig(path, dpi=130)
    return path


def _heat(table: pd.DataFrame, by: str, runs: list[str], groups: list[object], path: Path) -> Path:
    square = table.pivot(index="run", columns=by, values="accuracy")
    grid = square.reindex(index=runs, columns=groups).to_numpy(float)
    figure = Figure(
        figsize=(2.6 + 0.78 * len(groups), 1.3 + 0.27 * len(runs)), layout="constrained"
    )
    axes = figure.subplots()
    image = axes.imshow(grid, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7,
                  color="white" if value < 0.6 else "black")  # fmt: skip
    axes.set_xticks(range(len(groups)), [str(group) for group in groups], rotation=35, ha="right")
    axes.set_yticks(range(len(runs)), runs, fontsize=8)
    axes.set_title(f"accuracy by {by}", fontsize="medium")
    figure.colorbar(image, ax=axes, fraction=0.04)
    figure.savefig(path, dpi=130)
    return path


def _against(summary: pd.DataFrame, path: Path) -> Path:
    """Accuracy and probability against loss (where losses compare), parameters and tokens."""
    measures = [m for m in _MEASURES if summary[m].notna().all()]
    loss = loss_column(summary)
    known = (*([loss] if loss else []), "parameters", "tokens")
    varied = [axis for axis in known if summary[axis].nunique() > 1] or ["parameters"]
    size = (3.4 * len(varied) + 0.4, 2.9 * len(measures) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(measures), len(varied), squeeze=False, sharey="row")
    for row, measure in zip(grid, measures, strict=True):
        for axes, axis in zip(row, varied, strict=True):
            _scatter(axes, summary.dropna(subset=[axis]), axis, measure)
        row[0].set_ylabel(_MEASURES[measure])
    figure.savefig(path, dpi=130)
    return path


def _scatter(axes: Axes, table: pd.DataFrame, axis: str, measure: str) -> None:
    axes.set_xlabel(_AXES[axis])
    axes.grid(alpha=0.3)
    if table.empty:
        axes.text(0.5, 0.5, "not known", ha="center", transform=axes.transAxes)
        return
    x, y = table[axis].astype(float), table[measure].astype(float)
    error = np.clip(np.array([y - table[f"{measure}_low"], table[f"{measure}_high"] - y]), 0, None)
    axes.errorbar(x, y, error, fmt="o", markersize=5, linewidth=0.9, color="tab:blue")
    if measure == "accuracy":
        axes.axhline(table["chance"].iloc[0], color="0.5", linestyle=":", label="chance")
        axes.legend(fontsize="small", frameon=False, loc="best")
    if axis in ("parameters", "tokens") and x.nunique() > 1:
        if x.min() == 0:  # a model that has learned nothing yet, which has no place among logs
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        else:
            _logarithmic(axes)
    rank = rank_correlation(x.tolist(), y.tolist())
    if rank is not None:
        axes.set_title(f"rank correlation {rank:+.2f}", fontsize="medium")


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
