"""A training job from configs to finished runs: data, cohort, tracking, loop, samples."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock

from scaling.branches import Branch, branch_tags, branches_of, find_branch, share_past, sweep_tags
from scaling.checkpoint import Checkpoints
from scaling.cohort import Cohort
from scaling.config import DataConfig, RunConfig, TrackingConfig
from scaling.data.cache import default_cache
from scaling.data.content import with_content
from scaling.data.prepare import PreparedData, prepare
from scaling.errors import UserError
from scaling.evaluation import GivenUpError
from scaling.optim import notice
from scaling.outputs import ready_folder
from scaling.records import new_runs, save_tokenizers
from scaling.runs import load_model, read_config
from scaling.runtime import device_of, resolve, threads_here
from scaling.sampling import SamplingSettings, generate
from scaling.signals import Stop
from scaling.tracking.address import tracking_uri
from scaling.tracking.folder import RunFolder, Status, write_whole
from scaling.tracking.store import client, store_errors
from scaling.tracking.tracker import Tracker, Tracking
from scaling.trainer import Trainer
from scaling.watch import Watch

RESUMING = ".resuming.lock"  # beside the runs: held while it is seen that one can go on

Say = Callable[[str], None]
Progress = Callable[[Trainer], None]


@dataclass(frozen=True)
class RunResult:
    """How one run ended, and where it is."""

    folder: RunFolder
    status: Status
    summary: dict[str, Any]
    stopped_by: int | None  # the signal that ended it


def train(
    configs: Sequence[RunConfig],
    *,
    say: Say,
    progress: Progress,
    tags: Sequence[Mapping[str, str]] | None = None,
    begun: Callable[[list[RunFolder]], None] | None = None,
) -> list[RunResult]:
    """Train configs that share a cohort key as one program; one result each, in their order.

    `tags` are further tags of each run; `begun` hears the run folders once they are made.
    """
    # MLflow's launcher has made a run for this process: the first of ours is that one.
    claimed = os.environ.pop("MLFLOW_RUN_ID", None)
    if claimed is not None:
        configs, claimed = _where_launched(configs, claimed, say)
    places = {Path(config.tracking.folder) for config in configs}
    plan = _plan([with_content(config) for config in configs], places, say)
    with Stop() as stop:  # a run that has a folder is stopped as one, and not just cut off
        folders = new_runs(plan.cohort, tags or [{} for _ in configs], claimed=claimed)
        if begun is not None:
            begun(folders)
        return _run(plan, folders, stop, say, progress, restore=False)


def _where_launched(
    configs: Sequence[RunConfig], run_id: str, say: Say
) -> tuple[Sequence[RunConfig], str | None]:
    """The configs in the experiment of the run that a launcher has made, so that all runs of one
    command are found together; of configs that name another experiment theirs, without that run.
    """
    try:
        store = client(tracking_uri(configs[0].tracking.uri))
        there = store.get_experiment(store.get_run(run_id).info.experiment_id).name
    except store_errors():  # it is in another store, or does not answer: the record's thread tells
        return configs, run_id
    chosen = {config.tracking.experiment for config in configs} - {there}
    if chosen - {TrackingConfig().experiment}:
        say(
            f"MLflow's launcher has made a run in the experiment {there}, which stays empty:"
            f" tracking.experiment is {', '.join(sorted(chosen))}"
        )
        return configs, None
    place = {"experiment": there}
    return [
        config.model_copy(update={"tracking": config.tracking.model_copy(update=place)})
        for config in configs
    ], run_id


def resume(
    folders: Sequence[RunFolder],
    *,
    say: Say,
    progress: Progress,
    micro_size: int | None = None,
    from_start: bool = False,
) -> list[RunResult]:
    """Go on with runs that ended early, as one cohort, in their own folders and MLflow runs.

    `micro_size` takes the place of the config's, which was too large for the memory. `from_start`
    is for runs that ended before their first checkpoint: they begin again, still the same runs.
    Raises UserError where one cannot go on, or its data are no longer what they were.
    """
    _refuse_what_cannot_go_on(folders, from_start)
    configs = [read_config(folder) for folder in folders]
    if micro_size is not None:
        batch = configs[0].batch.model_copy(update={"micro_size": micro_size})
        configs = [config.model_copy(update={"batch": batch}) for config in configs]
    earlier = _earlier(folders)
    plan = _plan(configs, {folder.path for folder in folders}, say, earlier)
    size, threads = plan.cohort.micro_size, torch.get_num_threads()
    changed = {}
    if earlier.micro_size not in (None, size):
        changed["micro_size"] = str(size)
        if configs[0].batch.micro_size == "auto":
            say(
                f"micro-batches of {size}, since those of {earlier.micro_size} do not fit in the"
                " free memory: sums are rounded differently from here on"
            )
    if plan.cohort.device.type == "cpu" and earlier.threads not in (None, threads):
        changed["threads"] = str(threads)
        say(
            f"{threads} CPU threads, since {earlier.threads} as before are not to be had here:"
            " sums are rounded differently from here on"
        )
    for folder, data in zip(folders, plan.cohort.data, strict=True):
        data.check(folder.read_record().dataset.get("digest"))
    with Stop() as stop:
        with FileLock(folders[0].path.parent / RESUMING):  # another process may have been quicker
            _refuse_what_cannot_go_on(folders, from_start)
            for folder in folders:
                folder.reopen()
        save_tokenizers(plan.cohort, folders)  # a power cut may have torn them
        if changed:
            for folder in folders:
                Tracker(folder).tag(**changed)
        return _run(plan, list(folders), stop, say, progress, restore=not from_start)


def _refuse_what_cannot_go_on(folders: Sequence[RunFolder], from_start: bool) -> None:
    """Raise UserError, with the runs left as they are."""
    records = [folder.read_record() for folder in folders]
    last = [Checkpoints(folder.path / "checkpoints").last for folder in folders]
    for folder, record, checkpoint in zip(folders, records, last, strict=True):
        if folder.is_training():
            where = "" if record.process_is_alive() else f" on {record.host}"
            raise UserError(f"{folder.path} is being trained now, by process {record.pid}{where}.")
        if not from_start and checkpoint is None:
            raise UserError(f"{folder.path} has no checkpoint to resume from.")
        if record.status == "FINISHED":
            raise UserError(f"{folder.path} is finished; there is nothing to resume.")
    if len({record.uri for record in records}) > 1:
        raise UserError("These runs' records are in different stores, and resume apart.")
    # A run that has diverged saves no more, and stands where it last did.
    going = {
        folder.path.name: checkpoint.step
        for folder, checkpoint in zip(folders, last, strict=True)
        if not from_start and checkpoint is not None and folder.diverged_at() is None
    }
    if len(set(going.values())) > 1:
        steps = ", ".join(f"{name} at {step}" for name, step in going.items())
        raise UserError(f"These runs stand at different steps and resume apart: {steps}.")


@dataclass(frozen=True)
class _Earlier:
    """What `auto` was in an earlier session, and is to be again: it decides the last digits."""

    precision: Literal["fp32", "bf16"] | None = None
    micro_size: int | None = None
    threads: int | None = None  # of a run on the CPU


def _earlier(folders: Sequence[RunFolder]) -> _Earlier:
    """As the runs' records have it, the smallest number of all; None where none has it."""
    records = [folder.read_record() for folder in folders]
    precisions = {r.params["precision"] for r in records if "precision" in r.params}
    if len(precisions) > 1:
        raise UserError("These runs were begun in fp32 and in bf16, and resume apart.")

    def least(name: str) -> int | None:
        found = [r.tags.get(f"tinyscale.{name}", r.params.get(name)) for r in records]
        return min((int(number) for number in found if number is not None), default=None)

    return _Earlier(
        precision="bf16" if "bf16" in precisions else "fp32" if precisions else None,
        micro_size=least("micro_size"),
        threads=least("threads"),
    )


