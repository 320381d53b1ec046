"""`tinyscale data` as a user runs it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scaling.commands.data import data
from scaling.errors import UserError

Run = Callable[..., Result]
FLAGS = ["--data.tokenizer.vocab_size", "300", "--data.context_length", "16"]


@pytest.fixture
def run(corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TINYSCALE_CACHE", str(tmp_path / "cache"))
    corpus = ["--data.corpus.kind", "files", f"--data.corpus.files={corpus_file}"]

    def invoke(*flags: str) -> Result:
        return CliRunner().invoke(data, ["baseline", *corpus, *FLAGS, *flags])

    return invoke


def test_it_prints_what_there_is(run: Run) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    titles, train, validation, test = result.stdout.splitlines()[1:5]
    assert titles.split() == ["split", "documents", "tokens", "bytes", "tokens/byte"]
    assert [line.split()[0] for line in (train, validation, test)] == [
        "train",
        "validation",
        "test",
    ]
    counts = [int(line.split()[1]) for line in (train, validation, test)]
    assert sum(counts) == 400
    assert "reusing" in run().stderr
    assert "reusing" not in run("--force").stderr


def test_the_config_stands_anywhere_among_the_fields(run: Run, corpus_file: Path) -> None:
    expected = json.loads(run("--json").stdout)["fingerprint"]
    corpus = ["--data.corpus.kind", "files", f"--data.corpus.files={corpus_file}"]
    for words in (
        [*corpus, *FLAGS, "gqa"],
        [*corpus, "gqa", *FLAGS],
        [*corpus, *FLAGS],  # baseline, as `train` has it
    ):
        answer = CliRunner().invoke(data, [*words, "--json"], catch_exceptions=False)
        assert json.loads(answer.stdout)["fingerprint"] == expected
    wrong = CliRunner().invoke(data, ["gqa", *FLAGS, "mqa"])
    assert isinstance(wrong.exception, UserError) and "'mqa' is not a flag" in str(wrong.exception)


def test_json(run: Run) -> None:
    answer = json.loads(run("--json", "--data.fraction", "0.5").stdout)
    assert answer["vocab_size"] == 300
    train = answer["splits"][0]
    assert train["tokens_per_byte"] == pytest.approx(train["tokens"] / train["bytes"])
    assert not answer["reused"]


def test_verify(run: Run) -> None:
    folder = Path(json.loads(run("--json").stdout)["folder"])
    assert "every file has the hash" in run("--verify").stdout
    path = folder / "train.bin"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    result = run("--verify")
    assert result.exit_code == 1
    assert "train.bin does not have the hash" in result.stdout
    assert "--force" in result.stderr
    assert json.loads(run("--verify", "--json").stdout) == {"damage": result.stdout.splitlines()}
    assert run("--force").exit_code == 0
    assert run("--verify").exit_code == 0


def test_force_and_verify_exclude_each_other(run: Run) -> None:
    assert run("--force", "--verify").exit_code == 2


def test_a_mistake_is_a_user_error(run: Run) -> None:
    result = run("--data.corpus.text_field", "story")
    assert isinstance(result.exception, UserError)
    assert "has no field 'story', but 'text'" in str(result.exception)


def test_a_seed_of_stories_has_64_bits() -> None:
    words = ["baseline", "--data.corpus.seed", str(2**64)]
    result = CliRunner().invoke(data, words)
    assert isinstance(result.exception, UserError)
    assert "data.corpus.seed is 18446744073709551616, but it should be" in str(result.exception)


def test_help_is_quick_to_import() -> None:
    heavy = "{'torch', 'datasets', 'tokenizers', 'numpy', 'pyarrow'}"
    code = f"import sys, scaling.commands.data; print({heavy} & sys.modules.keys())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
