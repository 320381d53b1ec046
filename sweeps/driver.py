"""The driver: what the sweep wants, less what is there, given to workers until nothing is left."""

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol

from scaling.signals import Stop
from scaling.tracking.folder import write_whole
from scaling.tracking.members import Key
from sweeps.claims import Claims
from sweeps.clock import Clock
from sweeps.cohorts import Program
from sweeps.executors import Executor
from sweeps.failures import Failures
from sweeps.job import (
    Answer,
    Begun,
    Died,
    Ended,
    Event,
    Job,
    Judged,
    Member,
    Moved,
    Outcome,
    Ready,
    Said,
)
from sweeps.ledger import Known, Ledger, Prospect, can_go_on, prospect, read_known
from sweeps.progress import PROGRESS, Board, Counts, job_line
from sweeps.source import R, Source

POLL = 0.3  # seconds between looks around where nothing happens
ENDED = ("done", "pruned")
ELSEWHERE = 1.0  # seconds between looks at runs that others train


@dataclass(frozen=True)
class Options:
    """What the command was told beside the spec."""

    retry_failed: bool = False
    limit: int | None = None
    joined: bool = False  # another driver answers for the sweep; this one only helps


class Spec(Protocol):
    """What the driver asks of a sweep's file."""

    @property
    def name(self) -> str:
        """What the sweep is called."""
        ...

    @property
    def max_consecutive_failures(self) -> int:
        """After which it stops."""
        ...


class Former(Protocol[R]):
    """Who says which runs are made together: `sweeps.advice.Advisor`, of runs that train."""

    @property
    def as_one(self) -> bool:
        """Whether what is made together shares most of its work, so that it fails as one as well,
        and after a worker's death is first tried again together."""
        ...

    def form(self, todo: Sequence[tuple[R, Known | None]]) -> Sequence[Program[R]]:
        """Programs, in the order in which they are to start; a half-done run is beside its own."""
        ...


