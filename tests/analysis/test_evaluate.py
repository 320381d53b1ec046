"""`tinyscale evaluate` against the trainer's own figures, and a count by hand."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from mlflow import MlflowClient

from analysis.cli import evaluate
from scaling.config import RunConfig
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.runs import load_model
from scaling.runtime import resolve
from scaling.tracking.sent import Sent
from scaling.trained import Trained
from scaling.training import train
from tests.scaling.trained_run import make_run


def test_every_checkpoint_on_every_split(tiny: Callable[..., RunConfig], workplace: Path) -> None:
    flags = ("--evaluation.tokens", "all", "--checkpoint.every", "10", "--checkpoint.keep", "9")
    config = tiny(*flags)
    (result,) = train([config], say=lambda _: None, progress=lambda _: None)
    words = ["tiny", "--split", "all", "--max-samples", "0", "--checkpoints", "all"]
    answer = CliRunner().invoke(
        evaluate, [*words, "--output", "out/results.json"], catch_exceptions=False
    )
    assert "accuracy" in answer.stdout
    found = json.loads((workplace / "out/results.json").read_text())["results"]
    assert {(one["step"], one["split"]) for one in found} == {
        (step, split) for step in (10, 20, 30) for split in ("train", "validation", "test")
    }
    final = next(one for one in found if (one["step"], one["split"]) == (30, "validation"))
    assert final["loss"] == pytest.approx(result.summary["final_val_loss"], rel=1e-5)
    assert final["bpb"] == pytest.approx(result.summary["final_val_bpb"], rel=1e-5)
    test = next(one for one in found if (one["step"], one["split"]) == (30, "test"))
    assert test["loss"] == pytest.approx(result.summary["final_test_loss"], rel=1e-5)
    with (workplace / "out/evaluation_results.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 9

    # Accuracy by hand: windows of the context that do not overlap, each guess one of them.
    model, _ = load_model(result.folder, 30, resolve(config.runtime))
    stream_ids = torch.from_numpy(prepare(config.data).validation.tokens_array().astype(int))
    right = 0
    for start in range(0, len(stream_ids) - 1, 32):
        window = stream_ids[start : start + 33]
        guess = model(window[None, None, :-1])[0, 0].float().argmax(-1)
        right += int((guess == window[1:]).sum())
    assert final["accuracy"] == pytest.approx(right / (len(stream_ids) - 1), abs=0.002)

    store = MlflowClient(tracking_uri=result.folder.read_record().uri)
    run_id = Sent.read(result.folder).run_id
    assert run_id is not None
    few = CliRunner().invoke(
        evaluate, ["tiny", "--max-samples", "5", "--json"], catch_exceptions=False
    )
    assert json.loads(few.stdout)["results"][0]["documents"] == 5
    kept = {
        folder.path.rpartition("-")[0]: {
            Path(one.path).name for one in store.list_artifacts(run_id, folder.path)
        }
        for folder in store.list_artifacts(run_id, "evaluation")
    }
    files = {"results.json", "evaluation_results.csv"}
    assert kept == {
        "evaluation/train-validation-test": files,
        "evaluation/validation": files,
    }
    with pytest.raises(UserError, match="no checkpoint 7; it has"):
        CliRunner().invoke(evaluate, ["tiny", "--checkpoints", "7"], catch_exceptions=False)
    with pytest.raises(UserError, match="no run tinny"):
        CliRunner().invoke(evaluate, ["tinny"], catch_exceptions=False)

    some = CliRunner().invoke(
        evaluate, ["tiny", "--tokens", "500", "--no-log", "--json"], catch_exceptions=False
    )
    assert json.loads(some.stdout)["results"][0]["documents"] is None


def test_all_splits_are_those_that_there_are_and_outputs_keep_apart(
    tiny: Callable[..., RunConfig], workplace: Path
) -> None:
    config = tiny("--data.test_share", "0")
    make_run(Path("runs"), config, prepare(config.data).tokenizer)
    words = ["tiny", "--max-samples", "2", "--no-log"]
    outputs = (["all", "--output", "a.json"], ["validation", "--output", "b.json"])
    for more in outputs:
        done = CliRunner().invoke(evaluate, [*words, "--split", *more], catch_exceptions=False)
        assert ("The data of this model has no test split." in done.stderr) is ("all" in more)
    found = json.loads(Path("a.json").read_text())["results"]
    assert [one["split"] for one in found] == ["train", "validation"]
    rows = list(csv.DictReader(Path("evaluation_results.csv").read_text().splitlines()))
    assert [row["split"] for row in rows] == ["train", "validation"]  # the second one made anew
    own = ["--split", "validation", "--output", "evaluation_results.csv"]
    with pytest.raises(UserError, match="the name of the table"):
        CliRunner().invoke(evaluate, [*words, *own], catch_exceptions=False)
    Path("evaluation_results.csv").write_text("mine,alone\n")
    with pytest.raises(UserError, match="another table than ours: move it away"):
        CliRunner().invoke(evaluate, [*words, "--output", "c.json"], catch_exceptions=False)
    with pytest.raises(UserError, match="no test split"):
        CliRunner().invoke(evaluate, [*words, "--split", "test"], catch_exceptions=False)


def test_files_are_judged_as_training_reads_them(
    tiny: Callable[..., RunConfig], workplace: Path
) -> None:
    tokenizer = prepare(tiny().data).tokenizer
    run = make_run(Path("runs"), tiny("--data.corpus.separator", "'##'"), tokenizer)
    found = []
    for name, text in (
        ("plain.txt", "the cat##a dog ran"),
        ("gaps.txt", "## \n##the cat####a dog ran"),
    ):
        Path(name).write_text(text)
        words = [str(run.path), "--files", name, "--no-log", "--json"]
        answer = CliRunner().invoke(evaluate, words, catch_exceptions=False)
        found += json.loads(answer.stdout)["results"]
    assert found[0]["tokens"] == found[1]["tokens"] == len("the cat a dog ran") + 1
    assert found[0]["loss"] == found[1]["loss"]
    first = CliRunner().invoke(evaluate, [*words, "--tokens", "1"], catch_exceptions=False)
    assert json.loads(first.stdout)["results"][0]["tokens"] == 1


def test_how_other_files_are_read_may_be_said(
    tiny: Callable[..., RunConfig], workplace: Path
) -> None:
    run = make_run(Path("runs"), tiny(), prepare(tiny().data).tokenizer)
    Path("a.txt").write_text("the cat<|endoftext|>a dog ran")
    Path("b.txt").write_text("the cat\n\na dog ran")
    Path("c.csv").write_text("story\nthe cat\na dog ran\n")
    losses = set()
    for words in (
        ["a.txt"],
        ["b.txt", "--separator", r'"\n\n"'],
        ["c.csv", "--text-field", "story"],
    ):
        given = [str(run.path), "--no-log", "--json", "--files", *words]
        answer = CliRunner().invoke(evaluate, given, catch_exceptions=False)
        losses |= {result["loss"] for result in json.loads(answer.stdout)["results"]}
    assert len(losses) == 1
    given = [str(run.path), "--no-log", "--json", "--files", "b.txt", "--separator", "\n\n"]
    answer = CliRunner().invoke(evaluate, given, catch_exceptions=False)
    assert {result["loss"] for result in json.loads(answer.stdout)["results"]} == losses
    with pytest.raises(UserError, match="--separator says how other texts are read"):
        CliRunner().invoke(evaluate, ["tiny", "--separator", "x"], catch_exceptions=False)
    with pytest.raises(UserError, match="--separator spells out a backslash and a letter"):
        spelt = [*given[:-1], r"\n\n"]
        CliRunner().invoke(evaluate, spelt, catch_exceptions=False)


@pytest.mark.parametrize(("option", "value"), [("--split", "validation"), ("--max-samples", "5")])
def test_what_is_of_the_models_own_data_is_not_of_files(option: str, value: str) -> None:
    words = ["tiny", "--files", "some.txt", option, value]
    said = f"^{option} is of the model's own data: leave it out with --files"
    with pytest.raises(UserError, match=said):
        CliRunner().invoke(evaluate, words, catch_exceptions=False)


def test_a_model_or_a_place_that_gives_no_answer(
    tiny: Callable[..., RunConfig], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("--name", "lost")
    tokenizer = prepare(config.data).tokenizer
    run = make_run(Path("runs"), config, tokenizer, spread=math.inf)
    Path("text.txt").write_text("the cat sat")
    words = ["lost", "--files", "text.txt", "--no-log"]
    with pytest.raises(UserError, match=rf"^{run.path.name} at step 30: .* are not finite"):
        CliRunner().invoke(evaluate, [*words, "--json"], catch_exceptions=False)
    monkeypatch.setattr(Trained, "load", None)
    words += ["--output", "text.txt/results.json"]
    with pytest.raises(UserError, match=r"text\.txt cannot be written"):
        CliRunner().invoke(evaluate, words, catch_exceptions=False)


def test_characters_that_the_tokenizer_does_not_know(
    tiny: Callable[..., RunConfig], workplace: Path
) -> None:
    config = tiny("--data.tokenizer.kind", "char")
    make_run(Path("runs"), config, prepare(config.data).tokenizer)
    words = ["tiny", "--no-log", "--json", "--files"]
    Path("some.txt").write_text("the cat ЖЖ")
    done = CliRunner().invoke(evaluate, [*words, "some.txt"], catch_exceptions=False)
    (found,) = json.loads(done.stdout)["results"]
    assert found["unknown"] == pytest.approx(2 / 11) and found["bpb"] is None
    assert "18.2% of the tokens of some.txt stand for characters that the tok" in done.stderr
    assert CliRunner().invoke(evaluate, [*words[:2], "--files", "some.txt"]).exit_code == 0
    Path("plain.txt").write_text("the cat")
    done = CliRunner().invoke(evaluate, [*words, "plain.txt"], catch_exceptions=False)
    (found,) = json.loads(done.stdout)["results"]
    assert found["unknown"] == 0 and found["bpb"] == pytest.approx(
        found["loss"] * 8 / 7 / math.log(2)
    )
    Path("strange.txt").write_text("中文")
    with pytest.raises(UserError, match=r"The 3 tokens of strange\.txt stand for no text"):
        CliRunner().invoke(
            evaluate, ["tiny", "--files", "strange.txt", "--no-log"], catch_exceptions=False
        )
