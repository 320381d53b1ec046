"""Every command of the README is run, made small where it would train for minutes."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.data import stories
from scaling.prompts.item import read_prompts
from sweeps.reading import read_sweep
from sweeps.space import Space
from sweeps.wanted import wanted_runs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SMALL = {
    "data.corpus.documents": "300",
    "data.tokenizer.vocab_size": "300",
    "data.context_length": "32",
    "model.n_layers": "1",
    "model.d_model": "64",
    "budget": "{steps: 3}",
    "batch.size": "4",
    "runtime.threads": "1",
}


def commands() -> list[str]:
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
        if line.strip()
    ]


def small_flags(line: str) -> list[str]:
    own = "files" in shlex.split(line)
    return [
        word
        for name, value in SMALL.items()
        if not (own and name == "data.corpus.documents")
        for word in (f"--{name}", value)
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the README's reader has it: with texts, and the project's MLproject beside."""
    place = tmp_path_factory.mktemp("reader")
    (place / "texts").mkdir()
    (place / "sweeps").symlink_to(ROOT / "sweeps")
    for i in range(2):
        told = [story.text for story in stories.generate(i, 0, 150)]
        (place / "texts" / f"{i}.txt").write_text("<|endoftext|>".join(told))
    return place


Run = Callable[[list[str]], subprocess.CompletedProcess[str]]


@pytest.fixture
def run(place: Path) -> Run:
    def call(words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=180)

    return call


def test_the_two_lines_are_there_and_ci_runs_them() -> None:
    lines = [line for line in commands() if line.startswith("python3 -m venv")]
    script = (ROOT / ".ci" / "run").read_text()
    assert len(lines) == 2
    for line in lines:
        assert line in script


