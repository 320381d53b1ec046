"""The pictures of `transfer`, each with its numbers beside it."""

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.inspection.transfer import PARAMETRIZATIONS, Coordinate, RatePoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_table(rows: Sequence[Coordinate] | Sequence[RatePoint], path: Path) -> None:
    """The points as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def draw_coordinates(rows: Sequence[Coordinate], path: Path, title: str) -> None:
    """Sizes against width after the last step, a line a place, a panel a parametrization."""
    from matplotlib.figure import Figure

    last = max(row.step for row in rows)
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, parametrization in zip(panels, PARAMETRIZATIONS, strict=True):
        own = [r for r in rows if r.parametrization == parametrization and r.step == last]
        for place in dict.fromkeys(row.place for row in own):
            points = sorted((r.width, r.size) for r in own if r.place == place)
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=place)
        _finish(axes, parametrization, "width", f"mean |activation| after {last} steps")
        axes.set_yscale("log")
    panels[-1].legend(fontsize=6, ncols=2)
    figure.suptitle(title)
    figure.savefig(path, dpi=130)


def draw_rates(rows: Sequence[RatePoint], path: Path, title: str) -> None:
    """Loss against learning rate, a line a width, a panel a parametrization."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, parametrization in zip(panels, PARAMETRIZATIONS, strict=True):
        own = [r for r in rows if r.parametrization == parametrization]
        for width in dict.fromkeys(row.width for row in own):
            points = sorted((r.lr, r.loss) for r in own if r.width == width)
            (line,) = axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=width)
            lr, loss = min(points, key=lambda point: point[1])
            axes.plot([lr], [loss], marker="*", markersize=12, color=line.get_color())
        _finish(axes, parametrization, "peak learning rate", "validation loss (nats per token)")
        axes.legend(title="width")
    figure.suptitle(title)
    figure.savefig(path, dpi=130)


def _finish(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.set_xscale("log", base=2)
    axes.grid(alpha=0.3)
