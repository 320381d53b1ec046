"""The tables and figures that a run leaves beside its log."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.tracking.folder import Row, RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_curves(rows: Sequence[Row], path: Path) -> None:
    """All metrics as one table, a row a step; a cell is empty where a step has no such metric."""
    steps: dict[int, dict[str, float]] = {}
    keys: dict[str, None] = {}
    for row in rows:
        steps.setdefault(row.step, {}).update(row.metrics)
        keys.update(dict.fromkeys(row.metrics))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["step", *keys], restval="")
        writer.writeheader()
        for step in sorted(steps):
            writer.writerow({"step": step, **{k: repr(v) for k, v in steps[step].items()}})


def write_figures(rows: Sequence[Row], folder: Path, record: RunRecord) -> None:
    """`loss.png` (with the corpus's floor where it is known) and `throughput.png`."""
    from matplotlib.ticker import EngFormatter

    folder.mkdir(exist_ok=True)
    title = f"{record.name}, seed {record.seed}"
    axes = _axes(height=4.2, title=title, ylabel="loss (nats per token)")
    _curve(axes, rows, "train/loss", color="0.6", linewidth=1)
    _curve(axes, rows, "val/loss", color="tab:blue", marker="o", markersize=3)
    floor = record.params.get("floor_nats_per_token")
    if floor is not None:
        axes.axhline(float(floor), color="tab:green", linestyle="--", label="entropy floor")
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    _save(axes, folder / "loss.png")

    axes = _axes(height=3, title=title, ylabel="tokens per second")
    _curve(axes, rows, "tokens_per_second", color="tab:orange")
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    _save(axes, folder / "throughput.png")


def _axes(*, height: float, title: str, ylabel: str) -> "Axes":
    """Against training tokens; 7 inches wide."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    # Margins are given: to find them everything would be drawn twice, at each run's end.
    margins = {"left": 0.11, "right": 0.97, "bottom": 0.5 / height, "top": 1 - 0.35 / height}
    axes = Figure(figsize=(7, height)).subplots(gridspec_kw=margins)
    axes.set(title=title, xlabel="training tokens", ylabel=ylabel)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.3)
    return axes


def _save(axes: "Axes", path: Path) -> None:
    axes.set_ylim(bottom=0)
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.savefig(path, dpi=120)


def _curve(axes: "Axes", rows: Sequence[Row], key: str, **style: object) -> None:
    tokens = {row.step: row.metrics["tokens"] for row in rows if "tokens" in row.metrics}
    points = [
        (tokens[row.step], row.metrics[key])
        for row in rows
        if key in row.metrics and row.step in tokens
    ]
    if points:
        x, y = zip(*sorted(points), strict=True)
        axes.plot(x, y, label=key, **style)  # type: ignore[arg-type]
