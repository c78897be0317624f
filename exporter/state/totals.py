"""Five-fold counts of what groups amount to."""

from array import array
from collections.abc import Sequence
from typing import Final

from exporter.state.contribution import Group
from exporter.state.tally import WORDS, Tally


class Totals:
    """The five-fold gauges: results, summaries, and resources by their worst result.

    Where anything counts, pass and fail are always told of results, and all five of the others.
    """

    def __init__(self) -> None:
        self.results: Final = Tally(always=(0, 1))
        self.summary: Final = Tally(always=range(WORDS))
        self.resources: Final = Tally(always=range(WORDS))

    def take(self, group: Group, times: int) -> None:
        """Count a group so many times more, as it is in one that changed."""
        self.results.count(group.namespace, self._cells(group), times)
        self.summary.add_all((group.namespace, group.kind), group.profile.summary, times)
        if group.direct:
            self.add_status(group, times)

    def add_status(self, group: Group, amount: int) -> None:
        """Count resources by what a group says of them."""
        if group.profile.status >= 0:
            self.resources.add((group.namespace, group.kind), group.profile.status, amount)

    def _cells(self, group: Group) -> Sequence[int]:
        """Give the cells in which a group counts.

        While it counts in them they cannot vanish, so it remembers them once it changes: most
        groups of a cluster in which hardly two reports are alike never do.
        """
        if group.cells:
            return group.cells
        where, row = (group.namespace, group.kind), self.results.row
        # An array takes a quarter of the memory of numbers that are objects, and lies together.
        cells = array("i", [row(where + v.outcome) + v.word_index for v in group.profile.rows])
        if group.settled:
            group.cells = cells
        return cells
