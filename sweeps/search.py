"""A search: Optuna proposes points, the driver trains them, Optuna hears what came of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from scaling.errors import UserError
from scaling.tracking.members import Key
from sweeps.ledger import Known
from sweeps.objectives import PRUNABLE, values
from sweeps.reading import Sweep
from sweeps.trials import (
    DRIVER,
    RETRY,
    RUNS,
    Trials,
    has_failed,
    is_elsewhere,
    is_left,
    this_process,
)
from sweeps.wanted import Wanted, runs_of

if TYPE_CHECKING:
    from optuna import Study, Trial


class SearchSource(Trials):
    """The trials of one study, and more of them. Several drivers may work on it.

    `folder`: the sweep's. `batch`: points asked for at a time, where the file does not say.
    `retry_failed`: a trial whose run failed is asked for again, as a new trial of the same point,
    which stands for it from then on: Optuna's trials end but once.
    """

    def __init__(
        self,
        sweep: Sweep,
        study: "Study",
        folder: Path,
        batch: int,
        *,
        retry_failed: bool = False,
    ) -> None:
        super().__init__(sweep, study, retry_failed=retry_failed)
        metric = self.search.objectives[0].metric
        self.judged = None if self.search.pruner.kind == "none" else PRUNABLE[metric]
        self.batch = self.search.batch or batch
        self._trials: dict[int, Trial] = {}  # of this process, for pruning
        self._known: dict[int, dict[Key, Known]] = {}
        self._asking = FileLock(folder / "asking.lock")
        self._queued = False  # those to be retried

    @property
    def total(self) -> int:
        """Runs in the end, as far as is known: a trial whose point makes no config has none."""
        trials = max(self.search.trials, len(self.standing())) - len(self.no_configs())
        return trials * max(1, len(self.sweep.spec.seeds))

    @property
    def waits(self) -> bool:
        """Whether another driver is at a trial of this study."""
        return any(
            not trial.state.is_finished()
            and trial.number not in self._known
            and not is_elsewhere(trial)
            for trial in self.standing()
        )

    def refill(self) -> list[Wanted]:
        """The next batch of points; before, those that a driver has left unfinished.

        Trials of another host's driver are taken for its own, but with `retry_failed`.
        """
        with self._asking:  # or two drivers would take over one trial, or retry it twice
            if self.retry_failed and not self._queued:
                self._queued = True
                self._again()
            left = self._adopt()
        if left:
            return left
        runs: list[Wanted] = []
        asked = 0
        while asked < self.batch or not runs:
            with self._asking:  # or two drivers would both ask for the last
                if not self._asks_on():
                    break
                trial = self.study.ask(self.space.distributions())
            trial.set_user_attr(DRIVER, this_process())
            runs += self._begin(trial.number, trial.params)
            self._trials[trial.number] = trial
            asked += 1
        return runs

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

    # ------------------------------------------------------------ asking and telling

    def _asks_on(self) -> bool:
        """Whether points are left to ask for; Optuna first gives out those that wait."""
        trials = self.standing()
        waiting = any(trial.state.name == "WAITING" for trial in trials)
        return waiting or len(trials) < self.search.trials

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
            if not (is_left(trial) or (self.retry_failed and is_elsewhere(trial))):
                continue
            if len(trial.params) < len(self.space.dimensions):  # killed in the midst of asking
                self.study.tell(trial.number, state=TrialState.FAIL)
                continue
            self._attribute(trial.number, DRIVER, this_process())
            runs += self._begin(trial.number, trial.params)
        return runs

    def _again(self) -> None:
        """Put the points of trials whose runs failed into the queue."""
        for trial in self.standing():
            if has_failed(trial):
                self.study.enqueue_trial(trial.params, user_attrs={RETRY: trial.number})

    def _tell(self, number: int, runs: list[Known]) -> None:
        from optuna.trial import TrialState

        self._attribute(number, RUNS, [known.run_id for known in runs])
        folders = [known.folder.path.name for known in runs if known.folder is not None]
        self._attribute(number, "folders", folders)
        failed = [known for known in runs if known.state == "failed"]
        if failed:
            self._attribute(number, "error", failed[0].error)
            self.study.tell(number, state=TrialState.FAIL)
        elif any(known.state == "pruned" for known in runs):
            self.study.tell(number, state=TrialState.PRUNED)
        else:
            self.study.tell(number, values(self.search.objectives, runs))

    def _attribute(self, number: int, name: str, value: Any) -> None:
        storage = self.study._storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
        storage.set_trial_user_attr(trial_id, name, value)
