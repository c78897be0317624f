"""Fair shares by namespace of what is bounded, so that no tenant can displace another's alerts."""

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Shares(Generic[T]):
    """Chooses at most *limit* of the items offered, max-min fair over namespaces.

    Each namespace gets its first item before any gets its second, in the order in which they are
    offered. So a namespace with at most ``limit / namespaces`` items keeps all of them, whatever
    the others offer.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._offered = Counter[str]()
        self._rounds: list[list[T]] = []

    def offer(self, namespace: str, item: T) -> bool:
        """Add an item; False where the namespace alone has offered more than the limit."""
        number = self._offered[namespace]
        if number >= self._limit:
            return False
        self._offered[namespace] += 1
        if number == len(self._rounds):
            self._rounds.append([])
        self._rounds[number].append(item)
        return True

    def split(self) -> tuple[list[T], list[T]]:
        """Return what is chosen, and what is left over."""
        items = list(self._in_turn())
        return items[: self._limit], items[self._limit :]

    def _in_turn(self) -> Iterator[T]:
        for each in self._rounds:
            yield from each


class StartRate:
    """Bounds how many alerts a namespace may start: *most* at once, then *refill* a look."""

    def __init__(self, most: int, refill: float) -> None:
        self._most = most
        self._refill = refill
        self._used: dict[str, float] = {}

    def look(self) -> None:
        """Begin another look at what should fire."""
        left = {name: used - self._refill for name, used in self._used.items()}
        self._used = {name: used for name, used in left.items() if used > 0}

    def admits(self, namespace: str) -> bool:
        """Return whether one more alert of a namespace may start now, and count it if so."""
        used = self._used.get(namespace, 0.0)
        if used + 1 > self._most:
            return False
        self._used[namespace] = used + 1
        return True