@pytest.mark.usefixtures("workplace")
def test_the_files_that_it_shows_are_read() -> None:
    grid, search, prompts = re.findall(r"^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    Path("grid.yaml").write_text(grid)
    assert len(wanted_runs(read_sweep("grid"))) == 12
    Path("search.yaml").write_text(grid[: grid.index("grid:")] + search)
    spec = read_sweep("search").spec
    assert spec.search is not None
    assert spec.search.pruner.kind == "median" and Space(spec.search.space).always
    Path("mine.yaml").write_text(prompts)
    assert [item.by_probability for item in read_prompts(Path("mine.yaml")).items] == [True, False]


@pytest.mark.slow
def test_the_launchers_line(place: Path) -> None:
    """The part of the first line after the install, made small; the launcher's run is ours."""
    words = [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", "train", "-P", "model=gqa"]
    words += ["--env-manager", "local"]
    for name, value in SMALL.items():
        words += ["-P", f"{name}={value}"]
    store = f"sqlite:///{place}/launched.db"
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": store,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    words += ["-P", f"tracking.folder={place}/launched"]
    done = subprocess.run(
        words, cwd=place, capture_output=True, text=True, timeout=180, env=environment
    )
    assert done.returncode == 0, done.stderr
    from mlflow import MlflowClient

    client = MlflowClient(store)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert [run.info.status for run in found] == ["FINISHED"]
    assert found[0].data.metrics["final/val_loss"] > 0


QUICK = {
    "tinyscale plan": ["--no-timing"],
    "tinyscale adapt": ["--smoke", "--no-timing"],
    "tinyscale sweep": ["--smoke", "--no-timing", "--seeds", "1"],
    "tinyscale eval ": ["--limit", "8"],
    "tinyscale probe": ["--max-tokens", "16"],
    "tinyscale evaluate": ["--max-samples", "20"],
}

# What the lines leave, by the README's table of what is where and by what they say themselves.
RUN = "config.yaml metrics.csv summary.json samples.md figures/loss.png checkpoints/index.json"
LEAVES = {
    "tinyscale sweep": "runs/sweeps/width-smoke/plan.csv runs/sweeps/width-smoke/leaderboard.csv"
    " runs/sweeps/width-smoke/sweep_summary.json",
    "tinyscale adapt": "runs/sweeps/adaptation-smoke/adapt.jsonl",
    "tinyscale analyze --sweep width": "reports/analysis-width-smoke/report.html"
    " reports/analysis-width-smoke/fits.json",  # of two widths: no law, and no figure of one
    "tinyscale analyze --sweep adaptation": "reports/analysis-adaptation-smoke/report.html",
    "tinyscale compare": "reports/comparison-gqa-baseline/report.html"
    " reports/comparison-gqa-baseline/figures/*.png reports/comparison-gqa-baseline/figures/*.svg"
    " reports/comparison-gqa-baseline/figures/*.csv",
    "tinyscale evaluate ": "results.json",
    "tinyscale eval ": "evals/stories-8-of-*/summary_table.csv evals/stories-8-of-*/figures/*.png",
    "tinyscale probe": "probe/gallery.html",
    "tinyscale export": "my-model/config.json my-model/model.safetensors my-model/tokenizer.json",
}

# In the README's order: what generates and resumes needs the run that was trained before.
READER = sorted(
    (line for line in commands() if line.startswith("tinyscale ")),
    key=lambda line: not line.startswith("tinyscale train gqa"),
)


@pytest.mark.slow  # what they do is tested elsewhere too
@pytest.mark.parametrize("line", READER)
def test_a_readers_command(line: str, run: Run, place: Path) -> None:
    line = line.replace("--budget.tokens 5e6 ", "")  # the tests have a smaller one
    words = [sys.executable, "-m", "scaling.cli", *shlex.split(line)[1:]]
    if line.startswith("tinyscale ui"):
        return serves_the_ui([*words, "--port", "5077"], place)
    if "--resume" in line:
        return goes_on([*words[:-1], "resumed"], run, place)
    if line.startswith("tinyscale analyze"):  # `--smoke` gave the sweep another name
        words = [re.sub("^(width|adaptation)$", r"\1-smoke", word) for word in words]
    for start, smaller in QUICK.items():
        if line.startswith(start):
            words += smaller
    if "data" in words and "--verify" in line:
        run([word for word in words if word != "--verify"] + small_flags(line))
    if ("data" in words and "--verify" in line) or (
        line.startswith("tinyscale train") and "--help" not in line
    ):
        words += small_flags(line)
    before = runs_in(place)
    done = run(words)
    assert done.returncode == 0, done.stderr
    made = runs_in(place) - before
    if line.startswith(("tinyscale sweep", "tinyscale adapt")):
        assert made
    elif line.startswith("tinyscale train") and "--help" not in line:
        assert len(made) == (3 if "--seeds" in line else 1)
        for folder in made:
            assert all((folder / name).stat().st_size for name in RUN.split())
    else:
        assert not made
    for start, left in LEAVES.items():
        for glob in left.split() if line.startswith(start) else ():
            assert any(path.stat().st_size for path in place.glob(glob)), glob
    return None


def runs_in(place: Path) -> set[Path]:
    return {record.parent for record in place.glob("runs/*/run.json")}


@pytest.mark.slow
def test_what_the_lines_have_left_is_where_the_table_says(place: Path) -> None:
    """After all of them, in the same folder."""
    rows = README.partition("| what | where |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    named = [name for row in rows for name in re.findall(r"`(\w[^`]*/)`", row.split("|")[2])]
    assert len(rows) == 5 and len(named) == 6
    for name in named:
        assert any(place.glob(re.sub("<.*?>", "*", name))), name
    assert any(Path(os.environ["TINYSCALE_CACHE"]).rglob("tokenizer.json"))


def serves_the_ui(words: list[str], place: Path) -> None:
    process = subprocess.Popen(
        words,
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen("http://127.0.0.1:5077/", timeout=2) as page:
                    assert b"MLflow" in page.read()
                    return
            except OSError:
                assert process.poll() is None
                time.sleep(0.2)
        raise AssertionError("the UI did not answer")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def goes_on(words: list[str], run: Run, place: Path) -> None:
    train = [sys.executable, "-m", "scaling.cli", "train", "gqa", "--name", "resumed"]
    train += [*small_flags(""), "--budget", "{steps: 600}", "--tracking.log_every", "1"]
    process = subprocess.Popen(train, cwd=place, stderr=subprocess.DEVNULL)
    while not any("train/loss" in log.read_text() for log in place.glob("runs/resumed-*/*.jsonl")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    done = run(words)
    assert done.returncode == 0, done.stderr
    assert "resuming at step" in done.stderr
    assert len(list(place.glob("runs/resumed-*/summary.json"))) == 1
