"""A search: Optuna proposes points, the driver trains them, Optuna hears what came of it."""

import json
import math
import os
import statistics
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from scaling.errors import UserError
from scaling.schema import nearest
from scaling.tracking.folder import process_is_alive
from scaling.tracking.members import Key
from sweeps.ledger import Known
from sweeps.reading import Sweep
from sweeps.samplers import make_pruner, make_sampler
from sweeps.space import Space
from sweeps.spec import Search
from sweeps.wanted import Wanted, check_space, runs_of

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

METRICS = (
    *("final/val_loss", "final/val_bpb", "final/val_perplexity", "final/train_loss"),
    *("final/test_loss", "final/test_bpb", "best/val_loss", "best/val_bpb"),
    *("final/wall_seconds", "final/tokens_per_second"),
    *("parameters/total", "parameters/non_embedding", "flops", "tokens"),
)
PRUNABLE = ("final/val_loss", "final/val_bpb", "best/val_loss", "best/val_bpb")
SPACE = "tinyscale.search"  # the study's attribute that says what it searches
JOURNAL = "study.journal"
SIGNS = 60.0  # seconds in which a driver has put its name to a trial, however slow the storage
RETRY = "retry_of"  # a trial's, that says which failed one it stands for


class SearchSource:
    """The trials of one study. Several drivers may work on it.

    `retry_failed`: a trial whose run failed is asked for again, as a new trial of the same point,
    which stands for it from then on: Optuna's trials end but once.
    """

    def __init__(
        self,
        sweep: Sweep,
        storage: str | None,
        folder: Path,
        batch: int,
        *,
        retry_failed: bool = False,
    ) -> None:
        assert sweep.spec.search is not None
        self.sweep, self.search = sweep, sweep.spec.search
        self.space = Space(self.search.space)
        self.corners = check_space(sweep, self.space)
        check_search(self.search, sweep)
        self.judged = self.search.pruner.kind != "none"
        self.batch = self.search.batch or batch
        self.study = self._open(storage, folder)
        self._trials: dict[int, Trial] = {}  # of this process, for pruning
        self._runs: dict[int, list[Wanted]] = {}
        self._known: dict[int, dict[Key, Known]] = {}
        self.retry_failed = retry_failed
        self._queued = False  # those to be retried

    @property
    def total(self) -> int:
        """Runs in the end, as far as is known: a trial whose point makes no config has none."""
        return (self.search.trials - len(self.no_configs())) * max(1, len(self.sweep.spec.seeds))

    def no_configs(self) -> list[str]:
        """What was wrong with each point that makes no config, such as a width that the heads do
        not divide."""
        return [
            trial.user_attrs.get("error", "its driver died while asking for it")
            for trial in self._standing()
            if trial.state.name == "FAIL" and "run_ids" not in trial.user_attrs
        ]

    @property
    def ended(self) -> bool:
        """Whether every trial has been told, and none is to be retried."""
        trials = self._standing()
        whole = len(trials) >= self.search.trials
        return (
            whole
            and all(trial.state.is_finished() for trial in trials)
            and not (self.retry_failed and any(map(_has_failed, trials)))
        )

    def states(self) -> list[str]:
        """How each trial stands: complete, running, fail, pruned or waiting."""
        return [trial.state.name.lower() for trial in self._standing()]

    def _standing(self) -> "list[FrozenTrial]":
        """All trials but those that another stands for."""
        trials = self.study.get_trials(deepcopy=False)
        gone = {trial.user_attrs.get(RETRY) for trial in trials}
        return [trial for trial in trials if trial.number not in gone]

    # ------------------------------------------------------------ the source's calls

    def refill(self) -> list[Wanted]:
        """The next batch of points; before, those that a driver has left unfinished.

        Trials of another host's driver are taken for its own, but with `retry_failed`.
        """
        if self.retry_failed and not self._queued:
            self._queued = True
            self._again()
        if left := self._adopt():
            return left
        runs: list[Wanted] = []
        asked = 0
        while (asked < self.batch or not runs) and self._asks_on():
            trial = self.study.ask(self.space.distributions())
            trial.set_user_attr("driver", _this_process())
            runs += self._begin(trial.number, trial.params)
            self._trials[trial.number] = trial
            asked += 1
        return runs

    @property
    def waits(self) -> bool:
        """Whether another driver is at a trial of this study."""
        return any(
            not trial.state.is_finished()
            and trial.number not in self._known
            and not _is_elsewhere(trial)
            for trial in self._standing()
        )

    def elsewhere(self) -> list[str]:
        """The hosts whose drivers have trials that are not told, one for each trial."""
        return [
            str(trial.user_attrs["driver"][0])
            for trial in self._standing()
            if not trial.state.is_finished() and _is_elsewhere(trial)
        ]

    def _asks_on(self) -> bool:
        """Whether points are left to ask for; Optuna first gives out those that wait."""
        trials = self._standing()
        waiting = any(trial.state.name == "WAITING" for trial in trials)
        return waiting or len(trials) < self.search.trials

    def settled(self, run: Wanted, known: Known) -> None:
        """Note the run; tell Optuna once all seeds of its trial are in."""
        assert run.trial is not None
        number = run.trial
        self._known[number][run.key] = known
        runs = self._known[number]
        if len(runs) == len(self._runs[number]):
            self._tell(number, list(runs.values()))

    def hopeless(self, run: Wanted, percent: int, loss: float) -> bool:
        """Report the loss to the pruner. All trials have one budget, so that percents compare."""
        trial = self._trials.get(run.trial) if run.trial is not None else None
        if trial is None:  # of an earlier driver: it ends as it is
            return False
        first = self._runs[trial.number][0]
        if run.key != first.key:  # Optuna hears of one run a trial; the other seeds follow it
            there = self._known[trial.number].get(first.key)
            return there is not None and there.state == "pruned"
        trial.report(loss, percent)
        return trial.should_prune()

    def runs(self) -> list[Wanted]:
        """The runs of every trial, in the order of asking; of earlier drivers' too."""
        standing = self._standing()
        for trial in standing:
            if trial.number not in self._runs and len(trial.params) == len(self.space.dimensions):
                try:
                    point = self.space.point(trial.params)
                    self._runs[trial.number] = runs_of(self.sweep, point, trial.number)
                except UserError:  # this point makes no config; its trial says so
                    self._runs[trial.number] = []
        return [run for trial in standing for run in self._runs.get(trial.number, [])]

    # ------------------------------------------------------------ trials

    def _begin(self, number: int, params: Mapping[str, Any]) -> list[Wanted]:
        from optuna.trial import TrialState

        self._known[number] = {}
        point = self.space.point(dict(params))
        try:
            self._runs[number] = runs_of(self.sweep, point, number)
        except UserError as error:
            self._runs[number] = []
            self._attribute(number, "error", str(error))
            self.study.tell(number, state=TrialState.FAIL)
        return self._runs[number]

    def _adopt(self) -> list[Wanted]:
        """Trials that are told as running, but whose driver is gone: their runs go on."""
        from optuna.trial import TrialState

        runs: list[Wanted] = []
        for trial in self.study.get_trials(states=[TrialState.RUNNING]):
            if trial.number in self._known:
                continue
            # Nobody here sees whether a driver on another host is alive: a retry says it is not.
            if not (_is_left(trial) or (self.retry_failed and _is_elsewhere(trial))):
                continue
            if len(trial.params) < len(self.space.dimensions):  # killed in the midst of asking
                self.study.tell(trial.number, state=TrialState.FAIL)
                continue
            self._attribute(trial.number, "driver", _this_process())
            runs += self._begin(trial.number, trial.params)
        return runs

    def _again(self) -> None:
        """Put the points of trials whose runs failed into the queue."""
        for trial in self._standing():
            if _has_failed(trial):
                self.study.enqueue_trial(trial.params, user_attrs={RETRY: trial.number})

    def _tell(self, number: int, runs: list[Known]) -> None:
        from optuna.trial import TrialState

        self._attribute(number, "run_ids", [known.run_id for known in runs])
        folders = [known.folder.path.name for known in runs if known.folder is not None]
        self._attribute(number, "folders", folders)
        failed = [known for known in runs if known.state == "failed"]
        if failed:
            self._attribute(number, "error", failed[0].error)
            self.study.tell(number, state=TrialState.FAIL)
        elif any(known.state == "pruned" for known in runs):
            self.study.tell(number, state=TrialState.PRUNED)
        else:
            self.study.tell(number, self.values(runs))

    def values(self, runs: list[Known]) -> list[float]:
        """The objectives, means over seeds; a diverged run is infinitely bad."""
        found = []
        for objective in self.search.objectives:
            worst = math.inf if objective.direction == "minimize" else -math.inf
            each = [
                known.summary.get(objective.metric.replace("/", "_"), worst)
                if not known.summary.get("diverged")
                else worst
                for known in runs
            ]
            found.append(statistics.fmean(each))
        return found

    def _attribute(self, number: int, name: str, value: Any) -> None:
        storage = self.study._storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
        storage.set_trial_user_attr(trial_id, name, value)

    # ------------------------------------------------------------ the study

    def _open(self, storage: str | None, folder: Path) -> "Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        count = len(self.search.objectives)
        pruner = make_pruner(self.search.pruner)
        make_sampler(self.search.sampler, self.search.seed, count)  # complain before any file
        study = optuna.create_study(
            storage=_storage(storage, folder),
            study_name=self.sweep.spec.name,
            directions=[objective.direction for objective in self.search.objectives],
            pruner=pruner,
            load_if_exists=True,
        )
        told = self._told()
        before = study.user_attrs.get(SPACE)
        if before is not None and before != told:
            changed = next(key for key in told if told[key] != before.get(key))
            raise UserError(
                f"the search {self.sweep.spec.name} was begun with another {changed}; what it has"
                " found does not fit this one: give it another name (--name)."
            )
        if before is None:
            study.set_user_attr(SPACE, told)
        # A sampler that started anew with the same seed would propose the same points again;
        # QMC's points are numbered in the storage and want one seed for all.
        done = 0 if self.search.sampler.kind == "qmc" else len(study.get_trials(deepcopy=False))
        study.sampler = make_sampler(self.search.sampler, self.search.seed + done, count)
        return study

    def _told(self) -> dict[str, Any]:
        """What has to stay the same for results to be of one study."""
        from optuna.distributions import distribution_to_json

        return {
            "space": {
                name: json.loads(distribution_to_json(distribution))
                for name, distribution in self.space.distributions().items()
            },
            "seeds": list(self.sweep.spec.seeds),
            "objectives": [objective.model_dump() for objective in self.search.objectives],
            "base config or budget": self.corners[0].config.identity,
        }


