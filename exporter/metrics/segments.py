"""Sorted series in segments, each with one template that a single ``%`` fills.

Filling a template of some hundred series costs 40 ns a series, against 10 us in prometheus-client
(measured; docs/performance.md); so values are never formatted one by one.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import Final, NamedTuple

from exporter.metrics.part import Content, Part
from exporter.state.tally import Labels

SIZE: Final = 512

Prefix = Callable[[Labels], str]
Pick = Callable[[list[float]], "tuple[float, ...] | float"]


class Segment:
    """Neighbouring series: sorted keys, and the template made of them and their slots.

    ``written`` are the keys of the template where they are not ``keys`` any more, ``content`` is
    what it says with the values of the last snapshot.
    """

    __slots__ = ("content", "keys", "pick", "template", "written")

    def __init__(self, keys: list[Labels]) -> None:
        self.content = Content()
        self.keys = keys
        self.written: list[Labels] | None = None
        self.template = b""
        self.pick: Pick = _nothing

    def before_change(self) -> None:
        """Remember what the template says before the keys change."""
        if self.written is None:
            self.written = self.keys.copy()

    def lines(self) -> dict[int, bytes]:
        """Give the lines of the template by the id of their keys, which ``written`` keeps alive."""
        written = self.keys if self.written is None else self.written
        return dict(zip(map(id, written), self.template.split(b"\n"), strict=False))


class Snapshot(NamedTuple):
    """The values of one moment and how to render them; later changes do not touch it."""

    pieces: tuple[tuple[bytes, Pick, Content], ...]
    values: list[float]

    def parts(self) -> Iterator[Part]:
        """Give the segments, to be rendered one by one."""
        for template, pick, content in self.pieces:
            yield Part(partial(_fill, template, pick, self.values), content)


class Segments:
    """All series of a family in the order of their labels.

    *prefix* writes a series up to its value; *form* is ``%d`` or ``%a``, which writes floats as
    Python does. ``slots`` holds every series, ``values`` and ``_owners``, the segments whose
    templates show them, are indexed by slot.
    """

    def __init__(self, prefix: Prefix, form: str = "%d") -> None:
        self.slots: dict[Labels, int] = {}
        self.values: list[float] = []
        self._prefix = prefix
        self._form = form
        self._owners: list[Segment | None] = []
        self._touched: set[Segment | None] = set()
        self._free: list[int] = []
        self._added: set[Labels] = set()
        self._segments: list[Segment] = []
        self._firsts: list[Labels] = []
        self._stale: set[Segment] = set()

    def insert(self, labels: Labels, value: float) -> None:
        """Add a series."""
        if self._free:
            slot = self._free.pop()
            self.values[slot] = value
            self._owners[slot] = None
        else:
            slot = len(self.values)
            self.values.append(value)
            self._owners.append(None)
        self.slots[labels] = slot
        self._added.add(labels)

    def set(self, slot: int, value: float) -> None:
        """Set the value of a series."""
        if self.values[slot] != value:
            self.values[slot] = value
            self._touched.add(self._owners[slot])

    def remove(self, labels: Labels) -> None:
        """Remove a series."""
        self._free.append(self.slots.pop(labels))
        if labels in self._added:
            self._added.remove(labels)
            return
        at = bisect_right(self._firsts, labels) - 1
        segment = self._segments[at]
        segment.before_change()
        del segment.keys[bisect_left(segment.keys, labels)]
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
                segment.written = []
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
            segment = self._stale.pop()
            self._write(segment)
            most -= len(segment.keys) // 4

    def snapshot(self) -> Snapshot:
        """Take the values of this moment."""
        self.settle(1 << 60)
        touched, self._touched = self._touched, set()
        for segment in touched:
            if segment is not None:
                segment.content = Content()
        pieces = tuple((s.template, s.pick, s.content) for s in self._segments)
        return Snapshot(pieces, self.values.copy())

    def _file(self, labels: Labels) -> None:
        at = max(bisect_right(self._firsts, labels) - 1, 0)
        if not self._segments:
            self._place(0, Segment([]))
        segment = self._segments[at]
        segment.before_change()
        insort(segment.keys, labels)
        self._firsts[at] = segment.keys[0]
        self._stale.add(segment)
        if len(segment.keys) > 2 * SIZE:
            self._split(at, segment)

    def _split(self, at: int, segment: Segment) -> None:
        half = len(segment.keys) // 2
        upper = Segment(segment.keys[half:])
        upper.written, upper.template = segment.written, segment.template
        del segment.keys[half:]
        self._place(at + 1, upper)

    def _place(self, at: int, segment: Segment) -> None:
        self._segments.insert(at, segment)
        self._firsts.insert(at, segment.keys[0] if segment.keys else ())
        self._stale.add(segment)

    def _write(self, segment: Segment) -> None:
        """Write a template; of the lines that it had before none is written anew."""
        lines = segment.lines()
        text = [lines.get(id(key)) or self._line(key) for key in segment.keys]
        segment.template = b"\n".join(text) + b"\n"
        segment.written = None
        segment.content = Content()
        slots = [self.slots[key] for key in segment.keys]
        segment.pick = itemgetter(*slots)
        for slot in slots:
            self._owners[slot] = segment

    def _line(self, labels: Labels) -> bytes:
        prefix = self._prefix(labels).replace("%", "%%")
        return (prefix + self._form).encode("utf-8", "replace")


def _fill(template: bytes, pick: Pick, values: list[float]) -> bytes:
    return template % pick(values)


def _nothing(_: list[float]) -> tuple[float, ...]:
    return ()
