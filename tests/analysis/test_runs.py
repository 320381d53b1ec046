"""The runs table: what counts, what stands apart, and how mistakes are answered."""

import math
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas as pd
import pytest
from mlflow import MlflowClient

from analysis.curves import curves
from analysis.runs import Selection, read_runs
from analysis.store import history
from analysis.units import choose
from scaling.errors import UserError
from scaling.tracking.members import Members
from scaling.tracking.sent import Sent
from tests.analysis.recorded import LAW, Recorder


def test_finished_runs_count_and_the_others_stand_apart(studied: Recorder) -> None:
    table = read_runs(Selection(store=studied.uri, experiment="study"))
    assert len(table.runs) == 30
    assert sorted(table.apart["why"]) == [
        "diverged",
        "failed",
        "pruned",
        "repeated later with the same config and seed",
        "stopped before its end",
        "unfinished",
    ]
    assert set(table.runs["run_id"]).isdisjoint(table.apart["run_id"])
    assert table.runs.groupby("group")["seed"].nunique().eq(2).all()


def test_columns_say_counts_budget_and_final_loss(studied: Recorder) -> None:
    runs = read_runs(Selection(store=studied.uri)).runs  # the only experiment
    row = runs[(runs["width"] == 64) & (runs["D"] > 3e6) & (runs["seed"] == 1)].iloc[0]
    assert row["N"] == 12 * 2 * 64**2 + 512 * 64
    assert row["N_non_embedding"] == 12 * 2 * 64**2
    assert row["D"] == 3125 * 1024 == row["resolved.tokens"]
    assert row["C"] == pytest.approx(6 * row["N"] * row["D"])
    assert row["loss"] == row["final/val_loss"] > row["best_loss"] == row["best/val_loss"]
    assert row["steps"] == row["schedule_steps"] == 3125
    assert row["warmup_steps"] == round(0.05 * 3125)
    assert row["epochs"] == pytest.approx(row["D"] / 700_000)
    assert row["floor"] == LAW["E"]
    assert row["floor_bpb"] == LAW["E"] * 0.72


def test_a_filter_and_names_select(studied: Recorder) -> None:
    condition = "params.`model.d_model` = '64'"
    few = read_runs(Selection(store=studied.uri, experiment="study", filter=condition))
    assert set(few.runs["width"]) == {64}
    named = read_runs(Selection(store=studied.uri, runs=("w256", few.runs["run_id"][0][:8])))
    assert set(named.runs["name"]) == {"w256", "w64"}
    assert list(named.runs["asked"].unique()) in ([0, 1], [1, 0])
    own = str(few.runs["id"][0])  # our own id, of which a beginning is enough too
    assert list(read_runs(Selection(store=studied.uri, runs=(own[:6],))).runs["id"]) == [own]


def test_a_sweep_is_its_tagged_runs_or_its_parents_children(
    workplace: Path, studied: Recorder
) -> None:
    recorder = Recorder(workplace)
    experiment = recorder.store.create_experiment("study")
    parent = recorder.store.create_run(experiment, run_name="widths").info.run_id
    recorder.record(seed=1, tags={"mlflow.parentRunId": parent})
    recorder.record(seed=2, tags={"tinyscale.sweep": "widths"})
    recorder.record(seed=3)
    table = read_runs(Selection(store=recorder.uri, sweep="widths"))
    assert sorted(table.runs["seed"]) == [1, 2]
    assert table.apart.empty  # the sweep's own run is no training run
    with pytest.raises(UserError, match="did you mean 'widths'"):
        read_runs(Selection(store=recorder.uri, sweep="width"))


def test_runs_of_another_program_under_one_name_are_told_apart_by_their_size(
    workplace: Path,
) -> None:
    recorder = Recorder(workplace)
    experiment = recorder.store.create_experiment("theirs")
    for size in (10_000, 20_000):
        for loss in (2.5, 2.4):
            run = recorder.store.create_run(experiment, run_name="./results").info.run_id
            recorder.store.log_param(run, "n", size)
            recorder.store.log_metric(run, "eval_loss", loss)
            recorder.store.set_terminated(run)
    found = read_runs(Selection(store=recorder.uri, experiment="theirs", columns={"N": "n"})).runs
    assert found.groupby("group")["N"].unique().map(list).tolist() == [[10_000], [20_000]]
    assert choose(found).losses.endswith(
        "as is assumed of runs that do not say what their tokens are."
    )


