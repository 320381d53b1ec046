"""Fits as a table of plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.fits.result import said_place

_SAID = (
    "a",
    "b",
    "a_exact",
    "b_exact",
    "eta",
    "N_opt",
    "D_opt",
    "tokens_per_parameter",
    "predicted_loss",
)


def show(answer: Mapping[str, Any]) -> str:
    """What ``analyze`` prints: each fit with its numbers and what speaks for them."""
    blocks = [_fit(one) for one in answer["fits"]]
    if answer["comparison"]:
        blocks.append(_rivals(answer["comparison"]))
    return "\n\n".join(blocks)


def show_store(answer: Mapping[str, Any]) -> str:
    """What ``analyze`` prints of a store: each law in a line or two, and what may be claimed."""
    lines = []
    question = None
    for one in answer.get("fits", []):
        if one["question"] != question:
            question = one["question"]
            lines.append(f"\n{question.replace('-', ' ')}, {one['n_points']} runs")
        found = [
            f"{name} = {_number(value)}{_ends(one['ci'].get(name))}"
            for name, value in one["params"].items()
            if value is not None
        ]
        said = ",  ".join(found) or f"{one['status']}: {one['message']}"
        lines.append(f"  {one['form']} ({one['approach']}): {said}")
        lines += [f"    {line}" for line in _asked(one)]
        if found:
            lines.append(f"    {one['may_claim']}")
    held = answer.get("floor_held", [])
    lines += [""] + [f"{one['law']}: {one['sentence']}" for one in held]
    if "adaptation" in answer:
        lines += ["", *_adaptation(answer["adaptation"])]
    return "\n".join(lines).strip()


def _asked(one: Mapping[str, Any]) -> list[str]:
    """What a law says of the places that were asked about with --at."""
    asked = one["settings"].get("at", {})
    return [
        f"{name.replace('_', ' ')} {_number(found['value'])}{_ends(found['ci'])} at"
        f" {said_place(found['at'], found['outside'])}"
        for name, found in one["derived"].items()
        if found["at"].keys() & asked.keys()
    ]


def _adaptation(found: Mapping[str, Any]) -> list[str]:
    """The laws of adaptation that converged, and what self-edits bring."""
    lines = [f"{found['adaptations']} adaptations"]
    for law in found["laws"]:
        signs = {"A": "B", "alpha": "b"} if law["outcome"] == "forgetting" else {"alpha": "a"}
        said = ",  ".join(
            f"{signs.get(name, name)} = {_number(value)}{_ends(law['ci'].get(name))}"
            for name, value in law["params"].items()
            if value is not None
        )
        who = f"{law['baseline']}, {law['method']}: {law['formula']}"
        lines.append(f"  {who}: {said or law['status']}")
    return [*lines, found["self_edits"]]


def _fit(one: Mapping[str, Any]) -> str:
    settings = one["settings"]
    law = _law(one["form"], settings.get("axes", []))
    left_out = f", without {settings['exclude']}" if settings["exclude"] else ""
    head = f"{law} by {one['approach']}: {one['n_points']} points{left_out}"
    lines = [head, f"  {one['status']}: {one['message']}"]
    for name, value in one["params"].items():
        if value is not None:
            lines.append(f"  {name:<22}{value:>12.6g}{_ends(one['ci'].get(name))}")
    for name in _SAID:
        if name in one["derived"]:
            found = one["derived"][name]
            line = f"  {name:<22}{_number(found['value']):>12}{_ends(found['ci'])}"
            place = said_place(found["at"], found["outside"])
            lines.append(line + (f"  at {place}" if place else ""))
    for budget in one["budgets"]:
        optimum = (
            ""
            if budget["N_opt"] is None
            else (f"  N* = {budget['N_opt']:.4g}  D* = {budget['D_opt']:.4g}")
        )
        lines.append(
            f"  C = {budget['C']:.3g}  {budget['n_points']} runs  {budget['status']}{optimum}"
        )
    lines += [f"  {line}" for line in _evidence(one)]
    lines += [f"  dropped: {count} rows, {why}" for why, count in settings["dropped"].items()]
    lines += [f"  note: {note}" for note in one["notes"]]
    return "\n".join(lines)


def _evidence(one: Mapping[str, Any]) -> list[str]:
    lines = []
    if one["objective"] is not None:
        line = f"objective {one['objective']:.8g}"
        if one["starts"]:
            share = one["starts"]["share_reached_best"]
            line += f", reached by {share:.1%} of {one['starts']['count']:.0f} starts"
        lines.append(line)
    quality = one["quality"]
    if quality:
        lines.append(
            f"R^2 {_number(quality['r_squared'])}, scatter {quality['rms_log_residual']:.3%},"
            f" AIC {_number(quality['aic'])}"
        )
        trends = ", ".join(
            f"{role} p = {found['p_value']:.2g}"
            for role, found in quality["trend"].items()
            if found["p_value"] is not None
        )
        if trends:
            lines.append(f"residual trend: {trends}")
    held = one["held_out"]
    if "mean_error" in held:
        lines.append(
            f"held out: largest {held['n']} runs predicted {held['mean_error']:+.2%} off on"
            f" average, {held['worst_error']:+.2%} at worst"
        )
    elif held:
        lines.append(f"held out: {held['message']}")
    return lines


def _rivals(rivals: list[Mapping[str, Any]]) -> str:
    lines = ["rivals on the same points"]
    for one in rivals:
        aic = "" if one["delta_aic"] is None else f"  AIC +{one['delta_aic']:.1f}"
        held = one["held_out_error"]
        error = "" if held is None else f"  error {held:+.2%} on the largest {one['held_out_by']}"
        rule = f"  (without {one['exclude']})" if one["exclude"] else ""
        law = _law(one["form"], one["axes"])
        lines.append(f"  {law:<26}{one['approach']:<22}{aic}{error}{rule}")
    return "\n".join(lines)


def _law(form: str, axes: Sequence[str]) -> str:
    """A law's name, with its axis where it is of one."""
    return f"{form} of {axes[0]}" if len(axes) == 1 else form


def _ends(ci: Any) -> str:
    return "" if ci is None else f"  [{_number(ci[0])}, {_number(ci[1])}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"
