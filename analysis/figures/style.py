"""How all figures look, and how they are saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# Okabe and Ito's colours, which the colour-blind tell apart; yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F7F")
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
_MARKERS = "os^D"
FLOOR = "#009E73"
QUIET = "0.62"
WIDTH = 5.6  # inches: at a phone's width the letters are still as large as the text's

matplotlib.rcParams["text.parse_math"] = False  # a name may hold dollars, and none means a formula

_STYLE: Any = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "svg.fonttype": "path",  # so that it looks the same wherever it is read
    "svg.hashsalt": "tinyscale",  # so that the same figure is the same file
}


@dataclass(frozen=True)
class Saved:
    """A figure on disk.

    Attributes:
        name: of its files in the folder, without ending.
        caption: what is to be seen, a sentence or two.
        alt: the same for those who cannot see it.
        wide: whether it wants a wide page.
    """

    name: str
    caption: str
    alt: str
    wide: bool = False


@dataclass(frozen=True)
class Look:
    """How one of several lines is drawn."""

    colour: str
    dash: Any
    marker: str


def looks(count: int) -> list[Look]:
    """Looks that are told apart, up to 32: the colours, then they again with other dashes."""
    again = [k // len(COLOURS) % len(_DASHES) for k in range(count)]
    return [Look(COLOURS[k % len(COLOURS)], _DASHES[n], _MARKERS[n]) for k, n in enumerate(again)]


def panels(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = WIDTH,
    height: float = 3.7,
    ratios: Sequence[float] | None = None,
    share_x: bool = False,
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(
            rows,
            columns,
            squeeze=False,
            sharex=share_x,
            gridspec_kw={"height_ratios": ratios} if ratios else None,
        )
    return figure, list(axes.flat)


def save(
    figure: Figure,
    data: pd.DataFrame,
    folder: Path,
    name: str,
    caption: str,
    *,
    alt: str | None = None,
    wide: bool = False,
) -> Saved:
    """Writes ``name.png``, ``name.svg`` and ``name.csv`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(_STYLE):
        figure.savefig(folder / f"{name}.png", dpi=150, facecolor="white")
        figure.set_layout_engine("none")  # the margins are found, which costs as much as drawing
        figure.savefig(
            folder / f"{name}.svg", facecolor="white", metadata={"Date": None, "Creator": None}
        )
    data.to_csv(folder / f"{name}.csv", index=False)
    return Saved(name, caption, alt or caption, wide)


def named_line(name: str) -> str:
    """A line's name for the legend, which leaves out names that begin with an underscore."""
    return f" {name}" if name.startswith("_") else name


def legend(axes: Axes, **options: Any) -> None:
    """A legend where there is something to say."""
    if axes.get_legend_handles_labels()[0]:
        with matplotlib.rc_context(_STYLE):
            axes.legend(**options)


def legend_of(figure: Figure, axes: Axes, **options: Any) -> None:
    """The legend of all panels: in this one where it is short, else below the figure."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) <= 6:
        legend(axes, **options)
        return
    letters = 14 * figure.get_figwidth()  # that fit side by side
    columns = max(1, min(len(labels), int(letters / (max(map(len, labels)) + 8))))
    with matplotlib.rc_context(_STYLE):
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def title(axes: Axes, text: str) -> None:
    """A panel's title, set where reading begins."""
    axes.set_title(text, loc="left", fontsize=10)


def shades(count: int) -> list[Any]:
    """Colours in an order, dark for large; for sizes and token counts."""
    ramp = matplotlib.colormaps["viridis_r"]
    return [ramp(0.12 + 0.88 * (k / max(count - 1, 1))) for k in range(count)]


def log_x(axes: Axes, values: Any, most: int = 6) -> None:
    """A logarithmic x axis over these values, with ticks that people read: 20k, 1M, 3e15."""
    axes.set_xscale("log")
    places = np.asarray(values, dtype=float)
    _log(axes.xaxis, places, most)
    low, high = float(places.min()), float(places.max())
    if high <= 1.02 * low:  # one place but for whole steps: not drawn apart under equal ticks
        axes.set_xlim(low / 1.5, high * 1.5)
        axes.xaxis.set_major_locator(FixedLocator([math.sqrt(low * high)]))


def plain_x(axes: Axes) -> None:
    """A linear x axis with few ticks, which people can read: 0, 200k, 400k; 0, 5e11, 1e12."""

    def say(value: float, _: Any) -> str:
        return powers(value) if axes.get_xlim()[1] >= 1e12 else short(value)

    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(say))


def log_y(axes: Axes, values: Any) -> None:
    """A logarithmic y axis over these values, likewise."""
    axes.set_yscale("log")
    _log(axes.yaxis, np.asarray(values, dtype=float), most=7)


def short(value: float, _: Any = None) -> str:
    """A number as an axis says it: 3, 0.02, 20k, 1.5M, 2e12."""
    size = abs(value)
    if size >= 1e12 or (size > 0 and size < 1e-2):
        return powers(value)
    for unit, word in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= unit:
            return f"{value / (1e3 if word == 'k' else unit):.4g}{word}"
    return f"{value:.4g}"


def powers(value: float, _: Any = None) -> str:
    """A large number with its power of ten: 3e15. Also a negative one: matplotlib asks for the
    label of a tick before the axis's start."""
    if value == 0:
        return "0"
    front, power = f"{value:.2e}".split("e")
    return f"{float(front):g}e{int(power)}"


def _log(axis: Axis, values: np.ndarray, most: int) -> None:
    low, high = float(values.min()), float(values.max())
    axis.set_major_locator(FixedLocator(_ticks(low, high, most)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(powers if high >= 1e12 else short))


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers over a range: decades where it is wide, else 1-2-5, else evenly spaced."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    full: list[float] = []
    for fronts in ((1.0, 2.0, 3.0, 5.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        found = [front * 10.0**power for power in decades for front in fronts]
        inside = [one for one in found if low / 1.02 <= one <= high * 1.02]
        if 3 <= len(inside) <= most:
            return inside
        if len(inside) < 3:
            break
        full = inside
    if full:  # too full, and the next too empty: thinned
        return full[:: math.ceil(len(full) / most)]
    even = MaxNLocator(nbins=most - 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(one) for one in even if one > 0]