@dataclass(frozen=True)
class _Plan:
    """All that is to be trained, and made before there is a folder: a mistake leaves none."""

    cohort: Cohort
    branches: list[Branch]
    watch: Watch | None


def _plan(
    configs: Sequence[RunConfig], places: Iterable[Path], say: Say, earlier: _Earlier = _Earlier()
) -> _Plan:
    """The configs as one program; `places` are the folders that its runs will write to."""
    evaluation = configs[0].evaluation
    watch = None if evaluation.watch_every is None else Watch(evaluation)
    machine = configs[0].runtime
    if machine.precision == "auto" and earlier.precision is not None:
        machine = machine.model_copy(update={"precision": earlier.precision})
    on_cpu = device_of(machine).type == "cpu"
    if on_cpu and machine.threads is None and earlier.threads is not None:
        threads = min(earlier.threads, threads_here())
        machine = machine.model_copy(update={"threads": threads})
    runtime = resolve(machine)
    # What cannot be written to is said before the data, which may take their time.
    for config in configs:
        tracking_uri(config.tracking.uri)
    for place in places:
        ready_folder(place)
    data: dict[DataConfig, PreparedData] = {}
    for config in configs:
        if config.data not in data:
            data[config.data] = prepare(config.data, say=say)
    prepared = [data[config.data] for config in configs]
    cohort = Cohort(configs, prepared, runtime, default_cache(), earlier.micro_size)
    branches = branches_of(cohort)
    counts = cohort.model.param_counts()
    members = f"{len(configs)} runs as one program, each of " if len(configs) > 1 else ""
    say(
        f"{members}{counts['total']:,} parameters ({counts['non_embedding']:,} without"
        f" embeddings), on {runtime.describe()}"
    )
    model = cohort.config.model
    rates = ", ".join(
        f"{rate:.3g}" for rate in dict.fromkeys(c.optimizer.peak_lr for c in configs)
    )
    say(
        f"{model.n_layers} blocks of width {model.d_model}: {model.n_heads} heads of"
        f" {model.head_dim}, d_ff {model.d_ff}; {cohort.config.optimizer.kind} at a peak rate of"
        f" {rates}"
    )
    say(cohort.budget.describe())
    judged, whole = cohort.validator.predicted[0], cohort.data[0].validation.predictions
    if judged < whole:
        say(f"judged on the first {judged:,} of {whole:,} validation tokens")
    told = (notice(config.schedule, cohort.budget.steps) for config in cohort.configs)
    for sentence in dict.fromkeys(filter(None, told)):
        say(sentence)
    return _Plan(cohort, branches, watch)


