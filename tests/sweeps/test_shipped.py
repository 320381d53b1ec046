"""Every shipped sweep: its header, its runs, its smoke form."""

import csv
import math
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from scaling.recipes import load_config
from sweeps.conduct import Request, plan_only
from sweeps.progress import Board
from sweeps.reading import SHIPPED, read_sweep, sweep_names
from sweeps.showing import plan_lines
from sweeps.sizes import _counts
from sweeps.wanted import wanted_runs

REAL = Path(__file__).parents[3] / "shared/data/tinystories"
NAMES = [
    "attention",
    "batch_size",
    "context_length",
    "data_fraction",
    "depth",
    "isoflop",
    "lr_transfer",
    "moe",
    "optimizer",
    "schedule",
    "seed_noise",
    "tokenizer",
    "vocab_size",
    "weight_decay_and_clip",
    "width",
    "width_by_tokens",
]
OTHER_DATA = {"context_length", "data_fraction", "isoflop", "tokenizer", "vocab_size"}


def test_all_are_there() -> None:
    assert sweep_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_wants_what_its_header_says(name: str) -> None:
    text = (SHIPPED / f"{name}.yaml").read_text()
    header = text.split("\n\n")[0]
    said = re.search(r"(\d+) runs", header)
    assert said is not None
    assert "two CPU cores" in header
    assert "one GPU" in header
    sweep = read_sweep(name)
    assert sweep.spec.question
    assert len(wanted_runs(sweep)) == int(said.group(1))


@pytest.mark.parametrize("name", NAMES)
def test_its_smoke_form_is_small(name: str) -> None:
    sweep = read_sweep(name, smoke=True)
    runs = wanted_runs(sweep)
    assert 1 < len(runs) <= 32
    assert sweep.spec.name == f"{name}-smoke"
    assert all(run.config.budget.steps == 12 for run in runs)
    kinds = [
        {run.config.optimizer.kind for run in wanted}
        for wanted in (runs, wanted_runs(read_sweep(name)))
    ]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("smoke", [False, True], ids=["whole", "smoke"])
@pytest.mark.parametrize("name", NAMES)
def test_it_plans(name: str, smoke: bool, workplace: Path) -> None:
    # Few stories, so that their tokenizers are soon trained; the sweep stays what it is.
    sweep = read_sweep(name, ["--data.corpus.documents", "1500"], smoke=smoke)
    plan = plan_only(sweep, Request(measure=False), Board()).plan
    assert len(plan.rows) == plan.todo == len(wanted_runs(sweep))
    assert all(row.size.budget.steps > 0 and row.memory > 0 for row in plan.rows)
    assert plan_lines(plan, price=1.0)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the real text is not here")
@pytest.mark.parametrize("name", [*sorted(OTHER_DATA), "width"])  # all the others' are width's
def test_it_plans_on_tinystories(name: str, workplace: Path) -> None:
    sweep = read_sweep(name, ["--data.corpus.source", str(REAL)], corpus="tinystories")
    plan = plan_only(sweep, Request(measure=False), Board()).plan
    assert len(plan.rows) == plan.todo == len(wanted_runs(sweep))


@pytest.mark.parametrize("name", NAMES)
def test_one_flag_changes_the_corpus(name: str) -> None:
    sweep = read_sweep(name, corpus="tinystories")
    assert sweep.spec.name == f"{name}-tinystories"
    usual = load_config("baseline", ["--data.corpus.kind", "tinystories"]).data
    data = {run.config.data for run in wanted_runs(sweep)}
    assert {one.corpus for one in data} == {usual.corpus}
    assert (data != {usual}) == (name in OTHER_DATA)


def test_attention_variants_have_equal_parameters() -> None:
    models = {run.config.model for run in wanted_runs(read_sweep("attention"))}
    totals = [_counts(model, 4096, 256, "cpu")[0]["total"] for model in models]
    assert len(totals) == 7
    assert max(totals) / min(totals) < 1.002


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_as_a_smoke(
    name: str,
    workplace: Path,
    trains_here: None,
    tinyscale_here: Callable[..., CompletedProcess[str]],
) -> None:
    done = tinyscale_here("sweep", name, "--smoke")
    assert done.returncode == 0, done.stderr
    (table,) = workplace.glob("runs/sweeps/*/leaderboard.csv")
    with table.open() as stream:
        losses = [float(row["final_val_loss"]) for row in csv.DictReader(stream)]
    assert len(losses) == len(wanted_runs(read_sweep(name, smoke=True)))
    assert all(map(math.isfinite, losses))
    assert 0 < min(losses) < math.log(512)  # of smokes' vocabulary, all entries alike
