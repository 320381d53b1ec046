"""Commands as MLflow makes them of MLproject: with what is declared, and the rest as flags."""

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow.projects.utils import load_project

import analysis.reporting
from analysis.cli import compare
from analysis.compare import Request
from analysis.eval_cli import probe
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config


def words_of(entry: str, given: dict[str, str], place: Path) -> list[str]:
    """What stands behind the command's name."""
    project = load_project(str(Path(__file__).parents[2]))
    words = shlex.split(project.get_entry_point(entry).compute_command(given, str(place)))
    assert words[:4] == ["python", "-m", "scaling.cli", entry]
    return words[4:]


def test_a_run_is_resumed_by_a_name_with_commas() -> None:
    project = load_project(str(Path(__file__).parents[2]))
    given = {"run": "w-d_model=64,lr=0.003-71c4f12f"}
    command = project.get_entry_point("resume").compute_command(given, None)
    assert shlex.split(command)[3:] == ["train", "--resume", given["run"]]


@pytest.mark.parametrize(
    ("asked", "prompts"),
    [
        ({}, ["Once upon a time"]),
        ({"prompt": "One day"}, ["One day"]),
        ({"prompts": "mine.txt"}, ["A", "B"]),
    ],
)
def test_probe_takes_a_prompt_or_a_file_of_them(
    workplace: Path, asked: dict[str, str], prompts: list[str]
) -> None:
    make_run(Path("runs"), tiny_config("--name one --data.corpus.documents 300"), byte_tokenizer())
    Path("mine.txt").write_text("A\nB\n")
    given = {"runs": "one", **asked, "max-tokens": "4", "num-samples": "1"}
    words = words_of("probe", given, workplace)
    done = CliRunner().invoke(probe, [*words, "--no-log", "--json"], catch_exceptions=False)
    stories = json.loads(done.stdout)["models"][0]["stories"]
    assert [story["prompt"] for story in stories] == prompts


@pytest.mark.parametrize(
    ("asked", "runs"),
    [({"experiment": "width"}, ()), ({"runs": "baseline,gqa,"}, ("baseline,gqa",))],
)
def test_compare_takes_runs_or_a_set_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], runs: tuple[str, ...]
) -> None:
    heard: list[Request] = []

    def hear(request: Request, say: object) -> dict[str, object]:
        heard.append(request)
        return {"groups": [], "tests": []}

    monkeypatch.setattr(analysis.reporting, "compare_store", hear)
    words = words_of("compare", asked, tmp_path)
    assert CliRunner().invoke(compare, [*words, "--json"], catch_exceptions=False).exit_code == 0
    assert heard[0].selection.runs == runs
    assert heard[0].selection.experiment == asked.get("experiment")
