"""The training loop: a cohort of runs of one shape, from the first step or from a checkpoint."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy

import torch

from scaling.branches import Branch
from scaling.budget import in_steps
from scaling.cohort import Cohort
from scaling.evaluation import GivenUpError
from scaling.optim import lr_factor
from scaling.progress import Progress
from scaling.signals import Stop
from scaling.stopwatch import Stopwatch
from scaling.summary import Summary, final_figures, summary_of
from scaling.tracking.tracker import Tracker
from scaling.watch import Watch


class Trainer:
    """Trains a cohort to the end of its budget, and tells each member's tracker."""

    def __init__(
        self,
        cohort: Cohort,
        trackers: Sequence[Tracker],
        report: Callable[["Trainer"], None],
        watch: Watch | None = None,
        branches: Sequence[Branch] = (),
        branch_off: Callable[["Trainer", Branch, Stop], None] | None = None,
    ) -> None:
        """`branch_off` trains and records a branch from where the trainer stands."""
        self.watch, self.branches, self.branch_off = watch, branches, branch_off
        self.cohort, self.trackers, self.report = cohort, list(trackers), report
        config, total = cohort.config, cohort.budget.steps
        self.total = total
        self.evaluate_every = in_steps(config.evaluation.every, total)
        self.keep_every = in_steps(config.checkpoint.every, total)
        self.save_every = in_steps(config.checkpoint.save_every, total)
        self.watch_every = in_steps(config.evaluation.watch_every, total)
        self.log_every = in_steps(config.tracking.log_every, total) or total
        self.norms_every = in_steps(config.tracking.norms_every, total)
        self.figure_names = cohort.model.figure_names()  # what the model reports of itself
        figures = len(self.figure_names)
        self.progress = Progress.at_start(cohort.members, figures, cohort.device)
        self.clock = Stopwatch(cohort.device)
        self._stop: Stop | None = None  # of the loop that goes on
        self.tokens_per_second = math.nan  # of each member, since the last log
        self._settled = cohort.step.settled  # whether all steps since then were recorded ones

    @property
    def step(self) -> int:
        """Optimizer steps that are done."""
        return self.progress.step

    # ------------------------------------------------------------ the loop

    def run(self, stop: Stop) -> None:
        """Train until the budget is spent, everything has diverged, or a stop is asked for."""
        _ = self.cohort.peak  # on a machine's first run it is measured, which is no training
        self.clock.start(self.step)
        self._stop = stop
        while True:
            if self._due(self.evaluate_every) and self.progress.evaluated_at != self.step:
                self._evaluate(stop)
            if self.watch is not None and self._due(self.watch_every) and not stop.requested:
                self._watch(self.watch)
            kept = self.keep_every is not None and self.step % self.keep_every == 0
            if kept and 0 < self.step < self.total:
                self._save(keep=self.cohort.config.checkpoint.keep)
            elif self._due(self.save_every):
                self._save()
            if self.step == self.total or self.progress.all_diverged:
                break
            for branch in self.branches:
                if branch.start == self.step and not stop.requested:
                    self._branch(branch, stop)
            if stop.requested:
                self._save()
                break
            before = self.step
            self.train_step()
            if self.step == before:  # given up: it is done when the run goes on
                self._save()
                break
            if self.step % self.log_every == 0 or self.step == self.total:
                self._log()
                self.report(self)

    def _branch(self, branch: Branch, stop: Stop) -> None:
        """Train a branch and come back, as if no time had passed."""
        assert self.branch_off is not None
        self._save()
        with self.clock.stopped(), self.cohort.set_aside():
            self.branch_off(self, branch, stop)
        self._settled = self.cohort.step.settled

    def start_from(self, stem: "Trainer") -> None:
        """Go on, as runs of their own, where another trainer of the same models stands.

        What has been evaluated on the way is theirs too: one of those may be their best.
        """
        self.progress = deepcopy(stem.progress)
        self.clock = Stopwatch(self.cohort.device, stem.clock.seconds, stem.clock.timed)
        self._tell_diverged()

    def _due(self, every: int | None) -> bool:
        """At the ends, and every so many steps between, but not on the heels of the end."""
        if self.step in (0, self.total):
            return True
        return (
            every is not None and self.step % every == 0 and self.total - self.step >= every // 2
        )

    def train_step(self) -> None:
        """One optimizer step of all members, without waiting for a device.

        None, where a stop is asked for meanwhile and the step is one that can be given up.
        """
        cohort = self.cohort
        factors = [lr_factor(config.schedule, self.step, self.total) for config in cohort.configs]
        with suppress(GivenUpError):
            cohort.step(
                self.step, factors, lambda: self._stop is not None and self._stop.requested
            )
            self.progress.add(cohort.step.loss, cohort.step.figures)

    # ------------------------------------------------------------ what is recorded

    def _log(self) -> None:
        """Record the mean loss since the last time, and what goes with it, in one transfer."""
        cohort, step, progress = self.cohort, self.step, self.progress
        norms = cohort.step.norms
        total_norm = torch.linalg.vector_norm(norms, dim=1)
        steps = progress.loss_steps
        mean, figures = progress.take_means()
        losses, grad_norms = torch.stack([mean, total_norm.double()]).tolist()
        reported = figures.tolist()
        seconds = self.clock.lap(step, settled=self._settled)
        self._settled = cohort.step.settled
        self.tokens_per_second = cohort.tokens_per_step / seconds
        before = (step - 1) // self.log_every * self.log_every  # when this was last done
        every = self.norms_every
        detail = every is not None and (step // every > before // every or step == self.total)
        layers = cohort.layer_norms(norms) if detail else [{}] * cohort.members
        # A last interval may be short: what is said of the end is of `log_every` steps at least.
        joined = progress.train_steps if steps < self.log_every else 0
        progress.train_steps = joined + steps
        for k, tracker in enumerate(self.trackers):
            if progress.diverged[k] is not None:
                continue
            if not math.isfinite(losses[k]):
                self._mark_diverged(k, step)
                continue
            progress.train_loss[k] = (
                (joined * progress.train_loss[k] + steps * losses[k]) / (joined + steps)
                if joined
                else losses[k]
            )
            config = cohort.configs[k]
            rate = config.optimizer.peak_lr * lr_factor(config.schedule, step - 1, self.total)
            rate = config.optimizer.used(rate, step)
            tracker.log(
                step,
                {
                    "train/loss": losses[k],
                    "grad_norm": grad_norms[k],
                    "lr": rate,
                    "tokens": step * cohort.tokens_per_step,
                    "seconds": self.clock.seconds,
                    "tokens_per_second": self.tokens_per_second,
                    "mfu": cohort.mfu(self.tokens_per_second),
                    **dict(zip(self.figure_names, reported[k], strict=True)),
                    **layers[k],
                },
            )

    def _mark_diverged(self, k: int, at: int) -> None:
        self.progress.diverged[k] = at
        self.trackers[k].log(at, {"diverged": 1.0})
        self.trackers[k].tag(diverged="true", diverged_step=str(at))

    def _tell_diverged(self) -> None:
        for k, at in enumerate(self.progress.diverged):
            if at is not None:
                self._mark_diverged(k, at)

    def _evaluate(self, stop: Stop) -> None:
        """Validate, unless a stop is asked for: then it is done when the run goes on."""
        with self.clock.not_training():
            with suppress(GivenUpError):
                self._judge(stop)
            self.report(self)  # of a run that may be pruned it waits for an answer

    def _judge(self, stop: Stop) -> None:
        """Each member's validation loss; its state is kept where it is its best so far."""
        results = self.cohort.validate(lambda: stop.requested)
        averaged = self.cohort.validate_average(lambda: stop.requested)
        progress, improved = self.progress, []
        for k, (tracker, result) in enumerate(zip(self.trackers, results, strict=True)):
            if progress.diverged[k] is not None:
                continue
            if not math.isfinite(result.loss):
                self._mark_diverged(k, self.step)
                continue
            progress.last[k] = result
            tokens = {"tokens": float(self.step * self.cohort.tokens_per_step)}
            tracker.log(self.step, result.metrics("val") | tokens)
            if averaged is not None:
                tracker.log(self.step, averaged[k].metrics("val_ema"))
                progress.last_average[k] = averaged[k].loss
            best = progress.best[k]
            if best is None or result.loss < best[0].loss:
                progress.best[k] = result, self.step
                improved.append(k)
        progress.evaluated_at = self.step
        if improved:
            self._save(best=improved)

    def _watch(self, watch: Watch) -> None:
        """See what the members write and know."""
        with self.clock.not_training():
            watch(self.cohort, self.trackers, self.step, [not sound for sound in self._sound()])

    def finish(self, stop: Stop) -> list[Summary]:
        """Judge the ended runs once on the test split and return each one's summary.

        Raises GivenUpError where a stop was asked for meanwhile; the runs' states are saved.
        """
        cohort, progress = self.cohort, self.progress
        tests = cohort.test(lambda: stop.requested)
        summaries = []
        for k, tracker in enumerate(self.trackers):
            final = {}
            if progress.diverged[k] is None and progress.last[k] is not None:
                test = tests[k] if tests else None
                if test is not None:
                    tracker.log(self.step, test.metrics("test"))
                final = final_figures(cohort, progress, self.clock, k, test)
                tracker.log(self.step, final)
            summaries.append(summary_of(cohort, progress, k, final))
        return summaries

    # ------------------------------------------------------------ checkpoints

    def _save(self, *, best: Sequence[int] = (), keep: int | None = None) -> None:
        """Save all members, so that they resume together; these are the best of their runs."""
        with self.clock.not_training():
            for k, sound in enumerate(self._sound()):
                if sound:
                    folder, state = self.trackers[k].folder, self.progress.of_member(k)
                    folder.settle_log()  # what is before a checkpoint is not logged again
                    state |= {"seconds": self.clock.seconds, "timed": self.clock.timed}
                    self.cohort.save(k, folder, self.step, state, best=k in best, keep=keep)

    def _sound(self) -> list[bool]:
        """Which members have not diverged, be it since they were last looked at."""
        sums = self.progress.loss_sum + self.cohort.weight_norms().sum(dim=1)
        finite = zip(self.progress.diverged, sums.isfinite().tolist(), strict=True)
        return [at is None and fine for at, fine in finite]

    def restore(self) -> None:
        """Go on from the trackers' folders' last checkpoints, of one step but where diverged."""
        saved = [self.cohort.restore(k, t.folder) for k, t in enumerate(self.trackers)]
        diverged = [tracker.folder.diverged_at() for tracker in self.trackers]
        # A run that has diverged saves no more, and stands where it last did.
        going = [k for k, at in enumerate(diverged) if at is None]
        self.progress = Progress.read(saved, diverged, self.cohort.device)
        first = saved[going[0] if going else 0]
        self.clock = Stopwatch(self.cohort.device, first["seconds"], tuple(first["timed"]))
        self._tell_diverged()
