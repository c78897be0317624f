"""How much the reports of one namespace keep: distinct names, failing results, messages."""

from collections import Counter
from collections.abc import Iterable
from sys import getsizeof, maxsize
from typing import Final, NamedTuple

from exporter.state.contribution import OutcomeSet
from exporter.state.profile import Outcome

NOT_KEPT: Final = (
    "(message not kept: the messages of this namespace exceed limits.namespace_message_bytes)"
)
"""Takes the place of messages that do not fit into the share of their namespace."""


MAX_OUTCOMES_PER_NAMESPACE: Final = 10_000
MAX_NAMED_PER_NAMESPACE: Final = 20_000
"""Resources that results (not ``scope``) name."""


class Budget:
    """The distinct kinds and their outcomes, by namespace, that are counted separately.

    The author of a report chooses its kinds, policies and rules. At most
    MAX_OUTCOMES_PER_NAMESPACE of them have numbers of their own, so that no namespace uses up the
    memory and the series that others need. ``folded`` counts refusals.
    """

    def __init__(self) -> None:
        self.folded = 0
        self._held: dict[tuple[str, str], dict[Outcome | None, int]] = {}
        self._sizes: Counter[str] = Counter()

    def take(self, namespace: str, kind: str, outcomes: OutcomeSet) -> bool:
        """Count outcomes separately once more; False, and nothing changed, if they are too many."""
        held = self._held.get((namespace, kind), {})
        new = len(outcomes - held.keys())
        if self._sizes[namespace] + new > MAX_OUTCOMES_PER_NAMESPACE:
            return False
        if outcomes:
            self._sizes[namespace] += new
            self._held[namespace, kind] = held
        for each in outcomes:
            held[each] = held.get(each, 0) + 1
        return True

    def give_back(self, namespace: str, kind: str, outcomes: OutcomeSet) -> None:
        """Count outcomes separately once less."""
        held = self._held.get((namespace, kind), {})
        for each in outcomes:
            held[each] -= 1
            if not held[each]:
                del held[each]
                self._sizes[namespace] -= 1
        if not held:
            self._held.pop((namespace, kind), None)
        if not self._sizes[namespace]:
            del self._sizes[namespace]


class NamespaceShares(NamedTuple):
    """The share of each namespace: failing results, and bytes of memory of their messages.

    A share depends on no other namespace. Messages that several reports share count for each.
    """

    failures: int = 100_000
    message_bytes: int = 32 * 2**20


DEFAULT_SHARES: Final = NamespaceShares()


class Room:
    """What is left of the shares of a namespace for one report, and for each part of it in turn.

    ``named`` is how many resources its results may name.
    """

    __slots__ = ("_failures", "_message_bytes", "named")

    def __init__(
        self,
        named: int = MAX_NAMED_PER_NAMESPACE,
        failures: int = maxsize,
        message_bytes: int = maxsize,
    ) -> None:
        self.named = named
        self._failures = failures
        self._message_bytes = message_bytes

    def take(self, failures: int) -> bool:
        """Take room for failing results; False, and nothing is taken, where there is too little."""
        if failures > self._failures:
            return False
        self._failures -= failures
        return True

    def fitting(self, messages: tuple[str, ...]) -> tuple[str, ...]:
        """Take room for messages; where there is too little, give the text that replaces them."""
        size = size_of(messages)
        if size > self._message_bytes:
            return (NOT_KEPT,) * len(messages)
        self._message_bytes -= size
        return messages


class Usage:
    """What the reports of each namespace use of their shares, in both API groups."""

    def __init__(self, shares: NamespaceShares) -> None:
        self._shares = shares
        self._failures: Counter[str] = Counter()
        self._message_bytes: Counter[str] = Counter()

    def change(self, namespace: str, failures: int, message_bytes: int) -> None:
        """Let the reports of a namespace keep more, or less."""
        for used, amount in (
            (self._failures, failures),
            (self._message_bytes, message_bytes),
        ):
            if amount:
                used[namespace] += amount
                if not used[namespace]:
                    del used[namespace]

    def reword(self, namespace: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        """Let a report that is kept have other messages."""
        if before is not after:
            self.change(namespace, 0, size_of(after) - size_of(before))

    def room(self, namespace: str, named: int, failures: int, message_bytes: int) -> Room:
        """Give the room of a report that keeps so much now, which it may keep.

        *named* is how many resources the results of the namespace's other reports name.
        """
        return Room(
            MAX_NAMED_PER_NAMESPACE - named,
            self._shares.failures - self._failures[namespace] + failures,
            self._shares.message_bytes - self._message_bytes[namespace] + message_bytes,
        )


def size_of(messages: Iterable[str]) -> int:
    """Measure the memory of messages in bytes."""
    return sum([getsizeof(each) for each in messages if each is not NOT_KEPT])
