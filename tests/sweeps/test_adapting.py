"""Sweeps of adaptations: what they want, what is there, what is made, and mistakes."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from scaling.adapt.config import FileTasks, Lora, StoriesTasks
from scaling.adapt.job import Adapted, adapt
from scaling.config import RunConfig
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.tracking.address import tracking_uri
from scaling.tracking.folder import RunFolder, run_folders
from scaling.tracking.store import client
from sweeps.adapting.baselines import Ready, ready_baselines
from sweeps.adapting.closing import conclude
from sweeps.adapting.conduct import Request, conduct_adaptations
from sweeps.adapting.material import Material, find_material
from sweeps.adapting.reading import AdaptSweep, read_adapt_sweep
from sweeps.adapting.wanted import Adaptation, Together, wanted_adaptations
from sweeps.conduct import Request as Training
from sweeps.driver import Driver, Options
from sweeps.job import Begun, Ended, Event, Job, Member
from sweeps.ledger import Ledger, read_known
from sweeps.machine import Machine
from sweeps.progress import Board
from sweeps.reading import read_sweep, sweep_names
from sweeps.record import SweepRecord
from sweeps.result import Result
from sweeps.source import Grid
from sweeps.wanted import wanted_runs
from tests.scaling.trained_run import make_run
from tests.sweeps.fakes import FakeExecutor, finished_run

Tinyscale = Callable[..., CompletedProcess[str]]
Tiny = Callable[..., RunConfig]
TASKS = [
    {"passage": "the zebu ate moss", "continuation": "moss the zebu ate", "trial": "zebu moss"},
    {"passage": "a yak has six hats", "continuation": "six hats has a yak", "trial": "six hats"},
]
PLACE = ("baseline", "edit", "method", "rank", "inner_steps", "seed")
SPEC: dict[str, Any] = {
    "kind": "adaptation",
    "baselines": {
        "base": "tiny",
        "budget": {"steps": 6},
        "grid": {"model.d_model": [8, 16]},
        "workers": 1,
    },
    "tasks": {"file": "tasks.jsonl"},
    "edits": ["verbatim", {"kind": "continuation", "candidates": 2, "steps": 1, "max_tokens": 4}],
    "inner_steps": [1, 3],
    "rank": [1, 2],
    "full": {"lr": 1e-3},
    "seeds": [1, 2],
    "tokens_per_step": 8,
    "forgetting_tokens": 200,
    "runtime": {"device": "cpu", "precision": "fp32"},
    "workers": 1,
}
SPEC["edits"][1]["rank"] = 2


@pytest.fixture
def write_spec(tiny_yaml: Path) -> Callable[..., Path]:
    """Write `a.yaml`, an adaptation of the tiny config, with fields of one's own."""

    def write(**fields: Any) -> Path:
        Path("tasks.jsonl").write_text("\n".join(json.dumps(row) for row in TASKS))
        path = Path("a.yaml")
        path.write_text(yaml.safe_dump({**SPEC, **fields}, sort_keys=False))
        return path

    return write


@pytest.fixture
def ready(tiny: Tiny) -> Callable[..., tuple[AdaptSweep, Material, list[Ready]]]:
    """A spec over a run that is there, read, with its material and its baseline."""

    def go(path: Path) -> tuple[AdaptSweep, Material, list[Ready]]:
        sweep = read_adapt_sweep(str(path))
        material = find_material(sweep.spec)
        return sweep, material, ready_baselines(sweep, material, Board(), Training(measure=False))

    return go


