"""Sorted series in segments, each with one template that a single ``%`` fills.

Filling a template of some hundred series costs 0.14 us a series, against 19 us in prometheus-client
(measured; docs/performance.md); so values are never formatted one by one.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from io import BytesIO
from operator import itemgetter
from typing import Final, NamedTuple

from exporter.state.tally import Labels, Tally

SIZE: Final = 512
"""Series that a segment has at least when it was made of a larger one."""

_TEMPLATE: Final = 50
"""What a template costs, in series that are filed."""

Prefix = Callable[[Labels], str]
Pick = Callable[[list[float]], tuple[float, ...] | float]


class Segment:
    """Neighbouring series: sorted keys, their slots, and the template made of them.

    ``edits`` are the changes of the keys since the template was written, in their order: the index,
    and the key that was added, or None for one that was removed. None where all is to be written.
    """

    __slots__ = ("edits", "keys", "pick", "slots", "template")

    def __init__(self, keys: list[Labels], slots: list[int]) -> None:
        self.keys = keys
        self.slots = slots
        self.edits: list[tuple[int, Labels | None]] | None = None
        self.template = b""
        self.pick: Pick = _nothing

    def add(self, key: Labels, slot: int) -> None:
        """Add a series in its place."""
        at = bisect_left(self.keys, key)
        self.keys.insert(at, key)
        self.slots.insert(at, slot)
        if self.edits is not None:
            self.edits.append((at, key))

    def remove(self, key: Labels) -> None:
        """Take a series away."""
        at = bisect_left(self.keys, key)
        del self.keys[at], self.slots[at]
        if self.edits is not None:
            self.edits.append((at, None))

    def split(self) -> "Segment":
        """Leave the upper half to another segment."""
        half = len(self.keys) // 2
        upper = Segment(self.keys[half:], self.slots[half:])
        del self.keys[half:], self.slots[half:]
        self.edits = None
        return upper

    def write(self, line: Callable[[Labels], bytes]) -> int:
        """Update the template; return how many lines were written for it."""
        lines, edits = list[bytes](), self.edits
        if edits is None:
            edits = [*enumerate(self.keys)]
        else:
            lines = BytesIO(self.template).readlines()  # bytes.split takes three times as long
        for at, key in edits:
            if key is None:
                del lines[at]
            else:
                lines.insert(at, line(key))
        self.template = b"".join(lines)
        self.pick = itemgetter(*self.slots)
        self.edits = []
        return len(edits)


class SegmentSnapshot(NamedTuple):
    """The values of one moment and how to render them; later changes do not touch it."""

    pieces: tuple[tuple[bytes, Pick], ...]
    values: list[float]

    def render(self) -> Iterator[bytes]:
        """Yield the text of one segment after the other."""
        for template, pick in self.pieces:
            yield template % pick(self.values)


class Segments:
    """All series of a family in the order of their labels.

    *prefix* writes a series up to its value; *form* is ``%d`` or ``%a``, which writes floats as
    Python does. ``slots`` holds every series. A slot of 0 or more is a cell of *tally*, which the
    series shows as it is at each moment; the others are of values that series have for themselves,
    from the end of a list of both.
    """

    def __init__(self, prefix: Prefix, form: str = "%d", tally: Tally | None = None) -> None:
        self.slots: dict[Labels, int] = {}
        self._prefix = prefix
        self._form = form
        self._tally = Tally() if tally is None else tally
        self._values: list[float] = []
        self._free: list[int] = []
        self._added: set[Labels] = set()
        self._segments: list[Segment] = []
        self._firsts: list[Labels] = []
        self._stale: set[Segment] = set()

    def insert(self, labels: Labels, value: float) -> None:
        """Add a series with a value of its own."""
        if self._free:
            index = self._free.pop()
            self._values[index] = value
        else:
            index = len(self._values)
            self._values.append(value)
        self.slots[labels] = ~index
        self._added.add(labels)

    def show(self, labels: Labels, cell: int) -> None:
        """Add a series that shows a cell."""
        self._tally.shown[cell] = True
        self.slots[labels] = cell
        self._added.add(labels)

    def set(self, labels: Labels, value: float) -> None:
        """Set the value of a series; one that shows a cell has it already, so nothing is done."""
        slot = self.slots[labels]
        if slot < 0:
            self._values[~slot] = value

    def value(self, labels: Labels) -> float:
        """Give the value of a series."""
        slot = self.slots[labels]
        return self._values[~slot] if slot < 0 else self._tally.cells[slot]

    def remove(self, labels: Labels) -> None:
        """Remove a series."""
        slot = self.slots.pop(labels)
        if slot < 0:
            self._free.append(~slot)
        else:
            self._tally.shown[slot] = False
        if labels in self._added:
            self._added.remove(labels)
            return
        at = bisect_right(self._firsts, labels) - 1
        segment = self._segments[at]
        segment.remove(labels)
        if segment.keys:
            self._firsts[at] = segment.keys[0]
            self._stale.add(segment)
        else:
            del self._segments[at], self._firsts[at]
            self._stale.discard(segment)

    def last_of(self, first: str, others: AbstractSet[Labels]) -> Labels | None:
        """Return the last series whose first label is *first*, but for some others."""
        while self._added:
            self._file(self._added.pop())
        above: Labels = (first + "\0",)
        at = bisect_left(self._firsts, above) - 1
        while at >= 0:
            keys = self._segments[at].keys
            for index in range(bisect_left(keys, above) - 1, -1, -1):
                if keys[index][0] != first:
                    return None
                if keys[index] not in others:
                    return keys[index]
            at -= 1
        return None

    def rewrite(self, concerned: Callable[[Labels], bool]) -> None:
        """Rewrite the prefixes of some series, because what *prefix* knows has changed."""
        for segment in self._segments:
            if any(map(concerned, segment.keys)):
                segment.edits = None
                self._stale.add(segment)

    @property
    def behind(self) -> bool:
        """Whether a series is to be filed or a template to be written."""
        return bool(self._added or self._stale)

    def settle(self, most: int) -> None:
        """File at most *most* new series, rewrite templates."""
        most = self.file(most)
        if not self._added:
            self._added.clear()  # a set that was large stays so until this
        while not self._added and self._stale and most > 0:
            most -= _TEMPLATE + self._stale.pop().write(self._line)

    def file(self, most: int) -> int:
        """File at most *most* new series; return how many fewer that were."""
        while self._added and most > 0:
            self._file(self._added.pop())
            most -= 1
        return most

    def snapshot(self) -> SegmentSnapshot:
        """Take the values of this moment."""
        self.settle(1 << 60)
        pieces = tuple((segment.template, segment.pick) for segment in self._segments)
        return SegmentSnapshot(pieces, [*self._tally.cells, *self._values[::-1]])

    def _file(self, labels: Labels) -> None:
        at = max(bisect_right(self._firsts, labels) - 1, 0)
        if not self._segments:
            self._place(0, Segment([], []))
        segment = self._segments[at]
        segment.add(labels, self.slots[labels])
        self._firsts[at] = segment.keys[0]
        self._stale.add(segment)
        if len(segment.keys) > 2 * SIZE:
            self._place(at + 1, segment.split())

    def _place(self, at: int, segment: Segment) -> None:
        self._segments.insert(at, segment)
        self._firsts.insert(at, segment.keys[0] if segment.keys else ())
        self._stale.add(segment)

    def _line(self, labels: Labels) -> bytes:
        prefix = self._prefix(labels).replace("%", "%%")
        return f"{prefix}{self._form}\n".encode("utf-8", "replace")


def _nothing(_: list[float]) -> tuple[float, ...]:
    return ()