def _run(
    plan: _Plan,
    folders: list[RunFolder],
    stop: Stop,
    say: Say,
    progress: Progress,
    *,
    restore: bool,
) -> list[RunResult]:
    def branch_off(stem: Trainer, branch: Branch, stop: Stop) -> None:
        _train_branch(stem, branch, stop, say)

    with Tracking(folders, say) as tracking:
        trainer = Trainer(
            plan.cohort, tracking.trackers, progress, plan.watch, plan.branches, branch_off
        )
        if restore:
            trainer.restore()
            say(f"resuming at step {trainer.step:,} of {trainer.total:,}")
        return _to_the_end(trainer, stop)


def _to_the_end(trainer: Trainer, stop: Stop) -> list[RunResult]:
    """Train, judge, sample and close the records."""
    trainer.run(stop)
    summaries: list[dict[str, Any]] = [{} for _ in trainer.trackers]
    status: Status = "KILLED"
    if not stop.requested:
        with suppress(GivenUpError):
            summaries, status = trainer.finish(stop), "FINISHED"
            for tracker in trainer.trackers:
                _write_samples(tracker, trainer.cohort)
    for tracker, summary in zip(trainer.trackers, summaries, strict=True):
        tracker.finish(status, summary or None)
    return [
        RunResult(tracker.folder, status, summary, stop.signal)
        for tracker, summary in zip(trainer.trackers, summaries, strict=True)
    ]


def _train_branch(stem: Trainer, branch: Branch, stop: Stop, say: Say) -> None:
    """Train a branch of a cohort's runs to its end and record it, as runs of their own.

    One that an earlier process has left unfinished begins anew, in its own folder.
    """
    stems = [tracker.folder for tracker in stem.trackers]
    there = [find_branch(folder, branch.share) for folder in stems]
    begun = [folder for folder in there if folder is not None]
    records = [folder.read_record() for folder in begun]
    if len(begun) == len(stems) and all(record.status == "FINISHED" for record in records):
        return
    for folder, record in zip(begun, records, strict=True):
        if record.pid != os.getpid() and folder.is_training():
            say(f"{folder.path} is being trained now, by process {record.pid}, and left to it")
            return
    say(f"branch at {branch.share:g} of the budget, from step {stem.step:,}")
    tags = [sweep_tags(folder) | branch_tags(folder, branch.share) for folder in stems]
    # Where the stem is, be it trained on from another folder, or with another store at hand.
    configs = zip(branch.cohort.configs, stems, strict=True)
    cohort = branch.cohort.with_configs([_recorded_at(config, stem) for config, stem in configs])
    folders = new_runs(cohort, tags, there=there)
    for folder in begun:
        folder.reopen()
    with Tracking(folders, say) as tracking:
        for own, tracker in zip(stems, tracking.trackers, strict=True):
            share_past(own, tracker, stem.step)
        trainer = Trainer(cohort, tracking.trackers, stem.report, stem.watch)
        trainer.start_from(stem)
        for result in _to_the_end(trainer, stop):
            loss = result.summary.get("final_val_loss")
            ended = result.status if loss is None else f"validation loss {loss:.4f}"
            say(f"{ended} in {result.folder.path}")


def _recorded_at(config: RunConfig, stem: RunFolder) -> RunConfig:
    """The config of a branch, to be recorded where its stem is."""
    place, uri = {"folder": str(stem.path.parent)}, stem.read_record().uri
    if tracking_uri(config.tracking.uri) != uri:  # else it is left unsaid: it may have a password
        place["uri"] = uri
    return config.model_copy(update={"tracking": config.tracking.model_copy(update=place)})


def _write_samples(tracker: Tracker, cohort: Cohort) -> None:
    """What the run's best state makes of the config's prompts, as `samples.md`."""
    folder, prompts = tracker.folder, cohort.config.evaluation.prompts
    if not prompts or Checkpoints(folder.path / "checkpoints").best is None:
        return
    model, tokenizer = load_model(folder, "best", cohort.runtime)
    settings = SamplingSettings(max_tokens=200)
    texts = generate(model, tokenizer, prompts, settings)
    parts = [f"# Samples of {folder.path.name}\n"]
    parts += [f"**{p.rstrip(' ')}**{text}\n" for p, text in zip(prompts, texts, strict=True)]
    write_whole(folder.path / "samples.md", "\n".join(parts))
