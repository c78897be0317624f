"""The series of one family: what is exposed under which labels, within a budget."""

from collections.abc import Sequence
from heapq import nsmallest
from typing import Final, Literal

from exporter.metrics.segments import Segments, SegmentSnapshot
from exporter.state.minbag import MinBag
from exporter.state.tally import Labels, overflow

Join = Literal["sum", "least", "greatest"]
"""Numbers of things add up; of points in time the first or the last one counts."""

_SIGNS: Final = {"least": 1, "greatest": -1}


class Joined:
    """Rows that share a series, and its labels. A change costs the same however many they are."""

    __slots__ = ("_bag", "_rows", "_sign", "_sum", "labels")

    def __init__(self, labels: Labels, join: Join) -> None:
        self.labels = labels
        self._rows: dict[Labels, float] = {}
        self._sum = 0.0
        self._sign = _SIGNS.get(join, 0)
        self._bag: MinBag[float] = MinBag()

    def put(self, row: Labels, value: float | None) -> None:
        """Set a row's value; None removes the row."""
        old = self._rows.pop(row, None)
        if value is not None:
            self._rows[row] = value
        if not self._sign:
            self._sum += (value or 0) - (old or 0)
            return
        if old is not None:
            self._bag.remove(self._sign * old)
        if value is not None:
            self._bag.add(self._sign * value)

    @property
    def value(self) -> float | None:
        """Say what the rows amount to; None when there are none."""
        if not self._rows:
            return None
        least = self._bag.least
        return self._sum if least is None else self._sign * least


class Series:
    """Values by label sets, kept ready to be rendered.

    Rows arrive under the family's full labels. ``keep`` chooses the labels that are exposed, and
    rows that agree in those are joined. When *limit* label sets are live, a new one folds into
    a series for its namespace whose other labels say ``__overflow__``; a gauge's row moves out
    again when there is room. So the sum over the series always equals the sum over the rows, or
    the least of them the least of the rows, as *join* says.
    """

    def __init__(
        self,
        segments: Segments,
        limit: int,
        keep: Sequence[int] | None = None,
        join: Join = "sum",
    ) -> None:
        self.folded_total = 0
        self.limit = limit
        self._segments = segments
        self._keep = None if keep is None else tuple(keep)
        self.slots = segments.slots
        self._join = join
        self._shared: dict[Labels, Joined] = {}
        self._folded: dict[Labels, Labels] = {}

    def __len__(self) -> int:
        return len(self.slots)

    def put(self, row: Labels, value: float | None, cell: int | None = None) -> None:
        """Set a row's value; None removes the row. *cell* is where the value stands, if anywhere.

        A series that shows this row and no other then shows the cell.
        """
        if self._keep is None and value is not None and self._is_its_own(row):
            self._segments.set(row, value)  # nearly all changes, and nothing else to do
            return
        exposed = self._exposed(row, value)
        if exposed is None:
            return
        if exposed == row and row not in self._shared:
            self._set(exposed, value, cell)
            return
        joined = self._joined(exposed)
        joined.put(row, value)
        if joined.value is None:
            del self._shared[exposed]
        self._set(exposed, joined.value)

    def _is_its_own(self, row: Labels) -> bool:
        """Whether there is a series with these labels that shows this row and no other."""
        return row in self.slots and row not in self._shared

    def unfold(self) -> list[Labels]:
        """Free folded rows for which there is room again; the caller puts them anew."""
        room = self.limit - len(self.slots)
        freed = nsmallest(room, self._folded) if room > 0 else []
        for row in freed:
            self.put(row, None)
        return freed

    def _exposed(self, row: Labels, value: float | None) -> Labels | None:
        """Choose the labels that a row is exposed under; None for a row that never was."""
        kept = row if self._keep is None else tuple(row[i] for i in self._keep)
        folded = self._folded.get(row)
        if folded is not None:
            if value is None:
                del self._folded[row]
            return folded
        if kept in self.slots:
            return kept
        if value is None:
            return None
        if len(self.slots) < self.limit:
            return kept
        folded = self._joined(overflow(kept, self.slots, self.limit)).labels
        self._folded[row] = folded
        self.folded_total += 1
        return folded

    def _joined(self, exposed: Labels) -> Joined:
        joined = self._shared.get(exposed)
        if joined is None:
            joined = self._shared[exposed] = Joined(exposed, self._join)
            if exposed in self.slots:  # a row of just these labels had it for itself
                value = self._segments.value(exposed)
                joined.put(exposed, value)
                self._segments.remove(exposed)
                self._segments.insert(exposed, value)
        return joined

    def _set(self, labels: Labels, value: float | None, cell: int | None = None) -> None:
        if labels in self.slots:
            if value is None:
                self._segments.remove(labels)
            else:
                self._segments.set(labels, value)
        elif value is not None:
            if cell is None:
                self._segments.insert(labels, value)
            else:
                self._segments.show(labels, cell)

    def value(self, labels: Labels) -> float:
        """Give the value of a series."""
        return self._segments.value(labels)

    @property
    def behind(self) -> bool:
        """Whether there is work left towards a snapshot."""
        return self._segments.behind

    def settle(self, most: int) -> None:
        """Do at most about *most* units of work towards a snapshot."""
        self._segments.settle(most)

    def snapshot(self) -> SegmentSnapshot:
        """Take the values of this moment, to be rendered at leisure."""
        return self._segments.snapshot()
