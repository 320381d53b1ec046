"""Runs that sweeps share, repeat, or watch in different ways: what is one run, and one group."""

from pathlib import Path

from analysis.compare import Comparison, compare_runs
from analysis.compare import Request as Compared
from analysis.fits import FitOptions
from analysis.report.study import _what
from analysis.runs import Selection, read_runs
from analysis.study import Request, study
from scaling.tracking.members import Key, Members
from tests.analysis.recorded import Recorder

OPTIONS = FitOptions(starts=20, bootstrap=0, holdout=0)


def wants(recorder: Recorder, sweep: str, keys: list[Key]) -> None:
    """Records what a sweep wants, as the driver does."""
    experiment = recorder.store.get_experiment_by_name(recorder.experiment)
    assert experiment is not None
    tags = {"tinyscale.kind": "sweep", "tinyscale.sweep": sweep}
    parent = recorder.store.create_run(experiment.experiment_id, tags=tags, run_name=sweep)
    Members({key: {} for key in keys}, grows=False).write(recorder.place)
    recorder.store.log_artifact(parent.info.run_id, str(recorder.place / "wanted.json"))


def compared(recorder: Recorder, *runs: str) -> Comparison:
    selection = Selection(recorder.uri, recorder.experiment, runs=runs)
    return compare_runs(Compared(selection, recorder.place / "out"), lambda _: None)


def test_seeds_that_another_sweep_has_trained_are_of_one_group(workplace: Path) -> None:
    recorder = Recorder(workplace)
    keys = []
    for width in (16, 32, 64):
        for seed, own in ((1, "a"), (2, "b")):
            run = recorder.record(width=width, seed=seed, points=2, name=f"{own}-w{width}",
                                  tags={"tinyscale.sweep": own})  # fmt: skip
            record = run.read_record()
            keys.append((record.identity, record.seed))
    wants(recorder, "a", [key for key in keys if key[1] == 1])
    wants(recorder, "b", keys)
    request = Request(Selection(recorder.uri, sweep="b"), workplace / "out", options=OPTIONS)
    found = study(request, lambda _: None)
    assert "6 finished runs of 3 configurations, 2 seeds each" in str(_what(found))
    (law,) = (one for one in found.questions if one.axis == "N")
    seeds = next(one for one in law.laws[0].findings if one.rule == "seeds")
    assert seeds.figure == 2

    groups = compared(recorder)
    assert [name for name, _ in groups.groups] == ["a-w16", "a-w32", "a-w64"]
    assert all(test.pairs == 2 and test.p_value is not None for test in groups.tests)
    # Any of a configuration's names means all of its seeds; a run's name means that run.
    tag = recorder.store.get_run(groups.runs["run_id"][1]).data.tags["tinyscale.group"]
    assert tag.startswith("b-w16-")
    found_by = read_runs(Selection(recorder.uri, recorder.experiment, runs=(tag,)))
    assert sorted(found_by.runs["name"]) == ["a-w16", "b-w16"]
    assert len(read_runs(Selection(recorder.uri, runs=("b-w16",))).runs) == 1


def test_one_training_watched_in_two_ways_is_one_run(workplace: Path) -> None:
    recorder = Recorder(workplace)
    for width in (16, 32):
        for every in ("0.1", "0.25"):
            recorder.record(width=width, points=2, flags=("--evaluation.every", every))
    recorder.record(width=32, seed=2, points=2, flags=("--evaluation.every", "null"))
    found = read_runs(Selection(recorder.uri, recorder.experiment))
    assert len(found.runs) == 3 and found.runs["group"].nunique() == 2
    assert set(found.apart["why"]) == {"repeated later with the same config and seed"}


def test_branches_of_a_run_made_again_are_those_of_the_run_that_counts(workplace: Path) -> None:
    recorder = Recorder(workplace)
    stem = recorder.record(tokens=800_000, points=2).read_record()
    tags = {"tinyscale.branch_of": stem.id}
    recorder.record(tokens=200_000, points=2, tags=tags)
    again = recorder.record(tokens=800_000, points=2).read_record()
    found = read_runs(Selection(recorder.uri, recorder.experiment))
    assert len(found.runs) == 2
    assert set(found.runs["trajectory"]) == {again.id}
