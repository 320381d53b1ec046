"""Prompt evals over runs: tables against sums by hand, the record, the store, the command."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from analysis.eval_cli import eval as command
from analysis.prompts import record
from analysis.prompts.evaluate import Evaluation, evaluate
from analysis.prompts.report import Report
from analysis.prompts.tables import (
    breakdown,
    figures,
    loss_column,
    rank_correlation,
    summary,
    wilson,
)
from analysis.select import select
from scaling.checkpoint import Checkpoints
from scaling.config import CharTokenizer
from scaling.data.training import make
from scaling.errors import UserError
from scaling.export.write import export
from scaling.prompts.answer import AskSettings
from scaling.prompts.item import PromptSet, read_prompts
from scaling.tracking.folder import RunFolder
from scaling.tracking.members import Members
from scaling.tracking.sent import Sent
from scaling.tracking.store import client, sync
from scaling.trained import Trained, find_trained, of_run
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config

ITEMS = [
    {"id": "a", "category": "x", "difficulty": 1, "score": 1, "prompt": "A", "answers": ["b"],
     "choices": ["c", "d"]},
    {"id": "b", "category": "x", "difficulty": 2, "score": 2, "prompt": "The", "answers": ["e"],
     "match": "regex", "max_tokens": 4},
    {"id": "c", "category": "y", "difficulty": 2, "score": 5, "prompt": "B", "answers": ["q"],
     "choices": ["r"]},
]  # fmt: skip


@pytest.fixture
def prompts(workplace: Path) -> PromptSet:
    (workplace / "set.json").write_text(json.dumps(ITEMS))
    return read_prompts(workplace / "set.json")


@pytest.fixture
def runs(workplace: Path) -> list[RunFolder]:
    """Three runs, two of one group."""
    tokenizer = byte_tokenizer()
    return [
        make_run(Path("runs"), tiny_config(f"--name {name} --seed {seed} {more}"), tokenizer)
        for name, seed, more in (
            ("small", 1, ""),
            ("small", 2, ""),
            ("wide", 1, "--model.d_model 32"),
        )
    ]


def _rows(*passed: bool, p: float | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [str(i) for i in range(len(passed))],
            "passed": passed,
            "points": [2.0 * (i + 1) * value for i, value in enumerate(passed)],
            "score": [2.0 * (i + 1) for i in range(len(passed))],
            "chance": 0.5,
            "p_right": p,
        }
    )


def test_figures_by_hand() -> None:
    found = figures(_rows(True, False, True, p=0.25))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["points"] == 8 and found["points_possible"] == 12
    assert found["weighted_score"] == pytest.approx(8 / 12)
    assert found["p_right"] == pytest.approx(0.25) == found["p_right_low"]
    assert found["chance"] == 0.5
    low, high = found["weighted_score_low"], found["weighted_score_high"]
    assert low is not None and high is not None and low < 8 / 12 < high


def test_wilsons_interval_is_the_textbooks() -> None:
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0.0, 10)[0] == 0 and wilson(1.0, 10)[1] == pytest.approx(1)


def test_rank_correlation_needs_three_that_differ() -> None:
    assert rank_correlation([1, 2, 3], [9, 4, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None


def test_tables_have_a_row_a_model_and_part(prompts: PromptSet, runs: list[RunFolder]) -> None:
    found = evaluate([of_run(run) for run in runs], prompts, AskSettings())
    table = summary(found)
    assert list(table["run"]) == [run.path.name for run in runs]
    assert table["parameters"].iloc[2] > table["parameters"].iloc[0]
    assert list(table["val_loss"]) == pytest.approx([4.01, 4.02, 4.01])
    assert set(table["items"]) == {3}
    parts = breakdown(found, "category")
    assert list(parts["category"]) == ["x", "y"] * 3 and list(parts["items"]) == [2, 1] * 3
    assert list(breakdown(found, "difficulty")["difficulty"]) == [1, 2] * 3
    assert parts["points"].sum() == pytest.approx(table["points"].sum())


def test_losses_of_different_tokenizers_are_held_against_answers_in_bits_per_byte(
    prompts: PromptSet, runs: list[RunFolder]
) -> None:
    models = [
        replace(trained, config=config, facts=replace(trained.facts, loss=loss, bpb=bpb))
        for trained, config, loss, bpb in zip(
            map(of_run, runs),
            [tiny_config("--data.tokenizer.kind byte")] * 2 + [tiny_config("")],
            (0.9, 1.0, 2.9),
            (1.4, 1.5, 1.1),
            strict=True,
        )
    ]
    found = evaluate(models, prompts, AskSettings())
    found.results["p_right"] = found.results["run"].map(
        {model.label: 1 - (model.facts.bpb or 0) / 2 for model in models}
    )
    report = Report.of(found)
    assert report.correlations["p_right"]["val_bpb"] == pytest.approx(-1)
    assert "val_loss" not in report.correlations["p_right"]
    text = report.markdown()
    assert "| val bpb |" in text and "| 1.4000 |" in text and "| 0.9000 |" not in text
    assert "p_right with val_bpb -1.00" in text
    assert "The tokenizers differ, so losses are in bits per byte." in text
    alone = report.one(models[0]).markdown()
    assert "| val loss |" in alone and "| 0.9000 |" in alone


@pytest.mark.parametrize(
    ("text", "tokenizer", "data", "column"),
    [
        ("tt", "bb", "xx", "val_loss"),
        ("tu", "bb", "xx", "val_loss"),  # the same files at two places
        ("tt", "bc", "xy", "val_bpb"),
        ("tu", "bc", "xy", None),
        ("tu", "bb", "xy", None),
        ("tt", "bb", "xy", None),  # the text has changed between the two
    ],
)
def test_losses_compare_on_one_text(
    text: str, tokenizer: str, data: str, column: str | None
) -> None:
    table = pd.DataFrame(
        {"text": [*text], "tokenizer": [*tokenizer], "data": [*data], "val_bpb": [1.0, 2.0]}
    )
    assert loss_column(table) == column
    table["val_bpb"] = [1.0, None]  # of a tokenizer that does not know its text
    assert loss_column(table) == (None if column == "val_bpb" else column)


def test_losses_on_different_texts_are_not_held_against_answers(
    prompts: PromptSet, runs: list[RunFolder]
) -> None:
    for run, digest in zip(runs, "aab", strict=True):
        run.update(dataset={"digest": digest})
    models = [of_run(run) for run in runs]
    report = Report.of(evaluate(models, prompts, AskSettings()))
    assert {frozenset(axes) for axes in report.correlations.values()} == {
        frozenset(("parameters", "tokens"))
    }
    text = report.markdown()
    assert "The models learned from different texts: their losses do not compare." in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[0] == "| run | parameters | step | accuracy | weighted score | p(right) |"
    assert len({line.count("|") for line in table}) == 1
    same = Report.of(evaluate(models[:2], prompts, AskSettings())).markdown()
    assert "| val loss |" in same and "different texts" not in same
    others = [
        replace(model, config=tiny_config(f"--data.corpus.seed {seed} {more}"))
        for seed, (model, more) in enumerate(
            zip(models, ("", "", "--data.tokenizer.kind byte"), strict=True)
        )
    ]
    assert loss_column(summary(evaluate(others[:2], prompts, AskSettings()))) == "val_loss"
    assert loss_column(summary(evaluate(others[1:], prompts, AskSettings()))) is None


def test_an_unchanged_model_is_not_asked_again(
    prompts: PromptSet, runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [of_run(run) for run in runs]
    first = evaluate(models, prompts, AskSettings())
    assert first.fresh == 3
    with monkeypatch.context() as nothing:
        nothing.setattr(Trained, "load", _never)
        again = evaluate(models, prompts, AskSettings())
    assert again.fresh == 0
    pd.testing.assert_frame_equal(first.results, again.results)
    assert evaluate(models, prompts, AskSettings(seed=1)).fresh == 3
    assert evaluate(models, prompts, AskSettings(), again=True).fresh == 3


def test_answers_that_cannot_be_put_on_record_are_given(
    prompts: PromptSet, runs: list[RunFolder]
) -> None:
    models = [of_run(run) for run in runs]
    (runs[1].path / "evals").write_text("in the way")  # as a folder that cannot be written to
    said: list[str] = []
    found = evaluate(models, prompts, AskSettings(), say=said.append)
    assert set(found.results["run"]) == {model.label for model in models}
    assert [line for line in said if "on record" in line] == [
        f"{models[1].label}: its answers are not on record: File exists"
    ]
    assert evaluate(models, prompts, AskSettings()).fresh == 1


def test_a_checkpoint_that_the_run_has_left_behind(
    prompts: PromptSet, runs: list[RunFolder]
) -> None:
    """As a model that trains on does while others are asked."""
    trained = of_run(runs[0])
    weights = load_file(trained.weights)
    Checkpoints(runs[0].path / "checkpoints").save(
        40, weights, {"state": {}, "param_groups": []}, {}, best=True
    )
    assert not trained.weights.exists()
    said = rf"^{trained.label}: its checkpoint of step 30 is no longer there"
    with pytest.raises(UserError, match=said):
        evaluate([trained], prompts, AskSettings())


@pytest.mark.parametrize("asked", [ITEMS[:1], ITEMS[1:2]], ids=["chosen", "written"])
def test_a_model_without_finite_scores_is_named(
    workplace: Path, asked: list[dict[str, object]]
) -> None:
    (workplace / "set.json").write_text(json.dumps(asked))
    run = make_run(Path("runs"), tiny_config("--name lost"), byte_tokenizer(), spread=math.inf)
    with pytest.raises(UserError, match=r"^lost-\w+: This model's scores are not finite"):
        evaluate([of_run(run)], read_prompts(workplace / "set.json"), AskSettings())


def test_items_that_a_tokenizer_cannot_read_are_counted(prompts: PromptSet) -> None:
    tokenizer = make(CharTokenizer(), lambda: [["A The b c d"]], lambda _: None)
    run = make_run(Path("runs"), tiny_config("--data.tokenizer.kind char"), tokenizer)
    heard: list[str] = []
    evaluate([of_run(run)], prompts, AskSettings(), say=heard.append)
    assert "1 of 3 items hold characters that its tokenizer does not know" in heard[0]


def test_the_record_knows_what_it_is_of(prompts: PromptSet, runs: list[RunFolder]) -> None:
    one, two = of_run(runs[0]), of_run(runs[1])
    key = record.key_of(one, prompts, AskSettings())
    assert key == record.key_of(of_run(runs[0]), prompts, AskSettings())
    others = [
        record.key_of(two, prompts, AskSettings()),
        record.key_of(one, prompts.first(2), AskSettings()),
        record.key_of(one, prompts, AskSettings(temperature=0.5)),
    ]
    assert len({key, *others}) == 4


def test_selection(runs: list[RunFolder]) -> None:
    group = runs[0].read_record().tags["tinyscale.group"]
    runs[1].update(tags=runs[1].read_record().tags | {"tinyscale.group": "another-sweeps-name"})
    assert [t.label for t in select(["wide"])] == [runs[2].path.name]
    for name in (group, "another-sweeps-name"):
        assert {t.label for t in select([], group=name)} == {r.path.name for r in runs[:2]}
    every = select(["wide"], experiment="tinyscale")
    assert every[0].label == runs[2].path.name and len(every) == 3
    assert select([str(runs[1].path)], checkpoint=30)[0].step == 30
    wanted = runs[1].read_record()
    said = list[str]()
    Path("runs/sweeps/s").mkdir(parents=True)
    for grows, count in ((False, 1), (True, 2)):
        members = Members({(wanted.identity, wanted.seed): {}}, grows)
        members.write(Path("runs/sweeps/s"))
        runs[2].update(tags=runs[2].read_record().tags | {"tinyscale.sweep": "s"})
        assert len(select([], sweep="s", say=said.append)) == count
    runs[2].update(status="KILLED")
    assert [t.label for t in select([], sweep="s", say=said.append)] == [runs[1].path.name]
    assert said == [
        "1 of the 2 runs of sweep s are left out: not finished, diverged, pruned, or made again"
        " later."
    ]
    with pytest.raises(UserError, match="has no runs in sweep nothing"):
        select([], sweep="nothing")
    Path("mlflow.db").unlink()
    with pytest.raises(UserError, match="No run of sweep nothing is finished"):
        select([], sweep="nothing")
    with pytest.raises(UserError, match="Name runs"):
        select([])
    with pytest.raises(UserError, match="has no checkpoint 7"):
        select(["wide"], checkpoint=7)


def test_of_a_set_the_runs_of_another_folder_count_as_well(runs: list[RunFolder]) -> None:
    store = client(runs[0].read_record().uri)
    for run in runs:
        sync(run, store)
    away = Path("elsewhere") / runs[1].path.name
    away.parent.mkdir()
    runs[1].path.rename(away)
    said = list[str]()

    def selected() -> set[str]:
        return {t.label for t in select([], experiment="tinyscale", say=said.append)}

    assert selected() == {runs[0].path.name, runs[2].path.name}
    assert said == ["1 of the 3 runs of experiment tinyscale have no folder on this machine."]
    run_id = Sent.read(RunFolder(away)).run_id
    assert run_id is not None
    store.set_tag(run_id, "tinyscale.folder", str(away.resolve()))
    assert selected() == {run.path.name for run in runs}


def test_one_run_that_its_store_has_lost_keeps_no_other_out_of_it(
    prompts: PromptSet, runs: list[RunFolder]
) -> None:
    store = client(runs[0].read_record().uri)
    for run in runs:
        sync(run, store)
    lost, there = Sent.read(runs[0]).run_id, Sent.read(runs[2]).run_id
    assert lost is not None and there is not None
    store.delete_run(lost)
    report = Report.of(evaluate([of_run(run) for run in runs], prompts, AskSettings()))
    files = report.write(Path("out"))
    said = list[str]()
    assert report.publish(Path("out"), files, said.append) is not None
    assert "its answers are not in its store" in said[0] and runs[0].path.name in said[0]
    assert said[-1].endswith("and to 2 runs")
    assert len(store.get_metric_history(there, "eval/set/accuracy")) == 1


def test_a_store_that_is_down_is_asked_once(prompts: PromptSet, runs: list[RunFolder]) -> None:
    for run in runs:
        sync(run, client(run.read_record().uri))
        run.update(uri="http://127.0.0.1:9")
    report = Report.of(evaluate([of_run(run) for run in runs], prompts, AskSettings()))
    said = list[str]()
    assert report.publish(Path("out"), report.write(Path("out")), said.append) is None
    assert len(said) == 1 and "its answers are not in its store" in said[0]


@pytest.mark.slow
def test_everything_is_on_record_once(prompts: PromptSet, runs: list[RunFolder]) -> None:
    uri = runs[0].read_record().uri
    for run in runs:
        sync(run, client(uri))
    report = Report.of(evaluate([of_run(run) for run in runs], prompts, AskSettings()))
    files = report.write(Path("out"))
    (Path("out") / "figures/mine.png").touch()
    for name in (
        "eval_results.csv",
        "summary_table.csv",
        "summary_table.md",
        "category_breakdown.csv",
        "difficulty_breakdown.csv",
        "figures/categories.png",
        "figures/score.png",
    ):
        assert (Path("out") / name).stat().st_size > 0
    said: list[str] = []
    first = report.publish(Path("out"), files, said.append)
    assert report.publish(Path("out"), files, said.append) == first
    store = client(uri)
    assert first is not None
    logged = store.get_run(first)
    assert logged.data.tags["tinyscale.kind"] == "eval" and logged.info.status == "FINISHED"
    assert "eval_results.json" in logged.data.tags["mlflow.loggedArtifacts"]
    assert {f.path for f in store.list_artifacts(first)} >= {"eval_results.csv", "figures"}
    drawn = {f.path for f in store.list_artifacts(first, "figures")}
    assert "figures/score.png" in drawn and "figures/mine.png" not in drawn
    run_id = Sent.read(runs[0]).run_id
    assert run_id is not None
    there = {f.path for f in store.list_artifacts(run_id, "evals/set")}
    assert "evals/set/eval_results.csv" in there
    assert len(store.get_metric_history(run_id, "eval/set/accuracy")) == 1
    own = pd.read_csv(store.download_artifacts(run_id, "evals/set/eval_results.csv"))
    assert set(own["run"]) == {runs[0].path.name} and len(own) == 3

    # A part of the set is another evaluation, which replaces nothing of the whole one.
    part = Report.of(evaluate([of_run(runs[0])], prompts.first(1), AskSettings()))
    part.publish(Path("out"), part.write(Path("out")), said.append)
    assert len(store.get_metric_history(run_id, "eval/set/accuracy")) == 1
    assert len(store.get_metric_history(run_id, "eval/set-1-of-3/accuracy")) == 1
    again = pd.read_csv(store.download_artifacts(run_id, "evals/set/eval_results.csv"))
    assert len(again) == 3


def test_command(prompts: PromptSet, runs: list[RunFolder]) -> None:
    words = ["small", "wide", "--prompts", "set.json", "--no-log", "--out", "o", "--json"]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    assert [m["name"] for m in answer["models"]] == ["small", "wide"]
    assert Path(answer["folder"], "summary_table.md").exists()
    limited = CliRunner().invoke(command, [*words, "--limit", "2", "--checkpoint-step", "30"])
    assert json.loads(limited.stdout)["models"][0]["items"] == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--out", "set.json"), "set.json cannot be written: File exists"),
        (("--top-p", "1.5"), "top-p is 1.5, but it is above 0 and at most 1"),
        (("--top-p", "nan"), "top-p is nan, but it is above 0 and at most 1"),
    ],
)
def test_a_mistake_is_said_before_a_model_is_asked(
    prompts: PromptSet, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], said: str
) -> None:
    run = make_run(Path("runs"), tiny_config("--name small"), byte_tokenizer())
    monkeypatch.setattr(Trained, "load", _never)
    words = [str(run.path), "--prompts", "set.json", "--no-log", *more]
    with pytest.raises(UserError, match=said):
        CliRunner().invoke(command, words, catch_exceptions=False)


def test_models_of_one_name_are_told_apart(prompts: PromptSet, runs: list[RunFolder]) -> None:
    """Exports into folders of one name: their answers are not each other's."""
    for place, run in (("a/model", runs[0]), ("b/model", runs[2]), ("c/other", runs[1])):
        export(of_run(run), "safetensors", Path(place))
    words = ["a/model", "b/model", "c/other", "--prompts", "set.json", "--no-log"]
    done = CliRunner().invoke(command, [*words, "--out", "o", "--json"], catch_exceptions=False)
    rows = json.loads(done.stdout)["models"]
    assert [row["run"] for row in rows] == ["a/model", "b/model", "other"]
    alone = Report.of(evaluate([find_trained("b/model")], prompts, AskSettings())).summary
    assert rows[1]["items"] == 3 and rows[1]["p_right"] == pytest.approx(alone["p_right"][0])


def test_markdown_says_what_was_found(prompts: PromptSet, runs: list[RunFolder]) -> None:
    found: Evaluation = evaluate([of_run(run) for run in runs], prompts, AskSettings())
    text = Report.of(found).markdown()
    assert "| run | parameters |" in text and runs[2].path.name in text
    assert "p_right with val_loss" in text and "Blind choice passes" in text


def _never(*_: object) -> None:
    raise AssertionError("the model was loaded")
