"""The training loop: a cohort of runs of one shape, from the first step or from a checkpoint."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple

import torch

from scaling.branches import Branch, branches_of
from scaling.budget import in_steps
from scaling.cohort import Cohort
from scaling.errors import UserError
from scaling.evaluation import Evaluation
from scaling.optim import lr_factor
from scaling.signals import Stop
from scaling.tracking.tracker import Tracker
from scaling.watch import Watch


class Trainer:
    """Trains a cohort to the end of its budget, and tells each member's tracker."""

    def __init__(
        self,
        cohort: Cohort,
        trackers: Sequence[Tracker],
        progress: Callable[["Trainer"], None],
        branch_off: Callable[["Trainer", Branch, Stop], None] | None = None,
    ) -> None:
        """`branch_off` trains and records a branch from where the trainer stands."""
        self.branch_off, self.branches = branch_off, branches_of(cohort) if branch_off else []
        self.cohort, self.trackers, self.progress = cohort, list(trackers), progress
        config, total = cohort.config, cohort.budget.steps
        self.total = total
        self.evaluate_every = in_steps(config.evaluation.every, total)
        self.keep_every = in_steps(config.checkpoint.every, total)
        self.save_every = in_steps(config.checkpoint.save_every, total)
        self.watch_every = in_steps(config.evaluation.watch_every, total)
        self.watch = Watch(cohort) if self.watch_every is not None else None
        self.log_every = in_steps(config.tracking.log_every, total) or total
        self.norms_every = in_steps(config.tracking.norms_every, total)
        # Progress, all of it in the checkpoints: a resumed run goes on as if nothing had been.
        members = cohort.members
        self.step = 0
        self.seconds = 0.0  # of wall time, in all sessions
        self.loss_sum = torch.zeros(members, dtype=torch.float64, device=cohort.device)
        self.loss_steps = 0
        self.figure_names = cohort.model.figure_names()  # what the model reports of itself
        self.figure_sum = self.loss_sum.new_zeros(members, len(self.figure_names))
        self.evaluated_at: int | None = None
        self.last: list[Evaluation | None] = [None] * members
        self.last_average: list[float | None] = [None] * members
        self.best: list[tuple[Evaluation, int] | None] = [None] * members  # and its step
        self.diverged: list[int | None] = [None] * members
        self.train_loss = [math.nan] * members
        self.tokens_per_second = math.nan
        # Clocks of this session.
        self._session = time.perf_counter()
        self._since, self._since_step, self._aside = self._session, 0, 0.0
        self._measured: tuple[float, int] = (0.0, 0)  # training seconds, and tokens in them

    # ------------------------------------------------------------ the loop

    def run(self, stop: Stop) -> None:
        """Train until the budget is spent, everything has diverged, or a stop is asked for."""
        _ = self.cohort.peak  # on a machine's first run it is measured, which is no training
        self._session = self._since = time.perf_counter()
        self._since_step = self.step
        while True:
            if self._due(self.evaluate_every) and self.evaluated_at != self.step:
                self._evaluate()
            if self.watch is not None and self._due(self.watch_every):
                self._watch(self.watch)
            if self._due(self.keep_every) and 0 < self.step < self.total:
                self._save(keep=self.cohort.config.checkpoint.keep)
            elif self._due(self.save_every):
                self._save()
            if self.step == self.total or all(at is not None for at in self.diverged):
                break
            for branch in self.branches:
                if branch.start == self.step and not stop.requested:
                    self._branch(branch, stop)
            if stop.requested:
                self._save()
                break
            self.train_step()
            if self.step % self.log_every == 0 or self.step == self.total:
                self._log()
                self.progress(self)

    def _branch(self, branch: Branch, stop: Stop) -> None:
        """Train a branch and come back, as if no time had passed."""
        assert self.branch_off is not None
        self._save()
        before = self._aside
        with self._not_training(), self.cohort.set_aside():
            self.branch_off(self, branch, stop)
        self._session += self._aside - before

    def start_from(self, stem: "Trainer") -> None:
        """Begin where another trainer of the same models stands."""
        self.step, self.seconds = stem.step, stem.wall_seconds
        for k, at in enumerate(stem.diverged):
            if at is not None:
                self._mark_diverged(k, at)

    def _due(self, every: int | None) -> bool:
        """At the ends, and every so many steps between, but not on the heels of the end."""
        if self.step in (0, self.total):
            return True
        return (
            every is not None and self.step % every == 0 and self.total - self.step >= every // 2
        )

    @contextmanager
    def _not_training(self) -> Iterator[None]:
        """What is done while entered counts as no training's time; entered again, it counts once.

        A device that is behind first ends the steps it was given, which are training.
        """
        if self.cohort.device.type == "cuda":
            torch.cuda.synchronize(self.cohort.device)
        start, before = time.perf_counter(), self._aside
        try:
            yield
        finally:
            self._aside = before + time.perf_counter() - start

    def train_step(self) -> None:
        """One optimizer step of all members, without waiting for a device."""
        cohort = self.cohort
        cohort.step(
            self.step,
            [lr_factor(config.schedule, self.step, self.total) for config in cohort.configs],
        )
        self.loss_sum += cohort.step.loss
        self.figure_sum += cohort.step.figures
        self.loss_steps += 1
        self.step += 1

    # ------------------------------------------------------------ what is recorded

    def _log(self) -> None:
        """Record the mean loss since the last time, and what goes with it, in one transfer."""
        cohort, step = self.cohort, self.step
        norms = cohort.step.norms
        total_norm = torch.linalg.vector_norm(norms, dim=1)
        figures = torch.stack([self.loss_sum / self.loss_steps, total_norm.double()]).tolist()
        losses, grad_norms = figures
        reported = (self.figure_sum / self.loss_steps).tolist()
        self.loss_sum.zero_()
        self.figure_sum.zero_()
        self.loss_steps = 0
        now = time.perf_counter()
        seconds = now - self._since - self._aside
        tokens = (step - self._since_step) * cohort.tokens_per_step
        self._since, self._since_step, self._aside = now, step, 0.0
        self._measured = (self._measured[0] + seconds, self._measured[1] + tokens)
        self.tokens_per_second = tokens / seconds
        before = (step - 1) // self.log_every * self.log_every  # when this was last done
        every = self.norms_every
        detail = every is not None and (step // every > before // every or step == self.total)
        layers = cohort.layer_norms(norms) if detail else [{}] * cohort.members
        for k, tracker in enumerate(self.trackers):
            if self.diverged[k] is not None:
                continue
            if not math.isfinite(losses[k]):
                self._mark_diverged(k, step)
                continue
            self.train_loss[k] = losses[k]
            config = cohort.configs[k]
            rate = config.optimizer.peak_lr * lr_factor(config.schedule, step - 1, self.total)
            tracker.log(
                step,
                {
                    "train/loss": losses[k],
                    "grad_norm": grad_norms[k],
                    "lr": rate,
                    "tokens": step * cohort.tokens_per_step,
                    "seconds": self.wall_seconds,
                    "tokens_per_second": self.tokens_per_second,
                    "mfu": cohort.mfu(self.tokens_per_second),
                    **dict(zip(self.figure_names, reported[k], strict=True)),
                    **layers[k],
                },
            )

    def _mark_diverged(self, k: int, at: int) -> None:
        self.diverged[k] = at
        self.trackers[k].log(at, {"diverged": 1.0})
        self.trackers[k].tag(diverged="true", diverged_step=str(at))

    def _evaluate(self) -> None:
        """Validate; keep each member's state that is its best so far."""
        with self._not_training():
            self._judge()
        self.progress(self)

    def _judge(self) -> None:
        results = self.cohort.validate()
        averaged = self.cohort.validate_average()
        improved = []
        for k, (tracker, result) in enumerate(zip(self.trackers, results, strict=True)):
            if self.diverged[k] is not None:
                continue
            if not math.isfinite(result.loss):
                self._mark_diverged(k, self.step)
                continue
            self.last[k] = result
            tokens = {"tokens": float(self.step * self.cohort.tokens_per_step)}
            tracker.log(self.step, result.metrics("val") | tokens)
            if averaged is not None:
                tracker.log(self.step, averaged[k].metrics("val_ema"))
                self.last_average[k] = averaged[k].loss
            best = self.best[k]
            if best is None or result.loss < best[0].loss:
                self.best[k] = result, self.step
                improved.append(k)
        self.evaluated_at = self.step
        if improved:
            self._save(best=improved)

    def _watch(self, watch: Watch) -> None:
        """See what the members write and know."""
        with self._not_training():
            watch(self.trackers, self.step, [not sound for sound in self._sound()])

    def finish(self) -> list[dict[str, float | int | bool | str | None]]:
        """Judge the ended runs once on the test split and return each one's summary."""
        tests = self.cohort.test()
        summaries = []
        for k, tracker in enumerate(self.trackers):
            final = {}
            if self.diverged[k] is None and self.last[k] is not None:
                test = tests[k] if tests else None
                if test is not None:
                    tracker.log(self.step, test.metrics("test"))
                final = self._final_metrics(k, test)
                tracker.log(self.step, final)
            summaries.append(self.summary(k, final))
        return summaries

    def _final_metrics(self, k: int, test: Evaluation | None) -> dict[str, float]:
        last, found = self.last[k], self.best[k]
        assert last is not None and found is not None
        best, best_step = found
        figures = {
            "final/train_loss": self.train_loss[k],
            "final/val_loss": last.loss,
            "final/val_bpb": last.bpb,
            "final/val_perplexity": last.perplexity,
            "best/val_loss": best.loss,
            "best/val_bpb": best.bpb,
            "best/val_perplexity": best.perplexity,
            "best/step": best_step,
            "final/tokens_per_second": self.mean_tokens_per_second,
            "final/wall_seconds": self.wall_seconds,
        }
        average = self.last_average[k]
        if average is not None:
            figures["final/val_ema_loss"] = average
        if test is not None:
            figures |= {"final/test_loss": test.loss, "final/test_bpb": test.bpb}
        return figures

    def summary(
        self, k: int, final: Mapping[str, float]
    ) -> dict[str, float | int | bool | str | None]:
        """What is to be said of member k's run, with its `final/...` and `best/...` figures."""
        config, cohort, diverged = self.cohort.configs[k], self.cohort, self.diverged[k]
        steps = self.step if diverged is None else diverged  # others may have gone on
        return {
            "name": config.name,
            "seed": config.seed,
            "identity": config.identity,
            "steps": steps,
            "tokens": steps * cohort.tokens_per_step,
            "complete": steps == self.total,
            "diverged": diverged is not None,
            "diverged_step": diverged,
            **{f"parameters_{name}": n for name, n in cohort.model.param_counts().items()},
            "flops": steps * cohort.tokens_per_step * cohort.training_flops_per_token,
            **{key.replace("/", "_"): value for key, value in final.items()},
        }

    @property
    def wall_seconds(self) -> float:
        """Seconds of training, evaluation and saving, in this session and those before."""
        return self.seconds + time.perf_counter() - self._session

    @property
    def mean_tokens_per_second(self) -> float:
        """Tokens a second of each member over this session, without evaluation and saving."""
        seconds, tokens = self._measured
        return tokens / seconds if tokens else math.nan

    # ------------------------------------------------------------ checkpoints

    def _save(self, *, best: Sequence[int] = (), keep: int | None = None) -> None:
        """Save all members, so that they resume together; these are the best of their runs."""
        with self._not_training():
            for k, sound in enumerate(self._sound()):
                if sound:
                    folder, progress = self.trackers[k].folder, self._progress(k)
                    self.cohort.save(k, folder, self.step, progress, best=k in best, keep=keep)

    def _sound(self) -> list[bool]:
        """Which members have not diverged, be it since they were last looked at."""
        finite = (self.loss_sum + self.cohort.weight_norms().sum(dim=1)).isfinite().tolist()
        return [at is None and fine for at, fine in zip(self.diverged, finite, strict=True)]

    def _progress(self, k: int) -> dict[str, object]:
        last, best = self.last[k], self.best[k]
        return {
            "step": self.step,
            "seconds": self.wall_seconds,
            "loss_sum": float(self.loss_sum[k]),
            "loss_steps": self.loss_steps,
            "figure_sum": self.figure_sum[k].tolist(),
            "evaluated_at": self.evaluated_at,
            "last": None if last is None else astuple(last),
            "last_average": self.last_average[k],
            "best": None if best is None else [astuple(best[0]), best[1]],
            "train_loss": self.train_loss[k] if math.isfinite(self.train_loss[k]) else None,
        }

    def restore(self) -> None:
        """Go on from the trackers' folders' last checkpoints, of one step but where diverged."""
        progress = [
            self.cohort.restore(k, tracker.folder) for k, tracker in enumerate(self.trackers)
        ]
        for k, tracker in enumerate(self.trackers):
            for row in tracker.folder.rows():
                if "diverged" in row.metrics:
                    self._mark_diverged(k, row.step)
        # A run that has diverged saves no more, and stands where it last did.
        going = [k for k, at in enumerate(self.diverged) if at is None]
        if len({progress[k]["step"] for k in going}) > 1:
            steps = ", ".join(
                f"{self.trackers[k].folder.path.name} at {progress[k]['step']}" for k in going
            )
            raise UserError(f"These runs stand at different steps and resume apart: {steps}.")
        first = progress[going[0] if going else 0]
        self.step, self.seconds = first["step"], first["seconds"]
        self.loss_steps, self.evaluated_at = first["loss_steps"], first["evaluated_at"]
        self.loss_sum = torch.tensor(
            [p["loss_sum"] for p in progress], dtype=torch.float64, device=self.cohort.device
        )
        self.figure_sum = self.loss_sum.new_tensor([p["figure_sum"] for p in progress])
        self.last_average = [p["last_average"] for p in progress]
        self.last = [Evaluation(*p["last"]) if p["last"] else None for p in progress]
        self.best = [
            (Evaluation(*p["best"][0]), p["best"][1]) if p["best"] else None for p in progress
        ]
        self.train_loss = [
            math.nan if p["train_loss"] is None else p["train_loss"] for p in progress
        ]
