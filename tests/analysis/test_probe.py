"""Story probes: what is written, how probable it is, and the gallery of it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from analysis.eval_cli import probe
from analysis.probe.prompts import read_texts
from analysis.probe.quality import quality_table
from analysis.probe.report import FILES
from analysis.probe.write import Story, Written, continue_all, write
from scaling.config import RunConfig, RuntimeConfig
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.runtime import resolve
from scaling.sampling import SamplingSettings
from scaling.tracking.store import client, sync
from scaling.trained import Trained, of_run
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config


def test_log_probability_is_of_the_continuation(tmp_path: Path) -> None:
    config = tiny_config("--data.context_length 48")
    run = make_run(tmp_path, config, byte_tokenizer())
    runtime = resolve(RuntimeConfig(device="cpu", precision="fp32", compile=False))
    model, tokenizer = of_run(run).load(runtime)
    settings = SamplingSettings(max_tokens=9, temperature=1.0, top_k=None, top_p=None)
    found = continue_all(model, tokenizer, ["One day", "A"], settings, 2)
    assert [(s.prompt, s.sample) for s in found] == [
        ("One day", 0),
        ("One day", 1),
        ("A", 0),
        ("A", 1),
    ]
    for story in found:
        prompt = [tokenizer.eot, *tokenizer.encode(story.prompt)]
        ids = torch.tensor([*prompt, *story.ids, *([tokenizer.eot] if story.ended else [])])
        with torch.no_grad():
            logs = model(ids[None, None, :-1])[0, 0].log_softmax(-1)
        expected = logs.gather(-1, ids[1:, None])[len(prompt) - 1 :].sum()
        assert story.log_p == pytest.approx(float(expected), rel=1e-4)
    alone = continue_all(model, tokenizer, ["A "], settings, 2)  # as if without the space
    assert {s.prompt for s in alone} == {"A"}
    assert [s.text for s in alone] == [s.text for s in found[2:]]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", "One\n\n Two \nOne\n", ["One", "Two"]),
        ("a.yaml", "- |-\n  One\n  more\n- Two", ["One\nmore", "Two"]),
        ("a.json", '[{"prompt": "One", "category": "x"}, "Two", "One "]', ["One", "Two"]),
        ("b.json", '{"prompts": ["One"]}', ["One"]),
    ],
)
def test_files_of_prompts(tmp_path: Path, name: str, text: str, expected: list[str]) -> None:
    (tmp_path / name).write_text(text)
    assert read_texts(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no prompts"),
        ("7", "a list of texts"),
        ("[3]", "prompt 1 is 3"),
        ("[", "not valid JSON at line 1"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=said):
        read_texts(tmp_path / "a.json")


def test_gallery_of_two_models(tiny: Callable[..., RunConfig], workplace: Path) -> None:
    one, two = tiny("--name", "one"), tiny("--name", "two", "--model.d_model", "32")
    tokenizer = prepare(one.data).tokenizer
    for config in (one, two):
        make_run(Path("runs"), config, tokenizer)
    words = ["one", "two", "--prompt", "the <b>cat", "--num-samples", "2", "--max-tokens", "40"]
    words += ["--out", "out", "--out-json", "f.json", "--judge", "two", "--json"]
    (workplace / "out").mkdir()
    (workplace / "out/mine.txt").touch()
    done = CliRunner().invoke(probe, words)
    assert done.exit_code == 0, done.output
    store = client(f"sqlite:///{workplace}/mlflow.db")
    logged = store.list_artifacts(done.stderr.split("logged to the store as run ")[1].split()[0])
    assert {one.path for one in logged} == {*FILES}
    answer = json.loads(done.stdout)
    assert answer == json.loads(Path("f.json").read_text())
    assert [len(model["stories"]) for model in answer["models"]] == [2, 2]
    runs = [row["run"] for row in answer["quality"]]
    one, two = (model["run"] for model in answer["models"])
    assert runs == [one, f"held-out, like {one}", two, f"held-out, like {two}"]
    assert {row["texts"] for row in answer["quality"]} == {2}
    assert all(row["judge_bpb"] > 0 and row["copied"] is not None for row in answer["quality"])
    page = Path("out/gallery.html").read_text()
    assert "<b>the &lt;b&gt;cat</b>" in page and "http" not in page
    assert "### one-" in Path("out/gallery.md").read_text()
    assert CliRunner().invoke(probe, words).exit_code == 0  # once more, into the same places


@pytest.fixture
def few_documents(tiny: Callable[..., RunConfig], workplace: Path) -> Trained:
    """A model whose validation split is of three documents."""
    Path("train.txt").write_text("<|endoftext|>".join(["the cat sat", "a dog ran"] * 20))
    Path("few.txt").write_text("the dog sat<|endoftext|>a cat ran<|endoftext|>the cat ran")
    corpus = ("--data.corpus.train", "train.txt", "--data.corpus.validation", "few.txt")
    config = tiny("--data.corpus.files", "null", *corpus)
    return of_run(make_run(Path("runs"), config, prepare(config.data).tokenizer))


def test_held_out_text_is_of_the_stories_amount_or_left_out(few_documents: Trained) -> None:
    def table_of(*texts: str) -> tuple[list[dict[str, Any]], list[str]]:
        said: list[str] = []
        stories = [Story("the", i, t, tuple(t.encode()), True, -1.0) for i, t in enumerate(texts)]
        table = quality_table([Written(few_documents, stories)], None, say=said.append)
        return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")], said

    (model, held_out), _ = table_of(" cat")
    assert model["words"] == 1 and held_out["words"] == 1  # "the ", of four tokens as well
    assert model["kl_1"] is not None and held_out["kl_1"] is not None
    rows, said = table_of(" cat", " dog")
    assert len(rows) == 1 and rows[0]["kl_1"] is not None
    assert said[-1] == (
        "No row of held-out text: for 2 stories the validation split would need 4 documents,"
        " and it has 3."
    )


def test_a_judge_is_asked_of_the_text_after_its_prompt(
    tiny: Callable[..., RunConfig], workplace: Path
) -> None:
    config = tiny()
    trained = of_run(make_run(Path("runs"), config, prepare(config.data).tokenizer))
    model, tokenizer = trained.load(resolve(config.runtime))
    texts = [" sat", " ran on", ""]
    stories = [Story("the cat", i, t, tuple(tokenizer.encode(t)), True, -1.0)
               for i, t in enumerate(texts)]  # fmt: skip
    nats = 0.0
    for text in texts:
        ids = torch.tensor([tokenizer.eot, *tokenizer.encode("the cat" + text)])
        with torch.no_grad():
            logs = model(ids[None, None, :-1])[0, 0].log_softmax(-1)
        nats -= float(logs.gather(-1, ids[1:, None])[len("the cat") :].sum())
    table = quality_table([Written(trained, stories)], trained, say=lambda _: None)
    (row,) = table[table["run"] == trained.label].to_dict("records")
    size = len("".join(texts))
    assert row["judge_bpb"] == pytest.approx(nats / size / math.log(2), rel=1e-4)
    assert row["judge_perplexity"] == pytest.approx(math.exp(nats / size), rel=1e-4)


def test_data_that_have_changed_are_not_held_against(
    tiny: Callable[..., RunConfig], workplace: Path
) -> None:
    config = tiny("--name", "one")
    run = make_run(Path("runs"), config, prepare(config.data).tokenizer)
    run.update(dataset={**run.read_record().dataset, "digest": "0" * 32})
    words = ["one", "--prompt", "A", "--num-samples", "2", "--max-tokens", "8", "--json"]
    done = CliRunner().invoke(probe, words)
    assert done.exit_code == 0, done.output
    assert "No comparison with the data: The data have changed since the run" in done.stderr
    (row,) = json.loads(done.stdout)["quality"]
    assert row["run"].startswith("one-") and row["copied"] is None


def test_a_model_without_finite_scores_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path, tiny_config("--name lost"), byte_tokenizer(), spread=math.inf)
    with pytest.raises(UserError, match=r"^lost-\w+: This model's scores are not finite"):
        write([of_run(run)], ["A"], SamplingSettings(), 1, say=lambda _: None)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--out", "taken"), "taken cannot be written: File exists"),
        (("--out-json", "taken/a.json"), "taken cannot be written: "),
        (("--out-json", "."), "is a folder, but the answers go to a file"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_before_a_story_is(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], said: str
) -> None:
    run = make_run(Path("runs"), tiny_config("--name small"), byte_tokenizer())
    Path("taken").touch()
    monkeypatch.setattr(Trained, "load", None)
    with pytest.raises(UserError, match=said):
        CliRunner().invoke(probe, [str(run.path), "--no-log", *more], catch_exceptions=False)


def test_one_of_prompt_and_prompts(workplace: Path) -> None:
    done = CliRunner().invoke(probe, ["one", "--prompt", "a", "--prompts", "b.txt"])
    assert isinstance(done.exception, UserError)
    assert "either --prompt TEXT or --prompts FILE" in str(done.exception)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_store_that_is_down_costs_no_story(
    tiny: Callable[..., RunConfig], workplace: Path, more: tuple[str, ...]
) -> None:
    config = tiny("--name", "one")
    run = make_run(Path("runs"), config, prepare(config.data).tokenizer)
    sync(run, client(run.read_record().uri))
    run.update(uri="http://127.0.0.1:9")
    words = ["one", "--prompt", "Once upon", "--num-samples", "1", "--max-tokens", "4", *more]
    done = CliRunner().invoke(probe, words)
    assert done.exit_code == 0, done.output
    assert "Once upon" in done.stdout
    assert "the probe is not in the store: " in done.stderr
    assert done.output.index("Once upon") < done.output.index("not in the store")