def a_run(tiny: Tiny, name: str = "there", seed: int = 42) -> str:
    config = tiny("--name", name, "--seed", str(seed))
    tokenizer = prepare(config.data).tokenizer
    return str(make_run(Path("runs"), config, tokenizer, spread=0.05).path)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "adapt.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_from_nothing_to_rows_and_again(
    write_spec: Callable[..., Path], trains_here: None, tinyscale_here: Tinyscale
) -> None:
    write_spec(full=None, seeds=[1])
    done = tinyscale_here("adapt", "a.yaml", "--no-timing")
    assert done.returncode == 0, done.stderr
    assert "16 of 16 runs done" in done.stdout
    rows = rows_of(Path("runs/sweeps/a"))
    assert len(rows) == 16
    places = {tuple(row[name] for name in PLACE) for row in rows}
    assert len(places) == 16
    assert {row["edit"] for row in rows} == {
        "verbatim",
        "continuation x2, max_tokens 4, steps 1, rank 2",
    }
    for row in rows:
        assert row["tokens"] == 8 * row["inner_steps"]
        assert row["tokens_tried"] == (0 if row["edit"] == "verbatim" else 2 * 8)
        assert {"gain", "forgetting", "wall_seconds"} <= row.keys()

    store = client(tracking_uri())
    experiment = store.get_experiment_by_name("tinyscale")
    assert experiment is not None
    runs = store.search_runs([experiment.experiment_id], max_results=1000)
    by_kind: dict[str | None, list[Any]] = {}
    for run in runs:
        by_kind.setdefault(run.data.tags.get("tinyscale.kind"), []).append(run)
    assert {kind: len(own) for kind, own in by_kind.items()} == {
        "adaptation": 16,
        "sweep": 2,
        None: 2,
    }
    assert {run.info.status for run in runs} == {"FINISHED"}
    (parent,) = [run for run in by_kind["sweep"] if run.info.run_name == "a"]
    trained = {run.info.run_id for run in by_kind[None]}
    for child in by_kind["adaptation"]:
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["tinyscale.baseline_run"] in trained
        assert {"final/gain", "final/forgetting", "final/tokens"} <= child.data.metrics.keys()
    names = {item.path for item in store.list_artifacts(parent.info.run_id)}
    assert {"adapt.jsonl", "spec.yaml", "wanted.json"} <= names
    names = {item.path for item in store.list_artifacts(by_kind["adaptation"][0].info.run_id)}
    assert {"adapt.jsonl", "edits.jsonl", "config.yaml"} <= names

    again = conduct_adaptations(read_adapt_sweep("a.yaml"), Request(), Board())
    assert "all 16 adaptations are done" in "\n".join(again.lines)
    assert again.summary["done"] == 16
    assert len(store.search_runs([experiment.experiment_id], max_results=1000)) == 20


def test_what_differs_in_seed_steps_or_rank_is_made_together(
    write_spec: Callable[..., Path], ready: Any, tiny: Tiny
) -> None:
    sweep, material, baselines = ready(
        write_spec(baselines=[a_run(tiny), a_run(tiny, "other", 7)])
    )
    runs = wanted_adaptations(sweep, material, baselines)
    assert len(runs) == len({run.key for run in runs}) == 48
    machine = Machine(cores=2, gpus=0, free_bytes=2**33)
    programs = Together(machine, workers=2).form([(run, None) for run in runs])
    assert [len(program.runs) for program in programs] == [12, 12, 12, 12]
    assert {program.threads for program in programs} == {1}
    for program in programs:
        assert len({run.config.cohort_key for run in program.runs}) == 1
    alone = Together(machine, workers=2).form([(runs[0], None)])
    assert [program.threads for program in alone] == [2]


def test_baselines_of_one_folder_name_have_labels_of_their_own(
    write_spec: Callable[..., Path], ready: Any, tiny: Tiny
) -> None:
    for place, seed in (("x", 1), ("y", 2)):
        shutil.copytree(a_run(tiny, seed=seed), f"{place}/model")
    sweep, material, baselines = ready(write_spec(baselines=["x/model", "y/model"], seeds=[1]))
    assert sorted(one.config.label for one in baselines) == ["x/model", "y/model"]
    runs = wanted_adaptations(sweep, material, baselines)
    assert len({tuple(run.labels.items()) for run in runs}) == len(runs)
    shutil.copytree("x/model", "z")
    with pytest.raises(UserError, match=r"z is the same model as .*x/model"):
        ready(write_spec(baselines=["x/model", "z"]))


