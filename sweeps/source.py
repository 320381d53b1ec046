"""Where the driver's runs come from: all at once from a grid, or batch by batch from a search."""

from collections.abc import Sequence
from typing import Protocol

from sweeps.ledger import Known
from sweeps.wanted import Wanted


class Source(Protocol):
    """Says which runs are wanted, and hears what became of them."""

    judged: bool  # whether runs may be pruned at their evaluations
    total: int  # runs in the end

    def refill(self) -> list[Wanted]:
        """More runs, while there are any; none also when some must end first."""
        ...

    def settled(self, run: Wanted, known: Known) -> None:
        """A run is done, pruned or failed."""
        ...

    def hopeless(self, run: Wanted, percent: int, loss: float) -> bool:
        """Whether to prune a run that stands at this loss after so much of its budget."""
        ...

    def runs(self) -> list[Wanted]:
        """All runs wanted so far."""
        ...


class Grid:
    """A list of runs, given out once."""

    judged = False

    def __init__(self, runs: Sequence[Wanted]) -> None:
        self._runs = list(runs)
        self.total = len(self._runs)
        self._given = False

    def refill(self) -> list[Wanted]:
        """All of them, the first time."""
        given, self._given = self._given, True
        return [] if given else list(self._runs)

    def settled(self, run: Wanted, known: Known) -> None:
        """Nothing follows from it."""

    def hopeless(self, run: Wanted, percent: int, loss: float) -> bool:
        """Never: a pruned run would bias whatever is fitted to the grid."""
        return False

    def runs(self) -> list[Wanted]:
        """All of them."""
        return list(self._runs)
