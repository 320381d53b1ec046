"""Times of shapes: kept by shape and machine, but not what a busy machine says."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.config import RunConfig
from sweeps.calibration import Calibration, training_seconds
from sweeps.job import Costs
from sweeps.machine import Others, Way
from sweeps.sizes import size_of

COSTS = Costs(setup=0.1, step=0.01, eval_token=1e-6, save=0.05, measuring=1.0, peak=1000)


def test_a_shape_is_known_whatever_its_length_and_rate(
    workplace: Path, tiny: Callable[..., RunConfig]
) -> None:
    way = Way(members=2, threads=1)
    Calibration(workplace, "here").note(tiny(), way, [COSTS], others=0.0)
    again = Calibration(workplace, "here")
    assert again.ways(tiny("--budget.steps", "7", "--optimizer.lr", "1")) == {way: COSTS}
    assert again.ways(tiny("--model.n_layers", "2")) == {}
    assert Calibration(workplace, "there").ways(tiny()) == {}


def test_costs_of_other_numbers_of_members_follow_from_those_timed(
    workplace: Path, tiny: Callable[..., RunConfig]
) -> None:
    known = Calibration(workplace, "here")
    known.note(tiny(), Way(2, 1), [COSTS], others=0.0)
    known.note(tiny(), Way(4, 1), [COSTS.times(3.0)], others=0.0)
    step = {}
    for members in (1, 2, 3, 4, 8):
        costs = known.costs(tiny(), Way(members, 1))
        assert costs is not None
        step[members] = costs.step / COSTS.step
    assert step == pytest.approx({1: 0.5, 2: 1.0, 3: 2.0, 4: 3.0, 8: 6.0})
    assert known.costs(tiny(), Way(2, 2)) is None


def test_what_processes_find_side_by_side_is_averaged(
    workplace: Path, tiny: Callable[..., RunConfig]
) -> None:
    known = Calibration(workplace, "here")
    known.note(tiny(), Way(1, 1), [COSTS, COSTS.times(2.0)], others=0.0)
    costs = known.costs(tiny(), Way(1, 1))
    assert costs is not None
    assert costs.step == pytest.approx(1.5 * COSTS.step)


def test_what_a_busy_machine_says_holds_for_now_only(
    workplace: Path, tiny: Callable[..., RunConfig]
) -> None:
    busy = Calibration(workplace, "here")
    busy.note(tiny(), Way(1, 1), [COSTS], others=0.5)
    assert busy.ways(tiny()) == {Way(1, 1): COSTS}
    assert Calibration(workplace, "here").ways(tiny()) == {}


def test_others_are_who_is_neither_this_process_nor_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = {"all": 100.0, "monotonic": 5.0}
    monkeypatch.setattr("sweeps.machine._seconds_of_all", lambda: clock["all"])
    monkeypatch.setattr("time.monotonic", lambda: clock["monotonic"])
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    burn = "import time\nt = time.process_time()\nwhile time.process_time() < t + 0.4: pass\n"
    others = Others()
    with subprocess.Popen(
        [sys.executable, "-c", burn + "print(flush=True)\ninput()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        clock |= {"all": 102.0, "monotonic": 7.0}
        # Of 4 core seconds 2 were worked, .4 and more of them by the child: the rest by others.
        assert 0.2 < others.share() < 0.41
        child.communicate("\n")


def test_a_run_is_its_steps_evaluations_and_saves(tiny: Callable[..., RunConfig]) -> None:
    config = tiny("--evaluation.every", "10", "--checkpoint.save_every", "15")
    # Evaluations at 0, 10, 20, 30; saves there and at 15.
    expected = 30 * 0.01 + 4 * 1000 * 1e-6 + 5 * 0.05
    assert training_seconds(config, [(0, 30)], COSTS, eval_tokens=1000) == pytest.approx(expected)


def test_averaged_weights_are_judged_too(tiny: Callable[..., RunConfig]) -> None:
    flags = ("--evaluation.every", "10")
    plain = training_seconds(tiny(*flags), [(0, 30)], COSTS, eval_tokens=1000)
    averaged = tiny(*flags, "--evaluation.ema", "0.9")
    assert training_seconds(averaged, [(0, 30)], COSTS, eval_tokens=1000) == pytest.approx(
        plain + 4 * 1000 * 1e-6
    )


def test_branches_cost_their_decays(tiny: Callable[..., RunConfig]) -> None:
    flags = ("--evaluation.every", "null", "--checkpoint.save_every", "30")
    wsd = ("--schedule.kind", "wsd", "--schedule.warmup", "2", "--schedule.decay", "0.2")
    plain = training_seconds(tiny(*flags, *wsd), [(0, 30)], COSTS, eval_tokens=1000)
    branched = tiny(*flags, *wsd, "--schedule.branches", "[0.5]", "--budget.steps", "30")
    stretches = size_of(branched).stretches
    # From step 12 to 15, with a save before, and an evaluation and a save at its end.
    expected = plain + 3 * 0.01 + 2 * 0.05 + 1000 * 1e-6
    seconds = training_seconds(branched, stretches, COSTS, eval_tokens=1000)
    assert seconds == pytest.approx(expected)
