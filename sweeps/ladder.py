"""The ladder of runs for which the memory does not suffice: half the micro-batch, and where one
sequence is too much already, half the cohort; a run alone has no lower rung, and fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from scaling.config import RunConfig
from scaling.tracking.folder import RunFolder
from sweeps.job import Member

T = TypeVar("T")


@dataclass(frozen=True)
class Rung:
    """What is tried next."""

    members: int  # at most so many together
    micro_size: int | None  # in place of the config's

    @property
    def text(self) -> str:
        """For people."""
        together = "each alone" if self.members == 1 else f"at most {self.members} together"
        size = "" if self.micro_size is None else f", in micro-batches of {self.micro_size}"
        return f"trying {together}{size}"


def lower(members: Sequence[Member], micro_size: int | None) -> Rung | None:
    """What to try of these members next; None where nothing is smaller.

    `micro_size`: what took the place of the config's in the attempt that had too little.
    """
    size = _smaller(members[0], micro_size)
    if size is not None:
        return Rung(len(members), size)
    return Rung(len(members) // 2, micro_size) if len(members) > 1 else None


def parts(members: Sequence[T], size: int) -> list[Sequence[T]]:
    """Consecutive parts of at most `size`."""
    return [members[i : i + size] for i in range(0, len(members), size)]


def _smaller(member: Member, micro_size: int | None) -> int | None:
    """The next smaller divisor of the batch, about half; None where one sequence was too much."""
    assert isinstance(member.config, RunConfig)
    size, batch = micro_size, member.config.batch
    if size is None and batch.micro_size == "auto" and member.folder is not None:
        record = RunFolder(member.folder).read_record()
        recorded = record.tags.get("tinyscale.micro_size", record.params.get("micro_size"))
        size = int(recorded) if recorded else None
    if size is None:
        size = batch.size if batch.micro_size == "auto" else batch.micro_size
    fitting = [d for d in range(1, size // 2 + 1) if batch.size % d == 0]
    return fitting[-1] if fitting else None
