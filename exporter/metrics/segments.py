"""Sorted series in segments, each with one template that a single ``%`` fills.

Filling a template of some hundred series costs 0.14 us a series, against 19 us in prometheus-client
(measured; docs/performance.md); so values are never formatted one by one.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from operator import itemgetter, mod
from time import perf_counter
from typing import Final, NamedTuple

from exporter.state.tally import Labels, Tally


class Content:
    """Stands for a text: whatever has the same content, at whatever moment, says the same.

    ``size`` is its length in bytes, 0 before it was first written.
    """

    __slots__ = ("__weakref__", "size")

    def __init__(self) -> None:
        self.size = 0


class ExpositionPart:
    """Some of an exposition; ``seconds`` is what it took to write, 0 when nobody asked."""

    __slots__ = ("_write", "content", "seconds")

    def __init__(self, write: Callable[[], bytes], content: Content | None = None) -> None:
        self.content = content or Content()
        self.seconds = 0.0
        self._write = write

    def text(self) -> bytes:
        """Write it."""
        began = perf_counter()
        text = self._write()
        self.seconds = perf_counter() - began
        self.content.size = len(text)
        return text


SIZE: Final = 512
"""Series that a segment has at least when it was made of a larger one."""

_TEMPLATE: Final = 50
"""What a template costs, in series that are filed."""

Prefix = Callable[[Labels], str]
Picked = tuple[float, ...] | float
Pick = Callable[[list[float]], Picked]


class Filling:
    """The values that a template is filled with, from one change to the next.

    They are looked at when the first snapshot needs them. Where they are what those of the *former*
    filling were, so is the text.
    """

    __slots__ = ("_content", "_former", "_values")

    def __init__(self, former: "Filling | None" = None) -> None:
        self._content: Content | None = None
        self._values: Picked = ()
        self._former = former

    @property
    def is_open(self) -> bool:
        """Whether its values were not looked at yet."""
        return self._content is None

    def next(self) -> "Filling":
        """Give the filling after a change."""
        return Filling(self._former if self.is_open else self)

    def part(self, template: bytes, pick: Pick, values: list[float]) -> ExpositionPart:
        """Fill the template with its values, of all those of a moment."""
        if self._content is None:
            former, self._former = self._former, None
            self._values = pick(values)
            if former is not None and former._values == self._values:  # noqa: SLF001
                self._content = former._content  # noqa: SLF001
        if self._content is None:
            self._content = Content()
        return ExpositionPart(partial(mod, template, self._values), self._content)


class Segment:
    """Neighbouring series: sorted keys, their slots, and the template made of them.

    ``edits`` say, in their order, what became of the keys since the template was written: at which
    place one was added, or taken away (None). Where all is to be written anew they are None.
    """

    __slots__ = ("edits", "filling", "keys", "pick", "slots", "template")

    def __init__(self, keys: list[Labels], slots: list[int]) -> None:
        self.filling = Filling()
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
        """Bring the template up to date; return how many lines were written for it."""
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
        self.filling = Filling()
        self.edits = []
        return len(edits)


class SegmentSnapshot(NamedTuple):
    """The values of one moment and how to render them; later changes do not touch it."""

    pieces: tuple[tuple[bytes, Pick, Filling], ...]
    values: list[float]

    def parts(self) -> Iterator[ExpositionPart]:
        """Give the segments, to be rendered one by one."""
        for template, pick, filling in self.pieces:
            yield filling.part(template, pick, self.values)


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
        self._self_metrics: list[float] = []
        self._moved: set[str] = set()
        self._free: list[int] = []
        self._added: set[Labels] = set()
        self._segments: list[Segment] = []
        self._firsts: list[Labels] = []
        self._stale: set[Segment] = set()

    def insert(self, labels: Labels, value: float) -> None:
        """Add a series with a value of its own."""
        if self._free:
            index = self._free.pop()
            self._self_metrics[index] = value
        else:
            index = len(self._self_metrics)
            self._self_metrics.append(value)
        self.slots[labels] = ~index
        self._added.add(labels)

    def show(self, labels: Labels, cell: int) -> None:
        """Add a series that shows a cell."""
        self._tally.shown[cell] = True
        self.slots[labels] = cell
        self._added.add(labels)

    def set(self, labels: Labels, value: float) -> None:
        """Set the value of a series; where it shows a cell that has the value already."""
        slot = self.slots[labels]
        if slot < 0 and self._self_metrics[~slot] != value:
            self._self_metrics[~slot] = value
            self._moved.add(_first(labels))

    def value(self, labels: Labels) -> float:
        """Give the value of a series."""
        slot = self.slots[labels]
        return self._self_metrics[~slot] if slot < 0 else self._tally.cells[slot]

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

    def rewrite(self, concerned: Callable[[Labels], bool]) -> None:
        """Write the prefixes of some series anew, because what *prefix* knows has changed."""
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
        while self._added and most > 0:
            self._file(self._added.pop())
            most -= 1
        if not self._added:
            self._added.clear()  # a set that was large stays so until this
        while not self._added and self._stale and most > 0:
            most -= _TEMPLATE + self._stale.pop().write(self._line)
        self._renew()

    def snapshot(self) -> SegmentSnapshot:
        """Take the values of this moment."""
        self.settle(1 << 60)
        pieces = tuple((s.template, s.pick, s.filling) for s in self._segments)
        if any(segment.filling.is_open for segment in self._segments):
            return SegmentSnapshot(pieces, [*self._tally.cells, *self._self_metrics[::-1]])
        return SegmentSnapshot(pieces, [])

    def _renew(self) -> None:
        """Let segments in which a value may have changed be filled anew."""
        moved = sorted(self._moved | self._tally.moved)
        if not moved:
            return
        self._moved.clear()
        self._tally.moved.clear()
        for segment in self._segments:
            at = bisect_left(moved, _first(segment.keys[0]))
            if at < len(moved) and moved[at] <= _first(segment.keys[-1]):
                segment.filling = segment.filling.next()

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


def _first(labels: Labels) -> str:
    return labels[0] if labels else ""


def _nothing(_: list[float]) -> tuple[float, ...]:
    return ()
