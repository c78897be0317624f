"""Blocked requests, by the alert that tells them: when they began, and whom they hit."""

from collections.abc import Callable
from typing import Final

from exporter.alerting.settings import AlertFilters
from exporter.alerting.settings import BlockAlerts as BlockSettings
from exporter.state.recent import SECONDS as LIFETIME_SECONDS
from exporter.state.recent import Block, RecentBlocks

NAMED: Final = 20

Key = tuple[str, ...]
"""The values of ``group_by``."""


class Span:
    """Blocks of which each came within the hold time of another."""

    __slots__ = ("count", "first", "last")

    def __init__(self, seconds: float) -> None:
        self.first = self.last = seconds
        self.count = 1

    def join(self, other: "Span") -> None:
        """Take in what *other* spans."""
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        self.count += other.count


class BlockGroup:
    """The blocks of one alert.

    After a restart the Events of the last hour come in any order; the spans they make do not
    depend on it, so that the alert starts when it started before.
    """

    __slots__ = ("names", "newest", "spans")

    def __init__(self, block: Block) -> None:
        self.newest = block
        self.names: dict[str, float] = {}
        self.spans: list[Span] = []

    def add(self, block: Block, hold: float) -> None:
        """Note one more block."""
        self.newest = max(self.newest, block)
        self.names[block.name] = max(block.seconds, self.names.get(block.name, 0.0))
        if len(self.names) > NAMED:
            del self.names[min(self.names, key=lambda name: (self.names[name], name))]
        joined, apart = Span(block.seconds), []
        for span in self.spans:
            if span.first - hold <= joined.last and joined.first <= span.last + hold:
                joined.join(span)
            else:
                apart.append(span)
        self.spans = sorted([*apart, joined], key=lambda span: span.first)

    @property
    def standing(self) -> Span:
        """The latest span."""
        return self.spans[-1]

    @property
    def recent(self) -> tuple[str, ...]:
        """Who was blocked in the latest span, the latest first; at most twenty are known."""
        first = self.standing.first
        names = [(-seconds, name) for name, seconds in self.names.items() if seconds >= first]
        return tuple(name for _, name in sorted(names))

    def forget(self, before: float) -> None:
        """Forget spans that ended before, in Unix seconds."""
        self.spans = [span for span in self.spans if span.last >= before]


class BlockGroups:
    """Blocked requests grouped into alerts that stand for a while after the last of them.

    At most *limit* groups are told apart; what comes later while they stand goes to *overflowed*.
    """

    def __init__(
        self,
        settings: BlockSettings,
        filters: AlertFilters,
        limit: int,
        overflowed: Callable[[], None],
    ) -> None:
        self.group_by = settings.group_by
        self.groups: dict[Key, BlockGroup] = {}
        self._hold = settings.hold
        self._limit = limit
        self._overflowed = overflowed
        self._namespace = filters.namespaces.matcher()
        self._policy = filters.policies.matcher()

    def follow(self, recent: RecentBlocks) -> None:
        """Begin with the blocks that are known, and learn of every one from then on."""
        for block in recent.blocks:
            self.add(block)
        recent.listeners.append(self.add)

    def add(self, block: Block) -> None:
        """Note a block, in whatever order they come."""
        if not (self._namespace(block.namespace) and self._policy(block.policy)):
            return
        fields = block._asdict()
        key = tuple(str(fields[name]) for name in self.group_by)
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= self._limit:
                self._overflowed()
                return
            group = self.groups[key] = BlockGroup(block)
        group.add(block, self._hold)

    def standing(self, now: float) -> list[tuple[Key, BlockGroup]]:
        """Give the groups whose last block is no longer ago than the hold time."""
        self._expire(now)
        kept = now - self._hold
        return [(k, group) for k, group in self.groups.items() if group.standing.last > kept]

    def _expire(self, now: float) -> None:
        """Forget what can be joined by no Event that may still come."""
        for key, group in list(self.groups.items()):
            group.forget(now - self._hold - LIFETIME_SECONDS)
            if not group.spans:
                del self.groups[key]
