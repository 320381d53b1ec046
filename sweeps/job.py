"""What passes between the driver and the processes that train."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scaling.adapt.config import AdaptConfig
from scaling.config import RunConfig
from scaling.tracking.members import Key
from sweeps.machine import Way

Config = RunConfig | AdaptConfig
Figure = Literal["loss", "bpb"]  # of an evaluation: nats per token, bits per byte
End = Literal["finished", "stopped", "pruned", "failed", "full"]


@dataclass(frozen=True)
class Member:
    """One run of a job: to be made, or gone on with in its folder."""

    config: Config
    key: Key
    tags: dict[str, str]
    folder: Path | None = None
    step: int | None = None  # of the checkpoint it goes on from; None: from the start


@dataclass(frozen=True)
class Job:
    """Runs that are made by one program; all new, or all at the same step."""

    number: int
    members: tuple[Member, ...]
    threads: int
    judged: Figure | None = None  # what of each evaluation the driver hears, to say: prune, or not
    micro_size: int | None = None  # in place of the config's, which was too large for the memory

    @property
    def name(self) -> str:
        """For people."""
        first = self.members[0].config
        more = f" and {len(self.members) - 1} more" if len(self.members) > 1 else ""
        return f"{first.name} seed {first.seed}{more}"


@dataclass(frozen=True)
class Measurement:
    """A request to time a way of training a shape: some steps, an evaluation, a save."""

    number: int
    config: RunConfig
    way: Way

    @property
    def threads(self) -> int:
        """Of the way."""
        return self.way.threads


@dataclass(frozen=True)
class Costs:
    """What a program of some shape costs on a machine, in seconds and bytes."""

    setup: float  # data, model and optimizer of one cohort
    step: float
    eval_token: float  # a token of an evaluation of all members
    save: float  # one state of all members
    measuring: float  # what it took to find these out
    peak: int | None = None  # bytes of memory at most; None where the system does not tell

    def times(self, factor: float) -> "Costs":
        """What so many times as much work would cost, with the same set-up."""
        return Costs(
            self.setup,
            self.step * factor,
            self.eval_token * factor,
            self.save * factor,
            self.measuring * max(1.0, factor),  # steps are timed for a while at least
            None if self.peak is None else round(self.peak * factor),
        )


@dataclass(frozen=True)
class Outcome:
    """How one run of a job ended."""

    key: Key
    end: End
    folder: Path | None
    error: str | None = None


# ---------------------------------------------------------------- events, worker to driver


@dataclass(frozen=True)
class Ready:
    """A worker has started."""

    worker: int
    seconds: float


@dataclass(frozen=True)
class Begun:
    """A job's run folders are made."""

    job: int
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class Moved:
    """Where a job stands."""

    job: int
    step: int
    total: int
    losses: tuple[float, ...]
    tokens_per_second: float  # of all members together
    seconds_left: float


@dataclass(frozen=True)
class Answer:
    """The driver's word on a `Judged`, for which its worker waits, though not for ever."""

    job: int
    percent: int
    prune: bool


@dataclass(frozen=True)
class Judged:
    """An evaluation of a run that may be pruned; the worker waits for `Executor.answer`."""

    job: int
    percent: int  # of the budget
    loss: float  # or whatever the job is judged by


@dataclass(frozen=True)
class Said:
    """A sentence for the sweep's log."""

    text: str


@dataclass(frozen=True)
class Ended:
    """A job is over."""

    job: int
    outcomes: tuple[Outcome, ...]
    began: float  # seconds since 1970, as are all clocks that two processes compare
    seconds: float  # in all
    training: float  # of these, in the trainer's loop
    worker: int  # its process


@dataclass(frozen=True)
class Measured:
    """A measurement is over; `costs` is None where it failed."""

    number: int
    costs: Costs | None
    error: str | None = None


@dataclass(frozen=True)
class Died:
    """A worker process is gone, and the job with it."""

    job: int
    why: str
    log: str = field(default="", repr=False)  # what it wrote last
    memory: bool = False  # whether the system ended it for want of memory


Event = Ready | Begun | Moved | Judged | Said | Ended | Measured | Died
