"""Blocked requests grouped by alert: when they began, and which resources they were for."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from exporter.alerting.settings import AlertFilters, BlockSettings
from exporter.state.recent import SECONDS as LIFETIME_SECONDS
from exporter.state.recent import Block, RecentBlocks

MAX_NAMES: Final = 20
"""Resources that are named in an alert."""

Key = tuple[str, ...]
"""The values of ``group_by``."""


class Span:
    """Blocks with less than the hold time between two neighbours; times in Unix seconds."""

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

    __slots__ = ("names", "namespace", "newest", "spans")

    def __init__(self, block: Block) -> None:
        self.namespace = block.namespace
        self.newest = block
        self.names: dict[str, float] = {}
        self.spans: list[Span] = []

    def add(self, block: Block, hold: float) -> None:
        """Add one more block; *hold* is in seconds."""
        self.newest = max(self.newest, block)
        self.names[block.name] = max(block.seconds, self.names.get(block.name, 0.0))
        if len(self.names) > MAX_NAMES:
            del self.names[min(self.names, key=lambda name: (self.names[name], name))]
        joined, apart = Span(block.seconds), []
        for span in self.spans:
            if span.first - hold <= joined.last and joined.first <= span.last + hold:
                joined.join(span)
            else:
                apart.append(span)
        self.spans = sorted([*apart, joined], key=lambda span: span.first)

    @property
    def latest(self) -> Span:
        """The latest span."""
        return self.spans[-1]

    @property
    def recent(self) -> tuple[str, ...]:
        """The resources blocked in the latest span, latest first, at most MAX_NAMES."""
        first = self.latest.first
        names = [(-seconds, name) for name, seconds in self.names.items() if seconds >= first]
        return tuple(name for _, name in sorted(names))

    def forget(self, before: float) -> None:
        """Remove spans that ended before *before* (Unix seconds)."""
        self.spans = [span for span in self.spans if span.last >= before]


class BlockGroups:
    """Blocked requests grouped into alerts that are held for a while after the last of them.

    At most *limit* groups are kept, shared by namespace: where they are used up, a new group takes
    the place of the oldest one of the namespace that has most, unless that is its own. A group
    that gives way, or finds no place, is reported to *overflowed*.
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
        self._sizes = Counter[str]()
        self._hold = settings.hold
        self._limit = limit
        self._overflowed = overflowed
        self._namespace = filters.namespaces.matcher()
        self._policy = filters.policies.matcher()

    def follow(self, recent: RecentBlocks) -> None:
        """Start from the recent blocks, and add every later one."""
        for block in recent.blocks:
            self.add(block)
        recent.listeners.append(self.add)

    def add(self, block: Block) -> None:
        """Add a block; they may come in any order."""
        if not (self._namespace(block.namespace) and self._policy(block.policy)):
            return
        fields = block._asdict()
        key = tuple(str(fields[name]) for name in self.group_by)
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= self._limit and not self._make_room(block.namespace):
                return
            group = self.groups[key] = BlockGroup(block)
            self._sizes[group.namespace] += 1
        group.add(block, self._hold)

    def held(self, now: float) -> list[tuple[Key, BlockGroup]]:
        """Return the groups whose last block is no longer ago than the hold time."""
        self._expire(now)
        kept = now - self._hold
        return [(k, group) for k, group in self.groups.items() if group.latest.last > kept]

    def _make_room(self, namespace: str) -> bool:
        """Remove a group of the namespace that has most, unless that is *namespace* itself."""
        self._overflowed()
        largest, size = self._sizes.most_common(1)[0]
        if self._sizes[namespace] >= size:
            return False
        oldest = min(
            (key for key, group in self.groups.items() if group.namespace == largest),
            key=lambda key: self.groups[key].latest.last,
        )
        self._remove(oldest)
        return True

    def _remove(self, key: Key) -> None:
        namespace = self.groups.pop(key).namespace
        self._sizes[namespace] -= 1
        if not self._sizes[namespace]:
            del self._sizes[namespace]

    def _expire(self, now: float) -> None:
        """Remove groups that are too old for any new Event."""
        for key, group in list(self.groups.items()):
            group.forget(now - self._hold - LIFETIME_SECONDS)
            if not group.spans:
                self._remove(key)