def ended_trials(sweep: Sweep, storage: str | None, folder: Path) -> int:
    """How many trials of a search have ended; none of a grid, or where it has not begun."""
    if sweep.spec.search is None or (storage is None and not (folder / JOURNAL).exists()):
        return 0
    states = SearchSource(sweep, storage, folder, batch=1).states()
    return len(states) - states.count("running") - states.count("waiting")


def _has_failed(trial: "FrozenTrial") -> bool:
    """Whether it ended in a failed run; other failures (a point of no config) would again."""
    return trial.state.name == "FAIL" and "run_ids" in trial.user_attrs


def check_search(search: Search, sweep: Sweep) -> None:
    """Raise one sentence for what cannot be searched."""
    for objective in search.objectives:
        if objective.metric not in METRICS:
            close = nearest(objective.metric, METRICS)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(METRICS)}."
            raise UserError(f"search.objectives has no metric {objective.metric}; {hint}")
    if search.pruner.kind == "none":
        return
    if len(search.objectives) > 1:
        raise UserError("search.pruner needs one objective; leave it out with several.")
    if search.objectives[0].metric not in PRUNABLE:
        raise UserError(
            f"search.pruner judges by validation loss, not {search.objectives[0].metric}."
        )
    budget = sweep.base.get("budget", {})
    varied = Space(search.space).fields
    sized = any(f.split(".")[0] in ("model", "batch", "data", "budget") for f in varied)
    if sized and "tokens" not in budget:
        raise UserError(
            "search.pruner compares runs at equal shares of equal budgets: give budget.tokens, so"
            " that every point of this space has the same."
        )


def _storage(url: str | None, folder: Path) -> Any:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if url is None:
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    try:
        return RDBStorage(url)
    except Exception as error:  # whatever the database's driver raises
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"--storage {url} cannot be used: {line}.") from None


def _this_process() -> list[Any]:
    return [os.uname().nodename, os.getpid(), psutil.Process().create_time()]


def _is_elsewhere(trial: "FrozenTrial") -> bool:
    """Whether the driver of a trial is, or was, on another host."""
    driver = trial.user_attrs.get("driver")
    return driver is not None and driver[0] != os.uname().nodename


def _is_left(trial: "FrozenTrial") -> bool:
    """Whether the driver of a trial is gone. It signs a moment after it has asked."""
    if "driver" in trial.user_attrs:
        return not _is_alive(trial.user_attrs["driver"])
    assert trial.datetime_start is not None  # it runs
    return (datetime.now() - trial.datetime_start).total_seconds() > SIGNS


def _is_alive(process: list[Any]) -> bool:
    """Whether the driver of a trial still runs; one on another host is taken to."""
    host, pid, started = process
    if host != os.uname().nodename:
        return True
    return pid != os.getpid() and process_is_alive(pid, started)