def test_a_search_has_what_it_wants_and_what_it_has_begun(workplace: Path) -> None:
    recorder = Recorder(workplace)
    shared = recorder.record(seed=1, tags={"tinyscale.sweep": "other"}).read_record()
    recorder.record(seed=2, tags={"tinyscale.sweep": "s"})
    experiment = recorder.store.get_experiment_by_name("study")
    assert experiment is not None
    tags = {"tinyscale.kind": "sweep", "tinyscale.sweep": "s"}
    parent = recorder.store.create_run(
        experiment.experiment_id, tags=tags, run_name="s"
    ).info.run_id
    for grows, seeds in ((False, [1]), (True, [1, 2])):
        Members({(shared.identity, shared.seed): {}}, grows).write(workplace)
        recorder.store.log_artifact(parent, str(workplace / "wanted.json"))
        found = read_runs(Selection(store=recorder.uri, sweep="s")).runs
        assert sorted(found["seed"]) == seeds


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ({"experiment": "stody"}, "no experiment 'stody'.*did you mean 'study'"),
        ({"runs": ("w62",)}, "no run 'w62'.*did you mean"),
        ({"experiment": "study", "filter": "params.x ="}, "does not take --filter"),
        ({"experiment": "study", "columns": {"N": "size"}}, "no.* parameter or metric 'size'"),
        ({"experiment": "Default"}, "no runs"),
    ],
)
def test_mistakes_are_one_sentence(
    studied: Recorder, selection: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=f"(?i){said}") as raised:
        read_runs(Selection(store=studied.uri, **selection))  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_no_store_is_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no store"):
        read_runs(Selection(store=f"sqlite:///{tmp_path}/none.db"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sqlite:///notes.db", "notes.db does not answer: .*not a database"),
        ("postgresql://127.0.0.1:9/none", "postgresql://127.0.0.1:9/none does not answer"),
        ("notes.db", "as a store it is sqlite:///notes.db"),
    ],
    ids=["no database", "no driver", "no URI"],
)
@pytest.mark.usefixtures("workplace")
def test_what_is_no_store_is_one_sentence(uri: str, said: str) -> None:
    Path("notes.db").write_text("Nobody has made tables here.")
    with pytest.raises(UserError, match=said) as raised:
        read_runs(Selection(store=uri))
    assert "\n" not in str(raised.value)


def test_no_finished_run_says_what_there_is(workplace: Path) -> None:
    recorder = Recorder(workplace)
    recorder.record(status="FAILED")
    with pytest.raises(UserError, match=r"No finished run .*1 failed"):
        read_runs(Selection(store=recorder.uri, experiment="study"))


