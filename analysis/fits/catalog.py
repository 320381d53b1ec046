"""Every form by the name that ``--form`` takes, and the approaches it is fitted by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analysis.fits.chinchilla import Chinchilla, OpenLM
from analysis.fits.data_constrained import DataConstrained
from analysis.fits.form import Form
from analysis.fits.kaplan import Kaplan
from analysis.fits.power_law import LogPower, PowerLaw, PowerLawNoOffset

APPROACHES: dict[str, tuple[str, ...]] = {
    "power_law": ("huber",),
    "power_law_no_offset": ("huber",),
    "log_power": ("huber",),
    "kaplan": ("huber",),
    "chinchilla": ("huber", "variable_projection"),
    "data_constrained": ("huber",),
    "openlm": ("least_squares", "huber"),
    "isoflop": ("parabola", "akima"),
}
"""By form, the approaches in the order they are reported."""

ONE_AXIS: dict[str, Callable[[str], Form]] = {
    "power_law": PowerLaw,
    "power_law_no_offset": PowerLawNoOffset,
    "log_power": LogPower,
}
"""Forms of one axis, by name; each is made with its axis."""

_JOINT: dict[str, Callable[[], Form]] = {
    "kaplan": Kaplan,
    "chinchilla": Chinchilla,
    "data_constrained": DataConstrained,
    "openlm": OpenLM,
}


def forms(name: str, axes: Sequence[str]) -> list[Form]:
    """The laws of a name: one for each axis if it is of one axis, else one.

    Raises:
        ValueError: no law has this name (isoflop is no law of the loss).
    """
    if name in ONE_AXIS:
        return [ONE_AXIS[name](axis) for axis in axes]
    if name in _JOINT:
        return [_JOINT[name]()]
    raise ValueError(f"no law is named {name!r}")
