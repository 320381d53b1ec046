"""A plan as people and programs read it."""

from collections.abc import Sequence
from typing import Any

from sweeps.leaderboard import table
from sweeps.plan import Plan, Row
from sweeps.progress import duration

# Ways of counting parameters, by their columns' names: see `Decoder.param_counts`.
CONVENTIONS = {
    "total": "N",
    "non_embedding": "N non-emb",
    "with_head": "N with head",
    "active": "N active",
}
MOST_ROWS = 60  # of the table before a sweep, whose artifact has all


def plan_lines(plan: Plan, price: float | None, most: int | None = None) -> list[str]:
    """The table, the totals and the warnings; of the table so many rows at most."""
    axes = list(dict.fromkeys(axis for row in plan.rows for axis in row.run.labels))
    counts = [name for name in CONVENTIONS if _differs(name, plan.rows)]
    header = [*axes, *[CONVENTIONS[name] for name in counts]]
    header += ["tokens", "epochs", "FLOPs", "cohort", "MB", "s", "state"]
    rows = [
        [
            *[row.run.labels.get(axis, "") for axis in axes],
            *[f"{row.size.parameters[name]:,}" for name in counts],
            *_cells(row),
        ]
        for row in plan.rows
    ]
    lines = table(header, rows[:most])
    if most is not None and len(rows) > most:
        lines.append(f"... and {len(rows) - most} more, as plan.csv has them")
    lines += ["", *totals(plan, price), *[f"warning: {text}." for text in plan.warnings]]
    return lines


def totals(plan: Plan, price: float | None) -> list[str]:
    """Runs, tokens, FLOPs, time, cost."""
    states = [row.state for row in plan.rows]
    there = ", ".join(
        f"{states.count(state)} {word}"
        for state, word in (
            ("done", "done already"),
            ("half", "half done"),
            ("training", "being trained now"),
            ("failed", "failed"),
        )
        if state in states
    )
    lines = [f"{len(plan.rows)} runs{f' ({there})' if there else ''}, {plan.todo} to make"]
    if plan.asked is not None:
        lines = [f"{plan.todo} runs to ask for"]
    if plan.todo:
        lines[0] += f": {plan.tokens:,} tokens, {plan.flops:.3g} FLOPs"
        lines[0] += f", in {len(plan.cohorts)} programs" if plan.asked is None else " or so"
        lines += plan.ways
        if plan.wall is None:
            lines.append("time: not measured for these shapes")
        else:
            busy = duration(plan.busy)
            cost = "" if price is None else f", cost {price * plan.wall / 3600:.2f}"
            lines.append(f"time: {duration(plan.wall)} on this machine ({busy} of workers){cost}")
    return lines


def plan_rows(plan: Plan) -> list[dict[str, Any]]:
    """The plan as records, for CSV and JSON."""
    return [
        {
            "name": row.run.config.name,
            **row.run.labels,
            "identity": row.run.key[0],
            "state": row.state,
            **{f"parameters_{name}": count for name, count in row.size.parameters.items()},
            "steps": row.size.budget.steps,
            "tokens": row.size.budget.tokens,
            "epochs": row.size.budget.epochs,
            "tokens_per_param": row.size.budget.tokens_per_param,
            "flops": row.size.budget.flops,
            "cohort": row.cohort,
            "memory_bytes": row.memory or None,
            "estimated_seconds": row.seconds,
        }
        for row in plan.rows
    ]


def plan_json(plan: Plan, price: float | None) -> dict[str, Any]:
    """The whole plan for a program."""
    cost = None if price is None or plan.wall is None else price * plan.wall / 3600
    return {
        "runs": plan_rows(plan),
        "to_make": plan.todo,
        "wall_seconds": plan.wall,
        "cost": cost,
        "ways": plan.ways,
        "warnings": plan.warnings,
    }


def _differs(name: str, rows: Sequence[Row]) -> bool:
    """Whether a way of counting says something of its own: no two columns are alike."""
    before = list(CONVENTIONS)[: list(CONVENTIONS).index(name)]
    counts = [row.size.parameters for row in rows]
    return all(any(each[name] != each[other] for each in counts) for other in before)


def _cells(row: Row) -> Sequence[str]:
    budget = row.size.budget
    return (
        f"{budget.tokens:,}",
        f"{budget.epochs:.2f}",
        f"{budget.flops:.3g}",
        "" if row.cohort is None else str(row.cohort),
        f"{row.memory / 1e6:,.0f}" if row.memory else "",
        "" if row.seconds is None else f"{row.seconds:.1f}",
        row.state,
    )