def test_an_infinite_loss_is_no_measurement(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    store = MlflowClient(tracking_uri=uri)
    experiment = store.create_experiment("foreign")
    for loss in (3.0, math.inf, math.nan):
        run = store.create_run(experiment).info.run_id
        store.log_metric(run, "val_loss", loss)
        store.set_terminated(run)
    table = read_runs(Selection(store=uri, experiment="foreign"))
    assert list(table.runs["loss"]) == [3.0]
    assert sorted(table.apart["why"]) == [
        "finished with an infinite loss",
        "finished without a validation loss",
    ]


def test_curves_come_from_the_runs_own_table(studied: Recorder) -> None:
    table = read_runs(Selection(store=studied.uri, experiment="study"))
    row = table.runs.iloc[0].to_dict()
    frame = curves(row, table.uri)
    assert frame["val/loss"].iloc[0] == pytest.approx(6.238, abs=0.01)
    last = frame.dropna(subset=["val/loss"]).iloc[-1]
    assert last["val/loss"] == row["loss"]
    assert last["flops"] == pytest.approx(row["C"])
    points = frame.dropna(subset=["train/loss"])
    assert frame["seconds"].iloc[0] == 0 and last["seconds"] == 3.0 * len(points)
    assert last["weight_norm"] == pytest.approx((4**2 + 4**2) ** 0.5)


def test_a_run_that_recorded_no_time_is_reckoned_by_its_speed(
    studied: Recorder, tmp_path: Path
) -> None:
    table = read_runs(Selection(store=studied.uri, experiment="study"))
    row = table.runs.iloc[0].to_dict()
    metrics = pd.read_csv(Path(unquote(urlparse(row["artifacts"]).path)) / "metrics.csv")
    metrics.drop(columns="seconds").to_csv(tmp_path / "metrics.csv", index=False)
    row["artifacts"] = str(tmp_path)
    last = curves(row, table.uri).dropna(subset=["val/loss"]).iloc[-1]
    assert 0 < last["seconds"] == pytest.approx(row["D"] / 50_900, rel=0.05)


def test_runs_of_others_are_read_from_metric_history(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    store = MlflowClient(tracking_uri=uri)
    experiment = store.create_experiment("foreign")
    for size in (100, 1000, 10_000):
        run = store.create_run(experiment, run_name=f"theirs{size}").info.run_id
        store.log_param(run, "n_params", size)
        points = ((1, 5.0), (2, 4.0), (2, 2.0), (2, 3.0 + 1 / size))
        for k, (step, loss) in enumerate(points):
            store.log_metric(run, "val_loss", loss, step=step, timestamp=1000 * (k + 1))
        store.set_terminated(run)
    table = read_runs(Selection(store=uri, experiment="foreign", columns={"N": "n_params"}))
    assert list(table.runs["N"]) == [100, 1000, 10_000]
    assert list(table.runs["loss"]) == [3.0 + 1 / size for size in (100, 1000, 10_000)]
    frame = curves(table.runs.iloc[0].to_dict(), uri)
    assert list(frame["step"]) == [1, 2]  # one row a step, the latest point of it
    assert list(frame["val/loss"]) == [5.0, 3.0 + 1 / 100]
    assert set(history(uri, run, ["nothing"])) == set()


def test_runs_of_others_keep_their_own_entries(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    store = MlflowClient(tracking_uri=uri)
    experiment = store.create_experiment("foreign")
    own = {"lr": 0.01, "batch_size": 8, "width": 64, "context_length": 32, "steps": 50}
    for loss in (3.0, -1.0):
        run = store.create_run(experiment).info.run_id
        for name, value in (own | {"depth": "deep", "C": 1}).items():
            store.log_param(run, name, value)
        for name, value in {"val_loss": loss, "test_loss": 3.1, "lr": 0.0, "D": 5.0}.items():
            store.log_metric(run, name, value)
        store.set_terminated(run)
    found = read_runs(Selection(store=uri, experiment="foreign"))
    (row,) = found.runs.to_dict("records")
    expected = own | {"test_loss": 3.1, "depth": "deep", "C": None, "D": None}
    assert {name: row[name] for name in expected} == expected
    assert list(found.apart["why"]) == ["its loss is not positive"]


def copy_runs(path: Path, seeds: int) -> None:
    """Give a store of runs of seed 0 copies of them for seeds 1, 2, ... in its own rows.

    To record as many takes a tenth of a second a run, and says no more of reading them.
    """
    own = {"seed": "number", "tinyscale.seed": "number", "tinyscale.id": "value || '-' || number"}
    cases = " ".join(f"WHEN '{key}' THEN {value}" for key, value in own.items())
    with closing(sqlite3.connect(path)) as store, store:
        for table in ("runs", "params", "tags", "metrics", "latest_metrics"):
            names = [str(name) for _, name, *_ in store.execute(f"PRAGMA table_info({table})")]
            values = dict(zip(names, names, strict=True))
            values["run_uuid"] = "substr(run_uuid, 1, 28) || printf('%04d', number)"
            if table in ("params", "tags"):
                values["value"] = f"CASE key {cases} ELSE value END"
            store.execute(
                "WITH RECURSIVE numbers(number) AS"
                f" (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {seeds - 1})"
                f" INSERT INTO {table} ({', '.join(values)})"
                f" SELECT {', '.join(values.values())} FROM {table}, numbers"
            )


@pytest.mark.slow
def test_a_thousand_runs_in_five_seconds(workplace: Path) -> None:
    recorder = Recorder(workplace)
    for width in (16, 32, 48, 64, 80, 96, 112, 128, 144, 160):
        recorder.record(width=width, seed=0, points=1)
    copy_runs(workplace / "mlflow.db", seeds=100)
    start = time.process_time()
    table = read_runs(Selection(store=recorder.uri, experiment="study"))
    assert len(table.runs) == 1000
    assert time.process_time() - start < 5
    assert table.runs["id"].is_unique
    assert table.runs.groupby("group")["seed"].nunique().tolist() == [100] * 10


def test_a_training_with_a_run_below_it_and_what_others_launched_count(workplace: Path) -> None:
    recorder = Recorder(workplace)
    folder = recorder.record(points=2)
    theirs = recorder.store.create_run("1", tags={"mlflow.project.entryPoint": "main"}).info.run_id
    above = recorder.store.create_run("1", run_name="above").info.run_id
    launched = recorder.store.create_run("1", tags={"mlflow.project.entryPoint": "train"})
    for run in (theirs, above):
        recorder.store.log_metric(run, "eval_loss", 2.5)
    run_id = Sent.read(folder).run_id
    for parent in (run_id, above):
        recorder.store.create_run("1", tags={"mlflow.parentRunId": parent}, run_name="below")
    for run in (theirs, above, launched.info.run_id):
        recorder.store.set_terminated(run)
    found = read_runs(Selection(store=recorder.uri))
    assert set(found.runs["run_id"]) == {run_id, theirs}
    why = dict(zip(found.apart["name"], found.apart["why"], strict=True))
    assert why["above"] == "other runs are nested below it"
    assert launched.info.run_id not in set(found.apart["run_id"])
    curve = curves(found.runs[found.runs["run_id"] == theirs].iloc[0], recorder.uri)
    assert list(curve["val/loss"].dropna()) == [2.5]
