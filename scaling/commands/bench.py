"""`tinyscale bench`."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from scaling.errors import UserError
from scaling.outputs import ready_file

PARTS = (
    *("training", "evaluation", "cohorts", "sampling", "tracking", "store_down", "packing"),
    *("start_up", "card"),
)


@click.command(short_help="Measure this machine's speed.")
@click.option("--only", help=f"Some of {', '.join(PARTS)}; separated by commas.")
@click.option("--seconds", default=8.0, show_default=True, help="How long each shape is timed.")
@click.option("--out", type=click.Path(dir_okay=False), help="Write the figures as JSON.")
@click.option("--against", type=click.Path(dir_okay=False), help="Compare with an earlier JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def bench(
    only: str | None, seconds: float, out: str | None, against: str | None, as_json: bool
) -> None:
    """Measure training, evaluation, cohorts, sampling, tracking, packing and start-up here.

    Training is timed in turn with a plain fp32 eager PyTorch loop of the same shapes; the ratio
    holds on a machine that others use too, the rates are of this moment. On a GPU the share of
    its rate and the time around its kernels are measured as well (`card`).
    """
    parts = PARTS if only is None else tuple(only.split(","))
    for part in parts:
        if part not in PARTS:
            raise UserError(f"--only {part}: there are {', '.join(PARTS)}.")
    earlier = _read(Path(against)) if against else None
    if out:
        ready_file(Path(out))
    from scaling.bench import cohorts, pipeline, steps
    from scaling.config import RuntimeConfig
    from scaling.data.cache import default_cache
    from scaling.runtime import device_name, resolve, versions

    runtime = resolve(RuntimeConfig())
    on_card = runtime.device.type == "cuda"
    if not on_card and only is not None and "card" in parts:
        raise UserError("--only card: torch finds no CUDA device here.")
    found: dict[str, Any] = {
        "machine": {
            "device": device_name(runtime.device),
            "precision": runtime.precision,
            "compiled": runtime.compile,
            "date": time.strftime("%Y-%m-%d"),
            "load": round(os.getloadavg()[0], 2),  # before anything is measured
            **versions(),
        }
    }
    measures: dict[str, Callable[[], Any]] = {
        "training": lambda: steps.training(runtime, seconds),
        "evaluation": lambda: steps.evaluation(runtime, seconds),
        "cohorts": lambda: cohorts.cohorts(runtime, seconds),
        "sampling": lambda: pipeline.sampling(runtime, seconds),
        "tracking": pipeline.tracking,
        "store_down": lambda: pipeline.store_down(runtime, seconds),
        "packing": pipeline.packing,
        "start_up": pipeline.start_up,
        "card": lambda: steps.card(runtime, seconds, default_cache()),
    }
    for part in parts if on_card else [part for part in parts if part != "card"]:
        click.echo(f"measuring {part} ...", err=True)
        found[part] = measures[part]()
    if out:
        Path(out).write_text(json.dumps(found, indent=1))
    if earlier and (other := _other_machine(found["machine"], earlier.get("machine", {}))):
        click.echo(f"the earlier figures are of another machine or software: {other}", err=True)
    ratios = _ratios(found, earlier or {})
    if as_json:
        click.echo(json.dumps(found | ({"against": ratios} if earlier else {}), indent=1))
        return
    for name, value in _flat(found):
        shown = f"{value:,.4g}" if isinstance(value, float) else str(value)
        change = f"  ({ratios[name]:.2f} x)" if name in ratios else ""
        click.echo(f"{name:48} {shown}{change}")


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"--against {path} cannot be read: {error}.") from None
    if not isinstance(found, dict):
        raise UserError(f"--against {path} is not what `tinyscale bench --out` writes.")
    return found


def _other_machine(now: dict[str, Any], before: dict[str, Any]) -> str:
    """What tells the machine of earlier figures, and its software, from this one."""
    differ = [
        name for name in now if name not in ("date", "load") and before.get(name) != now[name]
    ]
    return "; ".join(f"{name} {now[name]} now, {before.get(name)} then" for name in differ)


def _ratios(found: dict[str, Any], earlier: dict[str, Any]) -> dict[str, float]:
    """Each figure over the earlier one."""
    before = dict(_flat(earlier))
    return {
        name: value / before[name]
        for name, value in _flat(found)
        if isinstance(value, float) and isinstance(before.get(name), float) and before[name]
    }


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        rows += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return rows
