"""The series of one family: what is exposed under which labels, within a budget."""

from collections.abc import Sequence
from heapq import nsmallest

from exporter.metrics.joined import Join, Joined
from exporter.metrics.segments import Segments, Snapshot
from exporter.state.tally import Labels, overflow


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

    def put(self, row: Labels, value: float | None) -> None:
        """Set a row's value; None removes the row."""
        slot = self.slots.get(row)
        if not (slot is None or value is None or self._keep is not None or row in self._shared):
            self._segments.set(slot, value)  # nearly all changes, and nothing else to do
            return
        exposed = self._exposed(row, value)
        if exposed is None:
            return
        if exposed == row and row not in self._shared:
            self._set(exposed, value)
            return
        joined = self._joined(exposed)
        joined.put(row, value)
        if joined.value is None:
            del self._shared[exposed]
        self._set(exposed, joined.value)

    def slot(self, row: Labels) -> int:
        """Give the slot that shows this row and no other; -1 where there is none."""
        return -1 if row in self._shared else self.slots.get(row, -1)

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
            slot = self.slots.get(exposed)
            if slot is not None:  # a row of just these labels had it for itself
                joined.put(exposed, self.value(slot))
        return joined

    def _set(self, labels: Labels, value: float | None) -> None:
        slot = self.slots.get(labels)
        if value is None:
            if slot is not None:
                self._segments.remove(labels)
        elif slot is None:
            self._segments.insert(labels, value)
        else:
            self._segments.set(slot, value)

    def value(self, slot: int) -> float:
        """Give the value in a slot."""
        return self._segments.values[slot]

    @property
    def behind(self) -> bool:
        """Whether there is work left towards a snapshot."""
        return self._segments.behind

    def settle(self, most: int) -> None:
        """Do at most about *most* units of work towards a snapshot."""
        self._segments.settle(most)

    def snapshot(self) -> Snapshot:
        """Take the values of this moment, to be rendered at leisure."""
        return self._segments.snapshot()
