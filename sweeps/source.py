"""Where the driver's runs come from: all at once from a grid, or batch by batch from a search."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from sweeps.job import Figure
from sweeps.ledger import Known
from sweeps.wanted import Run

R = TypeVar("R", bound=Run)


class Source(Protocol[R]):
    """Says which runs are wanted, and hears what became of them."""

    judged: Figure | None  # by what runs may be pruned at their evaluations; None: by nothing

    @property
    def total(self) -> int:
        """Runs in the end."""
        ...

    @property
    def waits(self) -> bool:
        """Whether runs are wanted that another driver has asked for, and makes."""
        ...

    def refill(self) -> list[R]:
        """More runs, while there are any; none also when some must end first."""
        ...

    def settled(self, run: R, known: Known) -> None:
        """A run is done, pruned or failed."""
        ...

    def hopeless(self, run: R, percent: int, loss: float) -> bool:
        """Whether to prune a run that stands at this loss after so much of its budget."""
        ...

    def runs(self) -> list[R]:
        """All runs wanted so far."""
        ...


class Grid(Generic[R]):
    """A list of runs, given out once."""

    judged: Figure | None = None
    waits = False

    def __init__(self, runs: Sequence[R]) -> None:
        self._runs = list(runs)
        self.total = len(self._runs)
        self._given = False

    def refill(self) -> list[R]:
        """All of them, the first time."""
        given, self._given = self._given, True
        return [] if given else list(self._runs)

    def settled(self, run: R, known: Known) -> None:
        """Nothing follows from it."""

    def hopeless(self, run: R, percent: int, loss: float) -> bool:
        """Never: a pruned run would bias whatever is fitted to the grid."""
        return False

    def runs(self) -> list[R]:
        """All of them."""
        return list(self._runs)
