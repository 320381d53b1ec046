"""What came of a sweep: entries, groups over seeds, best learning rates."""

import csv
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from sweeps.leaderboard import (
    best_rates,
    entries,
    group_row,
    group_table,
    groups,
    write_leaderboard,
)
from sweeps.ledger import Known
from sweeps.objectives import judged_by
from sweeps.reading import Sweep
from sweeps.record import SweepRecord
from sweeps.spec import Objective
from sweeps.summary import conclude, outcome_lines
from sweeps.wanted import Wanted, wanted_runs

SweepOf = Callable[..., Sweep]
LOSS = Objective()


def done(run: Wanted, loss: float | None) -> Known:
    summary = {"diverged": True} if loss is None else {"final_val_loss": loss}
    return Known(run.key, "done", None, f"id-{run.config.seed}", summary)


def test_a_rate_at_which_a_seed_diverged_is_not_the_best(sweep_of: SweepOf) -> None:
    rule = {"low": 1e-3, "high": 1e-1, "points": 3}
    sweep = sweep_of(seeds=[1, 2], lr_per_size=rule)
    runs = wanted_runs(sweep)
    losses = [3.0, 3.0, 2.05, 2.05, 2.0, None]  # of .1 one seed diverged
    known = {run.key: done(run, loss) for run, loss in zip(runs, losses, strict=True)}
    found = groups(runs, known)
    assert sweep.spec.lr_per_size is not None
    (answer,) = best_rates(sweep.spec.lr_per_size, found)
    assert (answer["lr"], answer["inside"]) == (0.01, True)
    lines = group_table(sweep.spec, found, LOSS)
    assert "1 of 2 seeds diverged" in lines[-1]


def test_an_end_of_what_was_tried_is_not_inside_the_range(sweep_of: SweepOf) -> None:
    rule = {"low": 1e-3, "high": 1e-1, "points": 3}
    where = {"exclude": [{"model.d_model": 32, "optimizer.lr": 0.1}]}
    grid = {"model.d_model": [16, 32, 48, 64]}
    sweep = sweep_of(grid=grid, where=where, lr_per_size=rule)
    runs = wanted_runs(sweep)
    losses = [3.0, 2.0, 2.5, 3.0, 2.0, 3.0, 2.0, 2.5, 3.0, 2.0, None]
    known = {run.key: done(run, loss) for run, loss in zip(runs, losses, strict=True)}
    del known[runs[7].key]
    assert sweep.spec.lr_per_size is not None
    found = best_rates(sweep.spec.lr_per_size, groups(runs, known))
    # All rates; the highest left out; the highest not there yet; the highest diverged.
    assert [answer["lr"] for answer in found] == [0.01] * 4
    assert [answer["inside"] for answer in found] == [True, False, False, True]
    known[runs[7].key] = Known(runs[7].key, "failed", None, "i", {})
    assert best_rates(sweep.spec.lr_per_size, groups(runs, known)) == found


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_diverged_run_is_not_the_best_by_any_figure(
    sweep_of: SweepOf, direction: Literal["minimize", "maximize"]
) -> None:
    runs = wanted_runs(sweep_of(grid={"optimizer.lr": [0.01, 0.02, 0.03]}))
    flops = {"minimize": [2.0, 1.0, 3.0], "maximize": [2.0, 3.0, 1.0]}[direction]
    known = {
        run.key: Known(run.key, "done", None, "i", {"flops": count, "diverged": i == 1})
        for i, (run, count) in enumerate(zip(runs, flops, strict=True))
    }
    rows = entries(runs, known, Objective(metric="flops", direction=direction))
    assert [row["lr"] for row in rows] == ["0.01", "0.03", "0.02"]


def test_a_size_at_which_every_rate_diverged_is_told(sweep_of: SweepOf, workplace: Path) -> None:
    rule = {"low": 1e-3, "high": 1e-1, "points": 2}
    sweep = sweep_of(grid={"model.d_model": [16, 32]}, lr_per_size=rule)
    runs = wanted_runs(sweep)
    losses = [3.0, 1.0, None, None]
    known = {run.key: done(run, loss) for run, loss in zip(runs, losses, strict=True)}
    record = SweepRecord(sweep, runs[0].config, print)
    record.open()
    summary = conclude(record, runs, known, None, None, None)
    lines = outcome_lines(sweep, summary, groups(runs, known))
    assert lines[-3].startswith("best rate: d_model 16, lr 0.1, AT THE END")
    assert lines[-2] == "best rate: d_model 32: none, since each diverged; try smaller ones"
    assert lines[-1] == "its laws and differences: tinyscale analyze --sweep s"


def test_points_that_a_search_gave_up_are_told_as_such(sweep_of: SweepOf) -> None:
    sweep = sweep_of(grid={"optimizer.lr": [0.01, 0.02]})
    runs = wanted_runs(sweep)
    known = {
        runs[0].key: done(runs[0], 2.0),
        runs[1].key: Known(runs[1].key, "pruned", None, "i", {}),
    }
    lines = group_table(sweep.spec, groups(runs, known), LOSS)
    assert lines[1].endswith("1 seed") and lines[2].endswith("pruned")


