"""`--smoke` of sweeps that people write: whatever is a sweep has a small form."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaling.errors import UserError
from sweeps.conduct import Request, first_runs
from sweeps.reading import read_sweep

SEARCH: dict[str, Any] = {"trials": 9, "sampler": "random"}
WIDE = {"model.d_model": 256}
GROUPED = {"model.attention.kind": "gqa", "model.attention.n_kv_heads": 4}
KV_3 = {"model.attention.n_kv_heads": 3}
LR = {"optimizer.lr": [0.01, 0.02]}
HEADS = {"model.n_heads": {"choices": [3, 6]}}
LAYERS = {"model.n_layers": {"low": 1, "high": 4}}


@pytest.mark.parametrize(
    "fields",
    [
        {"budget": {"tokens": 9000}, "search": SEARCH | {"pruner": "median", "space": LAYERS}},
        {"search": SEARCH | {"space": LAYERS | {"budget.tokens": {"low": 9000, "high": 20000}}}},
        {"fields": {"batch.size": 64, "batch.micro_size": 16}, "grid": {"optimizer.lr": [0.01]}},
        {"base": "gpt2_33m", "budget": {"steps": 9}, "grid": {"optimizer.lr": [0.01, 0.02]}},
        {"grid": {"size": {"budget.steps": [10, 20]}, "optimizer.lr": [0.01, 0.02]}},
        {"base": "baseline", "fields": WIDE | GROUPED, "grid": LR},
        {"base": "baseline", "fields": WIDE | {"model.head_dim": 128}, "grid": LR},
        {"base": "gpt2_33m", "fields": GROUPED | KV_3, "grid": LR},
        {"fields": GROUPED | {"model.d_model": 384, "model.n_heads": 12}, "grid": LR},
        {"base": "baseline", "fields": WIDE, "grid": {"model.head_dim": [64, 128]}},
        {"fields": {"model.d_model": 96}, "search": SEARCH | {"space": HEADS}},
    ],
    ids=[
        *("pruner", "budget", "accumulation", "heads", "zipped budgets", "groups", "wide heads"),
        *("three groups", "twelve heads", "varied heads", "searched heads"),
    ],
)
def test_it_has_a_small_form(write_sweep: Callable[..., Path], fields: dict[str, Any]) -> None:
    write_sweep(**fields)
    runs = first_runs(read_sweep("s", smoke=True), Request())
    for run in runs:
        steps, tokens = run.config.budget.steps, run.config.budget.tokens
        assert (steps or (tokens or 0) // run.config.tokens_per_step) <= 12
        assert run.config.batch.size <= 4


def test_exclusions_that_still_leave_something_out_stay(
    write_sweep: Callable[..., Path],
) -> None:
    where = {"exclude": [{"model.d_model": 64, "model.n_heads": 3}, {"model.n_heads": 8}]}
    grid = {"model.d_model": [48, 64, 96], "model.n_heads": [3, 4, 8]}
    write_sweep(grid=grid, where=where)
    runs = first_runs(read_sweep("s", smoke=True), Request())
    found = [(run.config.model.d_model, run.config.model.n_heads) for run in runs]
    assert found == [(48, 3), (48, 4), (64, 4)]


def test_a_search_of_budgets_alone_has_none(write_sweep: Callable[..., Path]) -> None:
    write_sweep(search=SEARCH | {"space": {"budget.tokens": {"low": 9000, "high": 20000}}})
    with pytest.raises(UserError, match="varies nothing else"):
        read_sweep("s", smoke=True)


def test_what_is_typed_beside_it_is_done_or_refused(write_sweep: Callable[..., Path]) -> None:
    write_sweep(seeds=[1, 2, 3, 4], grid={"optimizer.lr": [0.01, 0.02], "model.d_model": [16, 32]})
    assert read_sweep("s", smoke=True).spec.seeds == (1,)
    assert read_sweep("s", smoke=True, seeds=[1, 2, 3]).spec.seeds == (1, 2, 3)
    with pytest.raises(UserError, match=r"leave out --budget\.steps"):
        read_sweep("s", ["--budget.steps", "50"], smoke=True)
