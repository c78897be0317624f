"""The least of values that are added and removed: of one bag, and by label values."""

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from exporter.state.tally import Gauge, Labels

T = TypeVar("T", int, float, tuple[int, str, str])


class MinBag(Generic[T]):
    """Values that are added and removed, some of them several times.

    Each call costs about the logarithm of how many there are. A scan for the least would not do:
    authors of reports choose the values and their order, and could make it slow.
    """

    __slots__ = ("_counts", "_heap")

    def __init__(self) -> None:
        self._counts: dict[T, int] = {}
        self._heap: list[T] = []

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, value: T) -> None:
        """Put *value* in once more."""
        count = self._counts.get(value, 0)
        self._counts[value] = count + 1
        if not count:
            heappush(self._heap, value)

    def remove(self, value: T) -> None:
        """Take *value* out once; raises KeyError where it is not in."""
        count = self._counts[value] - 1
        if count:
            self._counts[value] = count
            return
        del self._counts[value]
        if len(self._heap) > 2 * len(self._counts) + 8:
            self._heap = list(self._counts)
            heapify(self._heap)

    @property
    def least(self) -> T | None:
        """The least value; None where there is none."""
        while self._heap and self._heap[0] not in self._counts:
            heappop(self._heap)
        return self._heap[0] if self._heap else None


class Minimum:
    """The least of the current values, by label values, as the gauge ``least``."""

    def __init__(self) -> None:
        self.least = Gauge()
        self._bags: dict[Labels, MinBag[int]] = {}

    def add(self, labels: Labels, value: int) -> None:
        """Add one *value*."""
        bag = self._bags.get(labels)
        if bag is None:
            bag = self._bags[labels] = MinBag()
        bag.add(value)
        if value < self.least.rows.get(labels, float("inf")):
            self.least.put(labels, value)

    def remove(self, labels: Labels, value: int) -> None:
        """Remove one *value*."""
        bag = self._bags[labels]
        bag.remove(value)
        if not bag:
            del self._bags[labels]
        if bag.least != self.least.rows.get(labels):
            self.least.put(labels, bag.least)
