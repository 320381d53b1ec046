"""The command line: quick help, exit codes, one sentence for a mistake."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.cli import COMMANDS
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config

Call = Callable[..., subprocess.CompletedProcess[str]]
HEAVY = ("torch", "mlflow", "numpy", "pandas", "optuna", "datasets", "matplotlib", "scipy")


@pytest.mark.parametrize(
    "words", [["--help"], ["train", "--help"], *[[c, "-h"] for c in COMMANDS]]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = f"""
import sys
from scaling.cli import tinyscale
try:
    tinyscale.main({words!r}, prog_name="tinyscale")
except SystemExit as stop:
    assert stop.code == 0, stop.code
print("HEAVY", [m for m in {HEAVY!r} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_train_help_lists_the_fields_as_flags(tinyscale: Call) -> None:
    text = tinyscale("train", "--help").stdout
    for flag in ("--optimizer.lr", "--budget.tokens", "--data.corpus.kind", "--model.n_layers"):
        assert flag in text


@pytest.mark.parametrize(
    ("command", "field"),
    [
        ("sweep", "search.space"),
        ("plan", "search.sampler.kind"),
        ("plan", "search.objectives"),
        ("adapt", "inner_steps"),
    ],
)
def test_help_says_what_the_fields_of_a_file_mean(
    tinyscale_here: Call, command: str, field: str
) -> None:
    assert re.search(rf"^  {re.escape(field)} +\w", tinyscale_here(command, "-h").stdout, re.M)


def test_a_mistake_is_one_sentence_on_stderr_and_code_2(tinyscale_here: Call) -> None:
    for words, sentence in [
        (["train", "nothing"], "there is no config called nothing"),
        (["train", "--modle.x", "3"], "did you mean model?"),
        (["train", "--resume", "nowhere"], "There is no run nowhere"),
        (["train", "baseline", "--seeds", "1,x"], "--seeds is '1,x'"),
        (["train", "baseline", "--seeds", str(2**63)], "but seeds are below 2^63"),
        (["train", "--budget.steps=1", "--seeds", "1,2", "--seed=3"], "--seed would change"),
        (["generate", "nowhere"], "There is no run nowhere"),
        (["trian"], "No such command 'trian'"),
    ]:
        done = tinyscale_here(*words)
        assert done.returncode == 2, (words, done)
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("generate tiny --num-samples 0", 2, "num-samples is 0, but it is at least 1."),
        ("generate tiny --top-k -1", 2, "top-k is -1, but it is at least 1."),
        ("generate tiny --max-tokens 0", 2, "max-tokens is 0, but it is at least 1."),
        ("doctor --runs elsewhere", 0, "0 folders in {here}/elsewhere\n"),
        ("doctor", 0, "1 folders in {here}/runs\n"),
        ("ui --store http://127.0.0.1:9", 0, "The store http://127.0.0.1:9 is a server with its"),
    ],
)
def test_what_an_option_does_is_told(
    words: str,
    code: int,
    said: str,
    workplace: Path,
    tinyscale_here: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("this process became another"))
    make_run(Path("runs"), tiny_config("--name tiny"), byte_tokenizer())
    done = tinyscale_here(*words.split())
    assert done.returncode == code
    assert said.format(here=workplace.resolve()) in (done.stderr if code else done.stdout)
    assert not (done.stdout if code else done.stderr)


def test_the_doctors_report_is_json_where_asked_for(workplace: Path, tinyscale_here: Call) -> None:
    run = make_run(Path("runs"), tiny_config("--name tiny"), byte_tokenizer())
    done = tinyscale_here("doctor", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["run_count"], report["runs"]) == (1, str(workplace.resolve() / "runs"))
    assert report["store"] == f"sqlite:///{workplace}/mlflow.db"
    assert report["store_answers"].startswith("answers, ")
    assert (report["sent"], report["killed"], report["unsent"]) == ([run.path.name], [], {})
    assert {"torch", "mlflow", "tinyscale"} <= set(report["versions"])


def test_cuda_where_there_is_none(tinyscale: Call) -> None:
    done = tinyscale("train", "--runtime.device", "cuda", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert "runtime.device is cuda, but torch finds no CUDA device here" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_yaml")
def test_a_model_that_no_memory_holds_is_a_sentence(tinyscale_here: Call) -> None:
    call = tinyscale_here("train", "tiny.yaml", "--model.d_model", str(2**20))
    assert call.returncode == 2
    assert "there is too little memory" in call.stderr and "takes less." in call.stderr
    assert "Traceback" not in call.stderr