def test_what_another_sweep_has_made_has_this_ones_labels(
    write_spec: Callable[..., Path], ready: Any, tiny: Tiny
) -> None:
    """Its baseline's folder has had another name since, of which the rows do not know."""
    sweep, material, baselines = ready(
        write_spec(baselines=[a_run(tiny)], edits=["verbatim"], full=None)
    )
    runs = wanted_adaptations(sweep, material, baselines)
    known = {}
    for k, run in enumerate(runs):
        folder = finished_run(run)
        assert isinstance(run.config.method, Lora)
        label = "old" if run.config.seed == 1 else run.config.baseline.label
        row = {"baseline": label, "edit": "verbatim", "method": "lora",
               "rank": run.config.method.rank, "inner_steps": run.config.inner_steps,
               "gain": float(k), "forgetting": 0.0, "diverged": False}  # fmt: skip
        (folder.path / "adapt.jsonl").write_text(json.dumps(row))
        known[run.key] = read_known(folder)
    record = SweepRecord(sweep, sweep.spec, print)
    record.path.mkdir(parents=True)
    summary, _ = conclude(record, runs, known, None)
    assert [point["seeds"] for point in summary["means"]] == [2] * 4
    label = baselines[0].config.label
    assert {row["baseline"] for row in rows_of(record.path)} == {label}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rank": [99]}, "rank 99 is above what blocks.0"),
        ({"lora": {"targets": ["atention"]}}, "did you mean attention"),
        ({"tasks": {"file": "none.jsonl"}}, "none.jsonl: cannot be read"),
        ({"edits": [{"kind": "verbatm"}]}, "edits.kind 'verbatm' is not known|verbatm"),
        ({"edits": ["verbatim", "verbatim"]}, "edits has one twice"),
        ({"edits": [{"kind": "verbatim", "candidates": 2}]}, "nobody writes it"),
        ({"edits": [{"kind": "continuation", "rounds": 1}]}, "give it 2 or more"),
        (
            {"edits": [{"kind": "continuation", "rounds": 1, "candidates": 2, "rank": 2}]},
            "practice passages, and the tasks have none",
        ),
        ({"edits": [{"kind": "continuation", "policy": "."}]}, "is no language model"),
        ({"rank": []}, "there is no method|rank is empty"),
        ({"rnak": [4]}, "did you mean rank"),
        ({"inner_steps": [0]}, "inner_steps is 0"),
        ({"baselines": ["nobody"]}, "There is no run nobody"),
        ({"baselines": ["there", "there"]}, "baselines has there-.* twice"),
        ({"baselines": {"base": "tiny", "gird": {}}}, "did you mean grid"),
        ({"baselines": {"base": "tiny", "fields": None}}, "fields is None"),
        ({"baselines": {"base": "tiny", "fields": [1]}}, r"fields is \[1\]"),
        ({"baselines": {"base": "tiny", "search": {}}}, "baselines has a search"),
        ({"lora": {"rank": 16}}, "lora.rank would change nothing"),
        ({"lora": {"dropout": 1.0}}, "dropout is 1"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_made(
    fields: dict[str, Any], said: str, write_spec: Callable[..., Path], ready: Any, tiny: Tiny
) -> None:
    fields = {"full": None, "baselines": [a_run(tiny)], **fields}
    with pytest.raises(UserError, match=said) as error:
        wanted_adaptations(*ready(write_spec(**fields)))
    assert "\n" not in str(error.value)


LONG = {"prompt": "the zebu, which lives far away over the hills, ate", "answers": ["moss"],
        "choices": ["tin"]}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rank": [9]}, "rank 9 is above what blocks.0"),
        ({}, "question q1 of tasks-1 takes 55 tokens with its answer, .* context is 32"),
    ],
)
def test_what_baselines_cannot_learn_is_said_before_they_are_trained(
    write_spec: Callable[..., Path], fields: dict[str, Any], said: str
) -> None:
    path = write_spec(**fields)
    rows = TASKS if fields else [{**TASKS[0], "questions": [LONG]}]
    Path("tasks.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(UserError, match=said):
        conduct_adaptations(read_adapt_sweep(str(path)), Request(measure=False), Board())
    assert not list(Path("runs").glob("a-baselines*"))


def test_the_baselines_sweep_has_the_same_runtime_workers_and_experiment_or_its_own(
    write_spec: Callable[..., Path],
) -> None:
    given = {"runtime": {"precision": "bf16"}, "workers": 3, "tracking": {"experiment": "mine"}}
    path = str(write_spec(**given, baselines={"base": "tiny", "budget": {"steps": 6}}))
    for smoke, experiment in ((False, "mine"), (True, "mine-smoke")):
        sweep = read_adapt_sweep(path, smoke=smoke)
        assert sweep.spec.tracking.experiment == experiment
        assert sweep.baselines is not None
        assert sweep.baselines.spec.workers == 3
        for run in wanted_runs(sweep.baselines):
            assert run.config.runtime.precision == "bf16"
            assert run.config.tracking.experiment == experiment
    own = {"base": "tiny", "workers": 1, "fields": {"runtime.precision": "fp32"}}
    sweep = read_adapt_sweep(str(write_spec(**given, baselines=own)))
    assert sweep.baselines is not None
    assert sweep.baselines.spec.workers == 1
    assert wanted_runs(sweep.baselines)[0].config.runtime.precision == "fp32"


@pytest.mark.parametrize("retry", [False, True])
def test_baselines_that_have_failed_are_told_of_and_made_again_when_asked(
    retry: bool, write_spec: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = read_adapt_sweep(str(write_spec()))
    assert sweep.baselines is not None
    for run in wanted_runs(sweep.baselines):
        finished_run(run, "FAILED")
    asked = []

    def conduct(own: object, request: Training, board: Board) -> Result:
        asked.append(request.retry_failed)
        return Result({}, ["name  loss  seeds"], 1, "2 runs failed.")

    monkeypatch.setattr("sweeps.adapting.baselines.conduct", conduct)
    said = "the baselines are not all trained: RuntimeError: boom; retry with --retry failed"
    with pytest.raises(UserError, match=said):
        conduct_adaptations(sweep, Request(retry_failed=retry, measure=False), Board())
    assert asked == [retry]


@pytest.mark.drill
def test_a_stop_while_baselines_are_trained_is_a_stop(write_spec: Callable[..., Path]) -> None:
    write_spec(baselines={**SPEC["baselines"], "budget": {"steps": 100_000}})
    command = [sys.executable, "-m", "scaling.cli", "adapt", "a.yaml", "--no-timing"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(Path("runs").glob("*/metrics.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert "Stopped: stopped and saved. Go on with the same command." in said


def test_data_that_have_changed_are_found_before_workers_do(
    write_spec: Callable[..., Path], ready: Any, tiny: Tiny
) -> None:
    run = RunFolder(Path(a_run(tiny)))
    record = run.read_record()
    run.write_record(replace(record, dataset={"digest": "another"}))
    with pytest.raises(UserError, match="The data have changed since the run began"):
        ready(write_spec(baselines=[str(run.path)]))


def test_one_policy_by_two_names_is_one_sentence(
    write_spec: Callable[..., Path], tiny: Tiny
) -> None:
    policy = a_run(tiny)
    edits = [{"kind": "continuation", "policy": name} for name in (policy, "tiny-copy")]
    shutil.copytree(policy, "runs/tiny-copy")
    with pytest.raises(UserError, match=r"policies .* and tiny-copy are the same"):
        find_material(read_adapt_sweep(str(write_spec(edits=edits))).spec)


@pytest.mark.parametrize("smoke", [False, True])
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"seeds": 5}, "seeds is 5"),
        ({"inner_steps": [1, "a"]}, "inner_steps.*'a'"),
        ({"edits": [5]}, "edits"),
        ({"edits": "verbatim"}, "edits is 'verbatim'"),
        ({"tracking": "x"}, "tracking is 'x'"),
    ],
)
def test_a_mistake_is_the_same_sentence_with_smoke(
    fields: dict[str, Any], said: str, smoke: bool, write_spec: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match=said):
        read_adapt_sweep(str(write_spec(**fields)), smoke=smoke)


def test_each_command_knows_its_own_files(
    write_spec: Callable[..., Path], write_sweep: Callable[..., Path]
) -> None:
    write_spec()
    with pytest.raises(UserError, match=r"`tinyscale adapt a\.yaml`"):
        read_sweep("a.yaml")
    write_sweep(grid={"optimizer.lr": [0.1]})
    with pytest.raises(UserError, match="is no sweep of adaptations"):
        read_adapt_sweep("s.yaml")
    assert "adaptation" not in sweep_names()


def test_the_shipped_sweep_is_what_its_header_says() -> None:
    sweep = read_adapt_sweep("adaptation")
    spec = sweep.spec
    assert (spec.inner_steps, spec.rank) == ((1, 3, 10, 30), (4, 8))
    assert sweep.baselines is not None
    methods = len(spec.rank) + (spec.full is not None)
    points = len(spec.edits) * len(spec.inner_steps) * methods * len(spec.seeds)
    text = (Path(__file__).parents[2] / "sweeps" / "adaptation.yaml").read_text()
    assert f"{2 * points} adaptations of {spec.tasks.documents}" in text.replace("\n# ", " ")  # type: ignore[union-attr]
    small = read_adapt_sweep("adaptation", smoke=True)
    assert small.spec.name == "adaptation-smoke"
    assert small.baselines is not None
    assert small.baselines.base["tracking"]["experiment"] == small.spec.tracking.experiment
    changed = read_adapt_sweep("adaptation", ["--seeds", "[5]"])
    assert changed.spec.seeds == (5,)
    assert changed.spec.name.startswith("adaptation-")
    assert changed.baselines is not None


def test_of_a_flag_given_twice_the_last_counts(write_spec: Callable[..., Path]) -> None:
    path = str(write_spec())
    sweep = read_adapt_sweep(path, ["--seeds", "5", "--seeds", "[7]"])
    assert sweep.spec.seeds == (7,)
    assert sweep.spec.name.startswith("a-")


def test_a_flag_for_another_kind_of_tasks_or_budget_takes_the_place_of_the_files(
    write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_spec(tasks={"kind": "stories", "documents": 5, "facts": "new"})
    for flags in (
        ["--tasks", "{file: tasks.jsonl}"],
        ["--tasks.file", "tasks.jsonl"],
        ["--tasks.file", "tasks.jsonl", "--tasks.kind", "file"],
    ):
        tasks = read_adapt_sweep(str(path), flags).spec.tasks
        assert isinstance(tasks, FileTasks) and tasks.file == "tasks.jsonl"
    fewer = read_adapt_sweep(str(path), ["--tasks.documents", "3"]).spec.tasks
    assert isinstance(fewer, StoriesTasks) and (fewer.documents, fewer.facts) == (3, "new")
    longer = read_adapt_sweep(str(path), ["--baselines.budget.tokens", "4000"]).baselines
    assert longer is not None and longer.spec.budget is not None
    assert (longer.spec.budget.tokens, longer.spec.budget.steps) == (4000, None)


def test_tasks_beside_the_sweeps_file_are_found(
    write_spec: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_spec().resolve()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert len(find_material(read_adapt_sweep(str(path)).spec).texts.documents) == len(TASKS)


class Pipe:
    """Hears what a worker tells."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def send(self, event: Any) -> None:
        self.heard.append(event)


class Impatient(Pipe):
    """A driver that asks for a stop as soon as it hears of the job's folders."""

    def send(self, event: Any) -> None:
        super().send(event)
        if isinstance(event, Begun):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_job_that_fails_or_is_stopped_leaves_records_that_say_so(
    write_spec: Callable[..., Path], ready: Any, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps.adapting import work
    from sweeps.channel import Channel

    sweep, material, baselines = ready(
        write_spec(baselines=[a_run(tiny)], edits=["verbatim"], full=None)
    )
    runs = wanted_adaptations(sweep, material, baselines)[:2]
    job = Job(0, tuple(Member(run.config, run.key, {"own": "tag"}) for run in runs), 1)

    def fails(*_: Any, **__: Any) -> list[Adapted]:
        raise RuntimeError("boom")

    def stopped(*_: Any, moved: Any, **__: Any) -> list[Adapted]:
        moved(1, 2, 0.5)
        raise AssertionError("not stopped")

    monkeypatch.setattr(work, "adapt", fails)
    pipe = Pipe()
    ended = work.run_job(job, Channel(pipe))  # type: ignore[arg-type]
    assert isinstance(ended, Ended)
    assert [outcome.end for outcome in ended.outcomes] == ["failed", "failed"]
    assert ended.outcomes[0].error == "RuntimeError: boom"
    assert any(isinstance(event, Begun) for event in pipe.heard)
    folder = RunFolder(ended.outcomes[0].folder)  # type: ignore[arg-type]
    record = folder.read_record()
    assert (record.status, record.tags["tinyscale.kind"]) == ("FAILED", "adaptation")
    assert "boom" in (folder.path / "traceback.txt").read_text()

    monkeypatch.setattr(work, "adapt", stopped)
    ended = work.run_job(job, Channel(Impatient()))  # type: ignore[arg-type]
    assert [outcome.end for outcome in ended.outcomes] == ["stopped", "stopped"]
    record = RunFolder(ended.outcomes[0].folder).read_record()  # type: ignore[arg-type]
    assert record.status == "KILLED"

    # The same runs are made whole in the folders that the stop has left.
    monkeypatch.setattr(work, "adapt", adapt)
    left = [outcome.folder for outcome in ended.outcomes]
    members = [replace(m, folder=f) for m, f in zip(job.members, left, strict=True)]
    ended = work.run_job(replace(job, members=tuple(members)), Channel(Pipe()))  # type: ignore[arg-type]
    assert [outcome.end for outcome in ended.outcomes] == ["finished", "finished"]
    assert [outcome.folder for outcome in ended.outcomes] == left
    ledger = Ledger(Path("runs"), record.uri, "tinyscale")
    known = ledger.scan(run.key for run in runs)
    assert {one.state for one in known.values()} == {"done"}
    for run in runs:
        (row,) = rows_of(known[run.key].folder.path)  # type: ignore[union-attr]
        assert row["tokens"] == 8 * run.config.inner_steps


@pytest.fixture
def job(write_spec: Callable[..., Path], ready: Any, tiny: Tiny) -> Job:
    """A job of two adaptations of a run that is there."""
    path = write_spec(baselines=[a_run(tiny)], edits=["verbatim"], full=None)
    runs = wanted_adaptations(*ready(path))[:2]
    return Job(0, tuple(Member(run.config, run.key, {}) for run in runs), 1)


def test_where_memory_does_not_suffice_half_as_many_are_tried(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps.adapting import work
    from sweeps.channel import Channel

    tried = []

    def never(*_: Any, members: int, **__: Any) -> list[Adapted]:
        tried.append(members)
        raise MemoryError

    monkeypatch.setattr(work, "adapt", never)
    ended = work.run_job(job, Channel(Pipe()))  # type: ignore[arg-type]
    assert [outcome.end for outcome in ended.outcomes] == ["failed", "failed"]
    assert tried == [8, 4, 2, 1]


def test_a_disk_that_fills_spares_what_is_recorded(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps.adapting import work
    from sweeps.channel import Channel

    record, recorded = work._record, list[Adapted]()

    def fills(tracker: Any, made: Adapted) -> None:
        if recorded:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        record(tracker, made)
        recorded.append(made)

    monkeypatch.setattr(work, "_record", fills)
    ended = work.run_job(job, Channel(Pipe()))  # type: ignore[arg-type]
    assert [outcome.end for outcome in ended.outcomes] == ["full", "full"]
    folders = [RunFolder(outcome.folder) for outcome in ended.outcomes]  # type: ignore[arg-type]
    assert [one.read_record().status for one in folders] == ["FINISHED", "KILLED"]

    # Once there is room the other is made in its folder, where nothing tells of the disk then.
    assert (folders[1].path / "traceback.txt").exists()
    monkeypatch.setattr(work, "_record", record)
    again = replace(job, members=(replace(job.members[1], folder=folders[1].path),))
    (outcome,) = work.run_job(again, Channel(Pipe())).outcomes  # type: ignore[arg-type]
    assert (outcome.end, outcome.folder) == ("finished", folders[1].path)
    assert not (folders[1].path / "traceback.txt").exists()


def test_what_diverged_is_recorded_as_such(
    write_spec: Callable[..., Path], ready: Any, tiny: Tiny
) -> None:
    from sweeps.adapting.work import run_job
    from sweeps.channel import Channel

    fields = {"rank": [], "full": {"lr": 1e30}, "seeds": [1], "inner_steps": [2]}
    sweep, material, baselines = ready(
        write_spec(baselines=[a_run(tiny)], edits=["verbatim"], **fields)
    )
    (run,) = wanted_adaptations(sweep, material, baselines)
    job = Job(0, (Member(run.config, run.key, {}),), 1)
    (outcome,) = run_job(job, Channel(Pipe())).outcomes  # type: ignore[arg-type]
    folder = RunFolder(outcome.folder)  # type: ignore[arg-type]
    assert folder.read_record().tags["tinyscale.diverged"] == "true"
    known = read_known(folder)
    assert known.summary["diverged"]
    assert "NaN" not in (folder.path / "adapt.jsonl").read_text()
    record = SweepRecord(sweep, sweep.spec, print)
    record.path.mkdir(parents=True)
    summary, table = conclude(record, [run], {run.key: known}, None)
    assert summary["means"][0]["diverged"] == 1
    assert "1 of 1 diverged" in table[-1]


@pytest.fixture
def drive_adaptations(
    write_spec: Callable[..., Path], ready: Any, tiny: Tiny
) -> Callable[..., tuple[Driver[Adaptation], list[int]]]:
    """Drive 8 adaptations in two jobs, with nothing made; the driver, and its jobs' sizes."""

    def go(fate: Callable[[Member], str], **fields: Any) -> tuple[Driver[Adaptation], list[int]]:
        edits = ["verbatim", "continuation"]
        path = write_spec(baselines=[a_run(tiny)], edits=edits, rank=[1], full=None, **fields)
        sweep, *rest = ready(path)
        executor = FakeExecutor(fate)
        folder = Path("runs/sweeps/a")
        folder.mkdir(parents=True)
        driver: Driver[Adaptation] = Driver(
            sweep.spec,
            Grid(wanted_adaptations(sweep, *rest)),
            Ledger(Path("runs"), tracking_uri(), "tinyscale"),
            executor,
            Together(Machine(cores=2, gpus=0, free_bytes=2**33), workers=1),
            tags=lambda run: {},
            folder=folder,
            board=Board(),
            options=Options(),
        )
        driver.run()
        return driver, [len(job.members) for job in executor.jobs]

    return go


def test_a_dead_workers_adaptations_are_tried_again_together_then_alone(
    drive_adaptations: Callable[..., tuple[Driver[Adaptation], list[int]]],
) -> None:
    deaths: Counter[Any] = Counter()

    def fate(run: Member) -> str:
        if run.config.edit.kind == "verbatim" or deaths[run.key] == 2:  # type: ignore[union-attr]
            return "finished"
        deaths[run.key] += 1
        return "died"

    driver, sizes = drive_adaptations(fate)
    assert sizes == [4, 4, 4, 1, 1, 1, 1]
    assert driver.counts().done == 8


def test_a_job_that_fails_counts_once_and_the_next_is_made(
    drive_adaptations: Callable[..., tuple[Driver[Adaptation], list[int]]],
) -> None:
    def fate(run: Member) -> str:
        kind = run.config.edit.kind  # type: ignore[union-attr]
        return "failed" if kind == "verbatim" else "finished"

    driver, _ = drive_adaptations(fate, max_consecutive_failures=2)
    assert driver.stopped is None
    assert (driver.counts().done, driver.counts().failed) == (4, 4)


class Here(FakeExecutor):
    """Makes adaptations in this process."""

    def events(self, timeout: float) -> list[Event]:
        from sweeps.adapting.work import run_job
        from sweeps.channel import Channel

        return [run_job(self._waiting.pop(0), Channel(Pipe()))] if self._waiting else []  # type: ignore[arg-type]


def test_a_limit_makes_so_many_and_the_answer_is_json_where_asked_for(
    write_spec: Callable[..., Path],
    tiny: Tiny,
    tinyscale_here: Tinyscale,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sweeps.adapting.conduct.LocalExecutor", lambda *_: Here())
    write_spec(baselines=[a_run(tiny)], edits=["verbatim"], rank=[1], full=None, seeds=[1])
    for made in (1, 2):  # the second call makes what the first has left
        done = tinyscale_here("adapt", "a.yaml", "--limit", "1", "--json")
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert (answer["adaptations"], answer["done"]) == (2, made)
        assert len(answer["means"]) == len(rows_of(Path("runs/sweeps/a"))) == made
        assert f"{made} of 2 runs done" in done.stderr
    assert tinyscale_here("adapt", "a.yaml", "--limit", "0").returncode == 2


@pytest.mark.drill
def test_three_kills_lose_nothing_and_double_nothing(
    write_spec: Callable[..., Path], trains_here: None, tinyscale_here: Tinyscale
) -> None:
    write_spec(inner_steps=[1, 10], seeds=[1, 2])
    command = [sys.executable, "-m", "scaling.cli", "adapt", "a.yaml", "--no-timing"]

    def counts() -> tuple[int, int, int]:
        """Runs begun, adaptations begun, adaptations ended."""
        kinds = [f.read_record().tags.get("tinyscale.kind") for f in run_folders(Path("runs"))]
        ended = len(list(Path("runs").glob("*/adapt.jsonl")))
        return len(kinds), kinds.count("adaptation"), ended

    for moment in range(3):
        before = counts()[moment]
        driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while counts()[moment] == before:
            assert driver.poll() is None
            time.sleep(0.05)
        driver.kill()
        driver.communicate()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    store = client(tracking_uri())
    ids = [experiment.experiment_id for experiment in store.search_experiments()]
    runs = store.search_runs(
        ids, filter_string="tags.`tinyscale.kind` = 'adaptation'", max_results=1000
    )
    assert [run.info.status for run in runs] == ["FINISHED"] * 48
    keys = {(r.data.tags["tinyscale.identity"], r.data.tags["tinyscale.seed"]) for r in runs}
    assert len(keys) == 48

    words = ("--no-timing", "--tracking.folder", "others", "--tracking.experiment", "o")
    assert tinyscale_here("adapt", "a.yaml", *words).returncode == 0
    (whole,) = Path("others/sweeps").glob("a*/adapt.jsonl")
    figures = [
        {
            # A baseline's label has its sweep's name in it, and its run's id.
            (row["baseline"].split("d_model=")[1][:2], *(row[name] for name in PLACE[1:])): (
                row["gain"],
                row["forgetting"],
            )
            for row in rows_of(folder)
        }
        for folder in (Path("runs/sweeps/a"), whole.parent)
    ]
    assert len(figures[0]) == 48 and figures[0] == figures[1]