class Driver(Generic[R]):
    """Makes the runs of a source that are not there yet."""

    def __init__(
        self,
        spec: Spec,
        source: Source[R],
        ledger: Ledger,
        executor: Executor,
        advisor: Former[R],
        *,
        tags: Callable[[R], dict[str, str]],
        folder: Path,
        board: Board,
        options: Options,
    ) -> None:
        self.spec, self.source, self.ledger = spec, source, ledger
        self.executor, self.advisor, self.options = executor, advisor, options
        self.folder, self.board, self._tags = folder, board, tags
        self.claims = Claims(ledger.runs)
        self.known: dict[Key, Known] = {}  # of all runs that are settled
        self.clock = Clock()
        self.stopped: str | None = None  # why, where it ended early
        self.signal: int | None = None
        self._queue: deque[Program[R]] = deque()
        self._asked: dict[Key, list[R]] = {}  # not settled yet
        self._jobs: dict[int, tuple[Job, Program[R]]] = {}
        self._moved: dict[int, Moved] = {}
        self._elsewhere: set[Key] = set()
        self._failures = Failures(source, spec.max_consecutive_failures, advisor.as_one)
        self._launched: set[Key] = set()
        self._numbers = 0
        self._looked = self._noted = 0.0

    def run(self) -> None:
        """Go on until every wanted run is settled, or something stops the sweep."""
        self.clock = Clock()
        there = self.ledger.scan(run.key for run in self.source.runs())
        self.known |= {k: known for k, known in there.items() if self._is_settled(known, True)}
        with Stop() as stop:
            while True:
                if stop.requested and self.stopped is None:
                    self.signal = stop.signal
                    self._halt("stopped and saved")
                if self.stopped is None:
                    self._refill()
                    self._launch()
                if not self._jobs and (self.stopped is not None or self._idle()):
                    break
                for event in self.executor.events(POLL):
                    self._take(event)
                self._look_elsewhere()
                self._show()
        self.clock.ended = time.time()
        self._hear_others()
        self.board.clear()

    @property
    def answers_for_all(self) -> bool:
        """Whether the sweep is to be whole when this driver ends by itself."""
        return self.options.limit is None and not self.options.joined

    def _hear_others(self) -> None:
        """Know what came of the runs that other drivers made."""
        keys = [run.key for run in self.source.runs() if run.key not in self.known]
        there = self.ledger.scan(keys) if keys else {}
        self.known |= {k: known for k, known in there.items() if self._is_settled(known, False)}

    def _is_settled(self, known: Known, retry: bool) -> bool:
        return self._prospect(known, retry) == "settled"

    def _prospect(self, known: Known | None, retry: bool) -> Prospect:
        # What another search has given up is none of this one's judging.
        own = known is None or known.study == self.spec.name
        return prospect(known, judged=bool(self.source.judged) and own, retry=retry)

    def counts(self) -> Counts:
        """How the runs stand."""
        states = [self.known[run.key].state for run in self.source.runs() if run.key in self.known]
        return Counts(
            self.source.total,
            sum(state in ENDED for state in states),
            states.count("failed"),
            sum(len(job.members) for job, _ in self._jobs.values()),
            len(self._elsewhere),
        )

    # ------------------------------------------------------------ giving out

    def _refill(self) -> None:
        """Ask the source for runs while workers would idle, and settle those that are there."""
        while not self._queue and self.executor.has_room(1) and self._may_launch():
            runs = self.source.refill()
            if not runs:
                return
            for run in runs:
                self._asked.setdefault(run.key, []).append(run)
            self._enqueue(list(dict.fromkeys(run.key for run in runs)))

    def _enqueue(self, keys: Sequence[Key], again: bool = False) -> None:
        """Put what is to be done for these runs into the queue; settle what is done."""
        busy = {member.key for job, _ in self._jobs.values() for member in job.members}
        queued = {run.key for cohort in self._queue for run in cohort.runs}
        there = self.ledger.scan(keys)
        todo: list[tuple[R, Known | None]] = []
        retry = again or self.options.retry_failed
        for key in keys:
            known, runs = there.get(key), self._asked.get(key)
            if not runs or key in busy or key in queued:
                continue
            state = self._prospect(known, retry)
            if state == "elsewhere":
                self._elsewhere.add(key)
            elif known is not None and state == "settled":
                self._settle(key, known)
            else:  # where it never really began, a new run takes its place
                todo.append((runs[0], known if known is not None and can_go_on(known) else None))
        self._queue.extend(self.advisor.form(todo))

    def _may_launch(self) -> bool:
        """Whether runs may be started that this driver has not started before."""
        limit = self.options.limit
        return limit is None or len(self._launched) < limit

    def _launch(self) -> None:
        """Start what there is room for."""
        while self._queue:
            if not self.executor.has_room(self._queue[0].threads):
                return
            cohort = self._claimed(self._queue.popleft())
            if cohort is None:
                continue
            job = Job(
                self._numbers,
                tuple(
                    Member(
                        run.config,
                        run.key,
                        self._tags(run),
                        known.folder.path if known and known.folder else None,
                        known.step if known else None,
                    )
                    for run, known in zip(cohort.runs, cohort.known, strict=True)
                ),
                cohort.threads,
                self.source.judged,
                self._failures.micro_size(run.key for run in cohort.runs),
            )
            self._numbers += 1
            self._launched |= {member.key for member in job.members}
            self._jobs[job.number] = job, cohort
            self.executor.submit(job)

    def _claimed(self, cohort: Program[R]) -> Program[R] | None:
        """The part of a cohort that the limit leaves room for, that no other driver has, and that
        is still as it was."""
        limit, fresh = self.options.limit, 0
        there = self.ledger.scan(run.key for run in cohort.runs)
        pairs: list[tuple[R, Known | None]] = []
        changed: list[Key] = []
        for run, known in zip(cohort.runs, cohort.known, strict=True):
            begun = run.key in self._launched  # another chance after a worker's death
            if not begun and limit is not None and len(self._launched) + fresh >= limit:
                continue
            now = there.get(run.key)
            if now is not None and not can_go_on(now):
                now = None
            moved_on = now is not None and now.state in ("done", "training")
            if moved_on or not self.claims.take(run.key):
                self._elsewhere.add(run.key)
                continue
            if (now and now.standing) != (known and known.standing):  # another had it
                self.claims.free(run.key)
                changed.append(run.key)
                continue
            pairs.append((run, known))
            fresh += not begun
        if changed:
            self._enqueue(changed)
        if not pairs:
            return None
        runs, known_runs = zip(*pairs, strict=True)
        return replace(cohort, runs=runs, known=known_runs)

    def _look_elsewhere(self) -> None:
        """See whether others are done with the runs that they train."""
        now = time.monotonic()
        if not self._elsewhere or now - self._looked < ELSEWHERE or self.stopped is not None:
            return
        self._looked = now
        keys = list(self._elsewhere)
        states = self.ledger.scan(keys)
        for key in keys:
            state = states[key].state if key in states else None
            if state != "training" and (state == "done" or self.claims.take(key)):
                self._elsewhere.discard(key)
                self.claims.free(key)
                self._enqueue([key])

    def _idle(self) -> bool:
        """Whether nothing is left to do or to wait for."""
        if self._queue or self.options.joined or not self._may_launch():
            return not self._queue
        return not self._elsewhere and not self.source.waits

    # ------------------------------------------------------------ taking in

    def _take(self, event: Event) -> None:
        match event:
            case Ready():
                self.clock.starting += event.seconds
            case Moved():
                self._moved[event.job] = event
            case Judged():
                job, cohort = self._jobs[event.job]
                prune = self.source.hopeless(cohort.runs[0], event.percent, event.loss)
                self.executor.answer(Answer(job.number, event.percent, prune))
            case Said():
                self._write(event.text)
            case Begun():
                self._write(f"began {', '.join(path.name for path in event.folders)}")
            case Ended():
                self._end(event)
            case Died():
                self._bury(event)

    def _end(self, event: Ended) -> None:
        _, cohort = self._jobs.pop(event.job)
        self._moved.pop(event.job, None)
        self.clock.jobs.append((event, cohort))
        for outcome in event.outcomes:
            self.claims.free(outcome.key)
            if outcome.end == "stopped":
                continue  # half done; the next driver goes on
            if outcome.end == "full":
                self._halt(f"the disk is full ({outcome.error}); make room")
                continue
            if not self.advisor.as_one or outcome is event.outcomes[0]:
                self._count_failure(event.job, outcome)
            self._settle(outcome.key, _known_of(outcome))

    def _count_failure(self, job: int, outcome: Outcome) -> None:
        if outcome.end == "failed":
            name = outcome.folder.name if outcome.folder else outcome.key[0]
            self.board.say(f"failed: {name}: {outcome.error}")
        if why := self._failures.count(job, outcome):
            self._halt(why)

    def _bury(self, event: Died) -> None:
        """A worker died: its runs get another chance from their checkpoints, or have failed."""
        job, _ = self._jobs.pop(event.job)
        self._moved.pop(event.job, None)
        self._write(f"{job.name}: {event.why}\n{event.log}")
        for member in job.members:
            self.claims.free(member.key)
        if self.stopped is not None:
            return
        there = self.ledger.scan(member.key for member in job.members)
        first = there.get(job.members[0].key)
        left = first.folder if first is not None else None
        again, how = self._failures.died(job, left, memory=event.memory)
        for member in job.members:
            if not any(member.key in keys for keys in again):
                self._give_up(member, event)
        if again:
            self.board.say(f"{job.name}: {event.why}; {how}")
        for keys in again:
            self._enqueue(keys, again=True)

    def _give_up(self, member: Member, event: Died) -> None:
        """Have a run that dies with its workers recorded as failed."""
        there = self.ledger.scan([member.key]).get(member.key)
        if there is not None and there.state == "done":  # the worker died after its end
            self._settle(member.key, there)
            return
        from sweeps.training import failed_run

        left = there.folder if there is not None else None
        folder = failed_run(member, f"{event.log}\n{event.why}\n", left)
        outcome = Outcome(member.key, "failed", folder.path.resolve(), event.why)
        self._count_failure(event.job, outcome)
        self._settle(member.key, _known_of(outcome))

    def _settle(self, key: Key, known: Known) -> None:
        self.known[key] = known
        for run in self._asked.pop(key, []):
            self.source.settled(run, known)

    def _halt(self, why: str) -> None:
        """Launch nothing more; what trains saves and ends."""
        if self.stopped is None:
            self.stopped = why
            self._queue.clear()
            self.executor.stop()

    # ------------------------------------------------------------ telling

    def _show(self) -> None:
        lines = [job_line(job.name, self._moved.get(n)) for n, (job, _) in self._jobs.items()]
        total = self.counts().text
        self.board.show(lines, f"{self.spec.name}: {total}")
        now = time.monotonic()
        if now - self._noted > 1.0 and not self.options.joined:
            self._noted = now
            note = {"time": time.time(), "sweep": total, "workers": [x.strip() for x in lines]}
            write_whole(self.folder / PROGRESS, json.dumps(note, indent=1))

    def _write(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with (self.folder / "log.txt").open("a", encoding="utf-8") as stream:
            stream.write(f"{stamp} {text}\n")


def _known_of(outcome: Outcome) -> Known:
    from scaling.tracking.folder import RunFolder

    folder = RunFolder(outcome.folder) if outcome.folder is not None else None
    if folder is None or folder.find_record() is None:  # somebody has deleted it
        error = outcome.error or "its folder is gone"
        return Known(outcome.key, "failed", None, None, {}, error=error)
    return read_known(folder)
