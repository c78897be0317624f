"""How much the reports of one namespace keep: distinct names, failing results, messages."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from sys import getsizeof, maxsize
from typing import Final, Generic, NamedTuple, TypeVar

from exporter.state.contribution import Contribution, Group, OutcomeSet, ReportPart, parts
from exporter.state.profile import Outcome

NOT_KEPT: Final = (
    "(message not kept: the messages of this namespace exceed limits.namespace_message_bytes)"
)
"""Takes the place of messages that do not fit into the share of their namespace."""


MAX_OUTCOMES_PER_NAMESPACE: Final = 10_000
MAX_NAMED_PER_NAMESPACE: Final = 20_000
"""Resources that results (not ``scope``) name."""
MAX_SOURCES: Final = 100
"""Sources that are counted separately in the whole cluster; reports choose them."""

Name = TypeVar("Name", bound=Hashable)


class NamesInShares(Generic[Name]):
    """The names of the whole cluster that are counted separately, in fair shares by namespace.

    At most *limit* are: the first of each namespace before the second of any. So a namespace that
    uses at most limit / namespaces of them has all of its own, whatever the others use. At most
    *limit* names of a namespace are remembered; none is forgotten, so that what was counted under
    a name is also subtracted there.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._of: dict[str, dict[Name, None]] = {}
        self._all = set[Name]()
        self._chosen: AbstractSet[Name] | None = self._all

    def of(self, namespace: str) -> Mapping[Name, None]:
        """Return the names that a namespace uses, as far as they are remembered."""
        return self._of.get(namespace, {})

    def add(self, namespace: str, name: Name) -> bool:
        """Let a namespace use a name; False where it uses too many others already."""
        names = self._of.setdefault(namespace, {})
        if name in names:
            return True
        if len(names) >= self._limit:
            return False
        names[name] = None
        if name in self._all or len(self._all) >= self._limit:
            self._chosen = None
        self._all.add(name)
        return True

    @property
    def chosen(self) -> AbstractSet[Name]:
        """The names that are counted separately."""
        if self._chosen is None:
            self._chosen = self._all if len(self._all) <= self._limit else self._first()
        return self._chosen

    def _first(self) -> set[Name]:
        """Choose the first name of each namespace, then the second, until there are enough."""
        chosen, names = set[Name](), [*map(list, self._of.values())]
        for turn in range(self._limit):
            names = [each for each in names if turn < len(each)]
            for each in names:
                if len(chosen) == self._limit:
                    return chosen
                chosen.add(each[turn])
        return chosen


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
        new = sum(each not in held for each in outcomes)  # not a set of all that are held
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


class Weight(NamedTuple):
    """What a report uses of the shares of its namespace.

    ``named`` counts resources where its results name several, ``failures`` the failing results
    that it keeps, ``message_bytes`` is the memory of their messages.
    """

    named: int = 0
    failures: int = 0
    message_bytes: int = 0


NO_WEIGHT: Final = Weight()


def weight(contribution: Contribution | None) -> Weight:
    """Measure what a report uses of the shares of its namespace."""
    if contribution is None or isinstance(contribution, Group):
        return NO_WEIGHT  # nearly all of them
    kept = [part for part in parts(contribution) if isinstance(part, ReportPart)]
    return Weight(
        len(contribution) if isinstance(contribution, tuple) else 0,
        sum(len(part.failures) for part in kept),
        sum(size_of(part.messages) for part in kept),
    )


class Usage:
    """What the reports of each namespace use of their shares, in both API groups."""

    def __init__(self, shares: NamespaceShares) -> None:
        self._shares = shares
        self._used: dict[str, Weight] = {}

    def of(self, namespace: str) -> Weight:
        """Give what the reports of a namespace use together."""
        return self._used.get(namespace, NO_WEIGHT)

    def exchange(
        self, namespace: str, before: Contribution | None, after: Contribution | None
    ) -> None:
        """Let a report of a namespace use what *after* does instead of what *before* did."""
        if isinstance(after, Group) and (before is None or isinstance(before, Group)):
            return  # nearly all of them: nothing fails
        if before is not after:
            self._change(namespace, weight(before), weight(after))

    def reword(self, namespace: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        """Let a report that is kept have other messages."""
        if before is not after:
            old, new = (Weight(message_bytes=size_of(messages)) for messages in (before, after))
            self._change(namespace, old, new)

    def room(self, namespace: str, old: Contribution | None) -> Room:
        """Give the room of a report that uses what *old* does now, which it may go on to use.

        A cluster report has room each time: what is left of it differs among shards, and each
        must distinguish the same.
        """
        if not namespace:
            return Room()
        used, mine = self.of(namespace), weight(old)
        return Room(
            MAX_NAMED_PER_NAMESPACE - used.named + mine.named,
            self._shares.failures - used.failures + mine.failures,
            self._shares.message_bytes - used.message_bytes + mine.message_bytes,
        )

    def _change(self, namespace: str, before: Weight, after: Weight) -> None:
        if before == after:
            return
        used = self.of(namespace)
        changed = [n - old + new for n, old, new in zip(used, before, after, strict=True)]
        if any(changed):
            self._used[namespace] = Weight(*changed)
        else:
            self._used.pop(namespace, None)


def size_of(messages: Iterable[str]) -> int:
    """Measure the memory of messages in bytes."""
    return sum([getsizeof(each) for each in messages if each is not NOT_KEPT])
