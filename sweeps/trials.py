"""What a search's trials say: how each stands, which runs it wants, whose they are."""

import math
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.errors import UserError
from scaling.tracking.folder import process_is_alive, process_start
from sweeps.reading import Sweep
from sweeps.space import Space
from sweeps.study import find_study
from sweeps.wanted import Wanted, runs_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

SIGNS = 60.0  # seconds in which a driver has put its name to a trial, however slow the storage
RETRY = "retry_of"  # a trial's, that says which failed one it stands for
DRIVER = "driver"  # a trial's: host, process and its start
RUNS = "run_ids"  # a told trial's, whose point made runs


class Trials:
    """The trials of one study, read as often as they are asked for.

    `retry_failed`: a trial whose run failed has not ended, since it is to be asked for again.
    """

    def __init__(self, sweep: Sweep, study: "Study", *, retry_failed: bool = False) -> None:
        assert sweep.spec.search is not None
        self.sweep, self.search, self.study = sweep, sweep.spec.search, study
        self.space = Space(self.search.space)
        self.retry_failed = retry_failed
        self._runs: dict[int, list[Wanted]] = {}

    def standing(self) -> "list[FrozenTrial]":
        """All trials but those that another stands for, or whose driver died asking for them."""
        trials = self.study.get_trials(deepcopy=False)
        points = [trial for trial in trials if not self._is_no_point(trial)]
        again = {trial.user_attrs.get(RETRY) for trial in points}
        return [trial for trial in points if trial.number not in again]

    def _is_no_point(self, trial: "FrozenTrial") -> bool:
        return trial.state.name == "FAIL" and len(trial.params) < len(self.space.dimensions)

    def states(self) -> list[str]:
        """How each trial stands: complete, running, fail, pruned or waiting."""
        return [trial.state.name.lower() for trial in self.standing()]

    @property
    def told(self) -> int:
        """How many trials have ended."""
        return sum(trial.state.is_finished() for trial in self.standing())

    @property
    def ended(self) -> bool:
        """Whether every trial has been told, and none is to be retried."""
        trials = self.standing()
        return (
            len(trials) >= self.search.trials
            and all(trial.state.is_finished() for trial in trials)
            and not (self.retry_failed and any(map(has_failed, trials)))
        )

    def no_configs(self) -> list[str]:
        """What was wrong with each point that makes no config, such as a width that the heads do
        not divide."""
        return [
            str(trial.user_attrs.get("error"))
            for trial in self.standing()
            if trial.state.name == "FAIL" and RUNS not in trial.user_attrs
        ]

    def best(self) -> list[dict[str, Any]]:
        """The best trial; of several objectives all those that no other beats in every one."""
        found: dict[str, dict[str, Any]] = {}
        for trial in self.study.best_trials:
            if not all(map(math.isfinite, trial.values)):  # all have diverged
                continue
            point = self.space.point(trial.params)
            told = zip(self.search.objectives, trial.values, strict=True)
            one = {
                "trial": trial.number,
                "point": point.labels,
                "objectives": {objective.metric: value for objective, value in told},
                RUNS: trial.user_attrs.get(RUNS),
            }
            found.setdefault(point.text(), one)  # a point may be proposed twice
        every = list(found.values())
        return every[:1] if len(self.search.objectives) == 1 else every

    def lacking(self) -> str | None:
        """What to tell of points that made no config; None where all made one."""
        wrong = self.no_configs()
        if not wrong:
            return None
        what = f"{len(wrong)} of the search's {self.search.trials} points made no config"
        return f"{what}, the first: {wrong[0]}"

    def elsewhere(self) -> list[str]:
        """The hosts whose drivers have trials that are not told, one for each trial."""
        return [
            str(trial.user_attrs[DRIVER][0])
            for trial in self.standing()
            if not trial.state.is_finished() and is_elsewhere(trial)
        ]

    def runs(self) -> list[Wanted]:
        """The runs of every trial, in the order of asking; of all drivers'."""
        standing = self.standing()
        for trial in standing:
            if trial.number not in self._runs and len(trial.params) == len(self.space.dimensions):
                try:
                    point = self.space.point(trial.params)
                    self._runs[trial.number] = runs_of(self.sweep, point, trial.number)
                except UserError:  # this point makes no config; its trial says so
                    self._runs[trial.number] = []
        return [run for trial in standing for run in self._runs.get(trial.number, [])]


def find_trials(
    sweep: Sweep,
    first: Wanted,
    storage: str | None,
    folder: Path,
    *,
    retry_failed: bool = False,
) -> Trials | None:
    """The trials of a search, to be read; None where nothing has been asked for."""
    study = find_study(sweep, first, storage, folder)
    return None if study is None else Trials(sweep, study, retry_failed=retry_failed)


def has_failed(trial: "FrozenTrial") -> bool:
    """Whether it ended in a failed run; other failures (a point of no config) would again."""
    return trial.state.name == "FAIL" and RUNS in trial.user_attrs


def this_process() -> list[Any]:
    """What a driver signs its trials with."""
    return [os.uname().nodename, os.getpid(), process_start(os.getpid())]


def is_elsewhere(trial: "FrozenTrial") -> bool:
    """Whether the driver of a trial is, or was, on another host."""
    driver = trial.user_attrs.get(DRIVER)
    return driver is not None and driver[0] != os.uname().nodename


def is_left(trial: "FrozenTrial") -> bool:
    """Whether the driver of a trial is gone. It signs a moment after it has asked."""
    if DRIVER in trial.user_attrs:
        return not _is_alive(trial.user_attrs[DRIVER])
    assert trial.datetime_start is not None  # it runs
    return (datetime.now() - trial.datetime_start).total_seconds() > SIGNS


def _is_alive(process: list[Any]) -> bool:
    """Whether the driver of a trial still runs; one on another host is taken to."""
    host, pid, started = process
    if host != os.uname().nodename:
        return True
    return pid != os.getpid() and process_is_alive(pid, started)