def test_across_tokenizers_bits_per_byte_decide(sweep_of: SweepOf) -> None:
    sweep = sweep_of(grid={"data.tokenizer.kind": ["byte", "char"]})
    runs = wanted_runs(sweep)
    figures = [{"final_val_loss": 0.8, "final_val_bpb": 1.2}, {"final_val_loss": 1.8}]
    figures[1]["final_val_bpb"] = 0.6
    known = {
        run.key: Known(run.key, "done", None, "id", summary)
        for run, summary in zip(runs, figures, strict=True)
    }
    by = judged_by(sweep.spec, runs)
    assert by.figure == "final_val_bpb"
    assert [row["final_val_bpb"] for row in entries(runs, known, by)] == [0.6, 1.2]
    assert judged_by(sweep.spec, runs[:1]) == LOSS


def test_means_and_deviations_are_over_the_seeds_of_a_point(sweep_of: SweepOf) -> None:
    runs = wanted_runs(sweep_of(seeds=[1, 2, 3], grid={"model.d_model": [16, 32]}))
    losses = [1.0, 2.0, 4.0, 3.0, None, 3.5]
    known = {run.key: done(run, loss) for run, loss in zip(runs, losses, strict=True)}
    narrow, wide = groups(runs, known)
    assert narrow.mean["final_val_loss"] == pytest.approx(7 / 3)
    assert narrow.deviation["final_val_loss"] == pytest.approx(statistics.stdev([1, 2, 4]))
    assert (wide.mean["final_val_loss"], wide.diverged) == (3.25, 1)


def test_entries_are_one_for_each_run_best_first(sweep_of: SweepOf, workplace: Path) -> None:
    sweep = sweep_of(seeds=[1, 2], grid={"model.d_model": [16, 32]})
    runs = wanted_runs(sweep)
    known = {run.key: done(run, loss) for run, loss in zip(runs, [3.0, None, 1.0], strict=False)}
    rows = entries(runs, known, LOSS)
    assert [row["status"] for row in rows] == ["done", "done", "diverged", "missing"]
    assert rows[0]["d_model"] == "32"
    of_groups = [group_row(group, LOSS) for group in groups(runs, known)]
    write_leaderboard(workplace, rows, of_groups)
    with Path("leaderboard.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [row["final_val_loss"] for row in table] == ["1.0", "3.0", "", ""]
    lines = group_table(sweep.spec, groups(runs, known), LOSS)
    assert lines[1].startswith("d_model 32")


def test_a_best_rate_at_an_end_is_told(sweep_of: SweepOf) -> None:
    rule = {"low": 1e-3, "high": 1e-1, "points": 3}
    sweep = sweep_of(grid={"model.d_model": [16, 32]}, lr_per_size=rule)
    runs = wanted_runs(sweep)
    losses = [3.0, 1.0, 2.0, 3.0, 2.0, 1.0]
    known = {run.key: done(run, loss) for run, loss in zip(runs, losses, strict=True)}
    assert sweep.spec.lr_per_size is not None
    narrow, wide = best_rates(sweep.spec.lr_per_size, groups(runs, known))
    assert (narrow["d_model"], narrow["lr"], narrow["inside"]) == ("16", 0.01, True)
    assert (wide["d_model"], wide["lr"], wide["inside"]) == ("32", 0.1, False)


def test_rows_lines_and_figures_of_groups_are_their_own(
    sweep_of: SweepOf, workplace: Path
) -> None:
    sweep = sweep_of(seeds=[1, 2, 3], grid={"optimizer.lr": [0.01, 0.02]})
    runs = wanted_runs(sweep)
    summaries: list[dict[str, Any]] = [
        {"final_val_loss": loss, "final_val_bpb": loss / 2} for loss in (1.0, 2.0, 4.0, 3.0)
    ]
    known = {
        run.key: Known(run.key, "done", None, "id", dict(summary))
        for run, summary in zip(runs, [*summaries, {"diverged": True}], strict=False)
    }
    known[runs[5].key] = Known(runs[5].key, "failed", None, "id", {})
    one, other = groups(runs, known)
    row = group_row(one, LOSS)
    assert (row["seeds"], row["diverged"]) == (3, 0)
    assert row["final_val_loss_mean"] == pytest.approx(7 / 3)
    assert row["final_val_loss_sd"] == pytest.approx(statistics.stdev([1, 2, 4]))
    row = group_row(other, LOSS)
    assert (row["seeds"], row["diverged"], row["final_val_loss_sd"]) == (2, 1, None)
    lines = group_table(sweep.spec, [one, other], LOSS)
    assert "2.3333 +- 1.5275" in lines[1] and "1.1667" in lines[1]
    record = SweepRecord(sweep, runs[0].config, print)
    record.open()
    summary = conclude(record, runs, known, None, None, None)
    told = {key: value for row in record.folder.rows() for key, value in row.metrics.items()}
    assert (told["runs/done"], told["runs/failed"]) == (5, 1)
    times = {"time": {"wall_seconds": 120.0, "estimated_seconds": 100.0}}
    lines = outcome_lines(sweep, summary | times, [one, other])
    assert "estimated 1 min 40 s, took 2 min 0 s (+20%)" in lines
