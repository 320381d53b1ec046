"""What a run of the store says, as one row: counts, budget, losses and identity by short names.

Columns made here, beside every parameter by its dotted name and every metric by its key (units in
brackets; what a run does not say is missing):

    run_id, id, name, identity, seed, sweep, parent            who it is
    group, group_name                                          its configuration, over seeds
    trajectory                                                 the training that it is a branch of
    status, started, folder, artifacts, device                 how it ended, and where it is
    N, N_non_embedding, N_with_head                            parameters, by convention
    D, unique_tokens, epochs                                   tokens trained on; passes over them
    C, flops_per_token                                         training FLOPs, exact
    steps, schedule_steps, warmup_steps                        optimizer steps
    width, depth, context_length, batch_size, data_fraction, lr
    loss, best_loss, train_loss, test_loss                     [nats per token], end of training
    bpb, best_bpb, test_bpb                                    [bits per byte]
    floor, floor_bpb                                           the embedded corpus's entropy
    tokens_per_second, wall_seconds                            of it; of several `members` they are
    members                                                    each one's beside the others
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import Run

_PARAMS = {
    "N": "parameters.total",
    "N_non_embedding": "parameters.non_embedding",
    "N_with_head": "parameters.with_head",
    "unique_tokens": "unique_tokens",
    "flops_per_token": "flops_per_token",
    "schedule_steps": "resolved.steps",
    "width": "model.d_model",
    "depth": "model.n_layers",
    "context_length": "data.context_length",
    "batch_size": "batch.size",
    "data_fraction": "data.fraction",
    "lr": "optimizer.lr",
    "device": "device",
    "floor": "floor_nats_per_token",
    "floor_bpb": "floor_bits_per_byte",
}

# The first key that a run has counts. `val/loss` alone is what other programs log, or a run that
# was recorded without its closing figures; the store keeps its last value, and so it is final.
_METRICS = {
    "loss": ("final/val_loss", "val/loss", "val_loss", "eval/loss", "eval_loss"),
    "bpb": ("final/val_bpb", "val/bpb"),
    "best_loss": ("best/val_loss",),
    "best_bpb": ("best/val_bpb",),
    "train_loss": ("final/train_loss", "train/loss", "train_loss"),
    "test_loss": ("final/test_loss", "test/loss"),
    "test_bpb": ("final/test_bpb", "test/bpb"),
    "tokens_per_second": ("final/tokens_per_second", "tokens_per_second"),
    "wall_seconds": ("final/wall_seconds",),
}

ROLES = ("N", "D", "C", "loss")
"""Columns that a user may take from a parameter or metric of another name."""

# What other programs mean by these names is not known: a loss may be any, and C or N anything.
_OURS = {*ROLES, "floor", "floor_bpb"}


def row_of(run: Run, given: Mapping[str, str]) -> dict[str, Any]:
    """A run's row; `given` names the parameter or metric to take a role's figure from."""
    params = {key: number(text) for key, text in run.data.params.items()}
    metrics, tags = run.data.metrics, run.data.tags
    row: dict[str, Any] = {**params, **metrics}
    row |= {
        "run_id": run.info.run_id,
        "experiment_id": run.info.experiment_id,
        "id": tags.get("tinyscale.id"),
        "trajectory": (
            tags.get("tinyscale.branch_of") or tags.get("tinyscale.id") or run.info.run_id
        ),
        "name": run.info.run_name,
        "identity": tags.get("tinyscale.identity"),
        "sweep": tags.get("tinyscale.sweep"),
        "parent": tags.get("mlflow.parentRunId"),
        "kind": tags.get("tinyscale.kind"),
        "status": run.info.status,
        "started": run.info.start_time,
        "folder": tags.get("tinyscale.folder"),
        "artifacts": run.info.artifact_uri,
        "members": _members(tags.get("tinyscale.cohort")),
        "diverged": tags.get("tinyscale.diverged") == "true" or metrics.get("diverged") == 1,
        "diverged_step": number(tags.get("tinyscale.diverged_step", "")),
        "pruned": tags.get("tinyscale.pruned") == "true" and run.info.status == "KILLED",
    }
    # Seeds of one training are one group, whatever names the sweeps gave the runs that they share,
    # and however often they validated them.
    row["group_name"] = tags.get("tinyscale.group") or row["identity"] or run.info.run_name
    row["group"] = tags.get("tinyscale.training") or row["identity"] or row["group_name"]
    row["seed"] = number(tags.get("tinyscale.seed", params.get("seed", "")))
    # Runs of other programs may have entries of these very names.
    for name, key in _PARAMS.items():
        own = None if name in _OURS else params.get(name, row.get(name))
        row[name] = params.get(key, own)
    for name, keys in _METRICS.items():
        own = None if name in _OURS else row.get(name)
        row[name] = next((metrics[key] for key in keys if key in metrics), own)
    found = _budget(params, metrics)
    row |= {name: one for name, one in found.items() if one is not None or name in ROLES}
    for role, key in given.items():
        row[role] = metrics.get(key, params.get(key))
    if row["group"] == run.info.run_name:
        # Of another program, which may give all of its runs one name, whatever their size.
        row["group"] = " ".join(str(row[one]) for one in ("group", "N", "D", "C"))
    row["loss_kind"] = loss_kind(given.get("loss"))
    if row["kind"] is None and row["loss"] is None:
        row["kind"] = _launched(tags)
    return row


def loss_kind(key: str | None) -> str | None:
    """Whether the loss of this key (None: the usual one) is "final" or "best"; None: not known."""
    if key is None or key in _METRICS["loss"] or key.startswith("final/"):
        return "final"
    return "best" if "best" in re.split(r"[^a-z]+", key.lower()) else None


def _members(cohort: str | None) -> int | None:
    return None if cohort is None else len(cohort.split(","))


def _launched(tags: Mapping[str, str]) -> str | None:
    """What MLflow's launcher made a run for, where no training has claimed it for its own.

    Runs of others that it launched have losses.
    """
    return None if "tinyscale.id" in tags else tags.get("mlflow.project.entryPoint")


def number(text: Any) -> Any:
    """A number where the text is one; otherwise the text, and None for nothing."""
    if not isinstance(text, str):
        return text
    if text == "":
        return None
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _warmup(params: Mapping[str, Any], steps: float) -> float | None:
    """Steps of warmup; of runs that have not recorded them, by the config's share or steps."""
    warmup = params.get("schedule.warmup")
    if "resolved.warmup_steps" in params or warmup in (None, 1):  # 1: a step, or all of them?
        return params.get("resolved.warmup_steps")
    return warmup * steps if isinstance(warmup, float) and warmup < 1 else warmup


def _budget(params: Mapping[str, Any], metrics: Mapping[str, float]) -> dict[str, Any]:
    """How long the run was: what it trained on, not what was planned, where the two differ."""
    planned, steps = params.get("resolved.tokens"), params.get("resolved.steps")
    tokens = metrics.get("tokens", planned)
    made: dict[str, Any] = {"D": tokens, "C": None}
    if tokens is None:
        return made
    if (rate := params.get("flops_per_token")) is not None:
        made["C"] = tokens * rate
    if unique := params.get("unique_tokens"):
        made["epochs"] = tokens / unique
    if planned and steps:
        made["steps"] = round(tokens / planned * steps)
        made["warmup_steps"] = _warmup(params, steps)
    return made
