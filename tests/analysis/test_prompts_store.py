"""A prompt eval where the store fails: the answer is given, and what is missing is said."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analysis.eval_cli import eval as command
from scaling.tracking.folder import RunFolder
from scaling.tracking.store import client, sync
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config

ITEM = {"id": "a", "category": "x", "prompt": "A", "answers": ["b"], "choices": ["c", "d"]}


@pytest.fixture
def run(workplace: Path) -> RunFolder:
    """A run that the store has."""
    (workplace / "set.json").write_text(json.dumps([ITEM]))
    run = make_run(Path("runs"), tiny_config("--name small"), byte_tokenizer())
    sync(run, client(run.read_record().uri))
    return run


def ask(*more: str) -> Result:
    words: Sequence[str] = ["small", "--prompts", "set.json", "--out", "o", *more]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    return done


def test_a_store_that_lost_the_run(run: RunFolder, workplace: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, workplace / "new.db")
    run.update(uri=f"sqlite:///{workplace}/new.db")
    done = ask("--json")
    answer = json.loads(done.stdout)
    assert answer["mlflow_run_id"] is None and len(answer["models"]) == 1
    assert "its answers are not in its store: Run with id=" in done.stderr
    sync(run, client(run.read_record().uri))  # as `tinyscale doctor` does
    assert json.loads(ask("--json").stdout)["mlflow_run_id"] is not None


def test_a_store_that_is_down(run: RunFolder) -> None:
    run.update(uri="http://127.0.0.1:9")
    done = ask()
    assert "# set: 1 prompts, 1 models" in done.stdout and done.stdout.count("small-") == 1
    assert "its answers are not in its store" in done.stderr
    assert done.output.index("# set") < done.output.index("not in its store")
