"""The series of one family: what is exposed under which labels, within a budget."""

from collections import Counter
from collections.abc import Sequence
from heapq import nsmallest
from typing import Final, Literal

from exporter.metrics.segments import Segments, SegmentSnapshot
from exporter.state.minbag import MinBag
from exporter.state.tally import OVERFLOW, Labels, overflow

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
    def rows(self) -> dict[Labels, float]:
        """The rows and their values."""
        return self._rows

    @property
    def value(self) -> float | None:
        """The value of all rows; None when there are none."""
        if not self._rows:
            return None
        least = self._bag.least
        return self._sum if least is None else self._sign * least


class Series:
    """Values by label sets, kept ready to be rendered.

    Rows arrive under the family's full labels. The rules:

    - *keep* chooses the labels that are exposed; rows that agree in those share a series, with the
      sum, least or greatest of their values (*join*).
    - At most *limit* label sets have series of their own. Other rows are folded: they share a
      series of their namespace whose other labels, except those at *kept*, are ``__overflow__``.
      So the sum (least, greatest) of all series equals that of all rows.
    - With *fair*, the first label is the namespace. One with fewer than limit / namespaces series
      gets one even if the limit is reached: with *movable*, a series of the largest namespace is
      folded for it. Counters are not movable, because their series must not decrease.
    - A folded row gets its own series again when there is room (``unfold``).
    """

    def __init__(  # noqa: PLR0913 - what a family is
        self,
        segments: Segments,
        limit: int,
        keep: Sequence[int] | None = None,
        join: Join = "sum",
        *,
        fair: bool = True,
        movable: bool = True,
        kept: frozenset[int] = frozenset(),
    ) -> None:
        self.folded_total = 0
        self.limit = limit
        self._segments = segments
        self._keep = None if keep is None else tuple(keep)
        self.slots = segments.slots
        self._join = join
        self._fair = fair
        self._movable = movable and fair
        self._kept = kept
        self._shared: dict[Labels, Joined] = {}
        self._folded: dict[str, dict[Labels, Labels]] = {}  # by namespace
        self._rest: set[Labels] = set()
        self._sizes: Counter[str] = Counter()
        self._members: Counter[str] = Counter()
        self._largest = ""

    def __len__(self) -> int:
        return len(self.slots)

    def put(self, row: Labels, value: float | None, cell: int | None = None) -> None:
        """Set a row's value; None removes the row. *cell* holds the value, if there is one.

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
        """Free folded rows for which there is room again; the caller puts them again.

        Only rows of namespaces that get room are read.
        """
        freed, room = list[Labels](), self.limit - self._own
        for namespace in sorted(self._folded) if room > 0 else ():
            freed += nsmallest(room - len(freed), self._folded[namespace])
        if self._movable:
            share, taken = self._share(), Counter(map(self._namespace, freed))
            for namespace in sorted(self._folded):
                first = taken[namespace]  # of these rows are freed already
                room = share - self._sizes[namespace] - first
                if room > 0:
                    freed += nsmallest(first + room, self._folded[namespace])[first:]
        for row in freed:
            self.put(row, None)
        return freed

    @property
    def _own(self) -> int:
        """How many series are not of folded rows."""
        return len(self.slots) - len(self._rest)

    def _namespace(self, row: Labels) -> str:
        return row[0] if self._fair and row else ""

    def _share(self) -> int:
        return max(self.limit // max(len(self._members), 1), 1)

    def _exposed(self, row: Labels, value: float | None) -> Labels | None:
        """Choose the labels that a row is exposed under; None for a row that never was."""
        labels = row if self._keep is None else tuple(row[i] for i in self._keep)
        namespace = self._namespace(row)
        rows = self._folded.get(namespace)
        folded = None if rows is None else rows.get(row)
        if rows is not None and folded is not None:
            if value is None:
                del rows[row]
                if not rows:
                    del self._folded[namespace]
                _take(self._members, namespace)
            return folded
        if labels in self.slots:
            return labels
        if value is None:
            return None
        if self._own < self.limit or self._make_room(labels):
            return labels
        return self._fold(row, labels)

    def _fold(self, row: Labels, labels: Labels) -> Labels:
        rest = overflow(labels, self.slots, self.limit, self._kept)
        self._folded.setdefault(self._namespace(row), {})[row] = rest
        self._members[self._namespace(row)] += 1
        self.folded_total += 1
        return rest

    def _make_room(self, labels: Labels) -> bool:
        """Fold a series of the largest namespace for one that has less than its share."""
        namespace = self._namespace(labels)
        if not self._movable:
            return False
        share = max(self.limit // (len(self._members) + (namespace not in self._members)), 1)
        if self._sizes[namespace] >= share:
            return False
        if self._sizes[self._largest] <= share:
            self._largest = max(self._sizes, key=self._sizes.__getitem__)
        if self._sizes[self._largest] <= share:
            return False
        last = self._segments.last_of(self._largest, self._rest)
        if last is None:
            return False
        self._move(last)
        return True

    def _move(self, labels: Labels) -> None:
        """Fold a series that there is."""
        joined = self._shared.pop(labels, None)
        rows = {labels: self._segments.value(labels)} if joined is None else joined.rows
        self._set(labels, None)
        for row, value in rows.items():
            rest = self._joined(self._fold(row, labels))
            rest.put(row, value)
            self._set(rest.labels, rest.value)

    def _is_rest(self, labels: Labels) -> bool:
        """Whether folded rows have these labels."""
        return all(not i or i in self._kept or v == OVERFLOW for i, v in enumerate(labels))

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
                self._count(labels, there=False)
            else:
                self._segments.set(labels, value)
        elif value is not None:
            if cell is None:
                self._segments.insert(labels, value)
            else:
                self._segments.show(labels, cell)
            self._count(labels, there=True)

    def _count(self, labels: Labels, *, there: bool) -> None:
        """Count a series that came or went, of folded rows apart."""
        namespace = self._namespace(labels)
        if labels in self._rest:
            if not there:
                self._rest.discard(labels)
        elif there and OVERFLOW in labels and self._is_rest(labels):
            self._rest.add(labels)
        elif there:
            self._sizes[namespace] += 1
            self._members[namespace] += 1
        else:
            _take(self._sizes, namespace)
            _take(self._members, namespace)

    def value(self, labels: Labels) -> float:
        """Give the value of a series."""
        return self._segments.value(labels)

    @property
    def behind(self) -> bool:
        """Whether there is work left towards a snapshot."""
        return self._segments.behind

    def file(self, most: int) -> None:
        """File at most *most* new series: to fold one, all of them must be."""
        self._segments.file(most)

    def settle(self, most: int) -> None:
        """Do at most about *most* units of work towards a snapshot."""
        self._segments.settle(most)

    def snapshot(self) -> SegmentSnapshot:
        """Take the values of this moment, to be rendered at leisure."""
        return self._segments.snapshot()


def _take(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
