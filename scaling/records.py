"""What is put on record of a cohort's runs as they begin."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import scaling
from scaling.cohort import Cohort
from scaling.config import RunConfig
from scaling.data.prepare import PreparedData
from scaling.optim import warmup_steps
from scaling.runtime import device_name, git_state, versions
from scaling.tracking.folder import RunFolder
from scaling.tracking.tracker import new_run


def new_runs(
    cohort: Cohort,
    tags: Sequence[Mapping[str, str]],
    *,
    claimed: str | None = None,
    there: Sequence[RunFolder | None] | None = None,
) -> list[RunFolder]:
    """Folders and records of a cohort's runs, with further tags.

    `claimed` is the MLflow run that a launcher has made for the first of them; `there` are the
    folders of those that an earlier process has begun, which stay as they are.
    """
    known = list(there or [None] * cohort.members)
    ids = [RunFolder.new_id() if one is None else one.read_record().id for one in known]
    environment = _environment(cohort)
    folders = [
        folder
        or new_run(
            config,
            run_id=ids[k],
            cohort=ids,
            facts=_facts(cohort, k),
            tags=environment | {"tinyscale.training": config.training} | dict(tags[k]),
            dataset=_dataset(config, cohort.data[k]),
            claimed=claimed if k == 0 else None,
        )
        for k, (config, folder) in enumerate(zip(cohort.configs, known, strict=True))
    ]
    save_tokenizers(cohort, folders)
    return folders


def save_tokenizers(cohort: Cohort, folders: Sequence[RunFolder]) -> None:
    """Into each run's folder its own."""
    for folder, data in zip(folders, cohort.data, strict=True):
        data.tokenizer.save(folder.path / "tokenizer.json")


def _facts(cohort: Cohort, k: int) -> dict[str, Any]:
    """Counts and sizes that are logged as parameters of the run."""
    data, budget = cohort.data[k], cohort.budgets[k]
    facts: dict[str, Any] = {
        f"parameters.{name}": count for name, count in cohort.model.param_counts().items()
    }
    facts |= {f"resolved.{unit}": value for unit, value in budget.as_dict().items()}
    warmup = cohort.configs[k].schedule.warmup
    facts["resolved.warmup_steps"] = warmup_steps(warmup, budget.steps)
    facts |= {
        "flops_per_token": cohort.training_flops_per_token,
        "vocab_size": data.tokenizer.vocab_size,
        "unique_tokens": data.train.unique_tokens,
        "validation_tokens": data.validation.tokens,
        "validation_bytes": data.validation.bytes,
        "micro_size": cohort.micro_size,
        "device": device_name(cohort.device),
        "precision": cohort.runtime.precision,
        "compiled": cohort.runtime.compile,
    }
    if cohort.device.type == "cpu":
        facts["threads"] = torch.get_num_threads()  # each sums a part: they decide the last digits
    tokens, covered = cohort.validator.predicted  # of the text that the run is judged on
    facts["judged_tokens"] = tokens
    if (unknown := data.tokenizer.unknown) is not None:
        judged = data.validation.tokens_array()[1 : tokens + 1]
        facts["unknown_share"] = float((judged == unknown).mean())
    floor = data.validation.floor_of(tokens)
    if floor is not None and covered:
        facts["floor_nats_per_token"] = floor
        facts["floor_bits_per_byte"] = floor * tokens / math.log(2) / covered
    return facts


def _environment(cohort: Cohort) -> dict[str, str]:
    """Tags that say what code, on what machine."""
    tags = {f"tinyscale.version.{name}": text for name, text in versions().items()}
    tags["tinyscale.device"] = device_name(cohort.device)
    tags["tinyscale.peak_flops"] = f"{cohort.peak:.4g}"  # what mfu is relative to
    state = git_state(Path(scaling.__file__).parent)
    if state is not None:
        commit, dirty = state
        tags |= {"mlflow.source.git.commit": commit, "tinyscale.git_dirty": str(dirty).lower()}
    return tags


def _dataset(config: RunConfig, data: PreparedData) -> dict[str, str]:
    """The fields of the MLflow dataset that says what the run was trained on."""
    profile = {
        split.name: {"documents": split.documents, "tokens": split.tokens, "bytes": split.bytes}
        for split in (data.train, data.validation, data.test)
        if split is not None
    }
    return {
        "name": config.data.corpus.kind,
        "digest": data.digest,
        "source_type": "local",
        "source": json.dumps({"source": data.source}),
        "profile": json.dumps(profile),
    }
