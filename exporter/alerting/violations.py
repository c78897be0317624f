"""What fails now, by the alert that tells it; kept up to date by every change."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from heapq import nsmallest
from itertools import chain, islice
from typing import Final, Literal, NamedTuple

from exporter.alerting.settings import SEVERITIES, AlertFilters
from exporter.alerting.settings import ViolationAlerts as ViolationSettings
from exporter.state.contribution import Contribution, ReportPart, parts
from exporter.state.ledger import Ledger
from exporter.state.profile import Failure, Outcome

LISTED: Final = 20
STEP: Final = 1000
_RANKS: Final[dict[str, int]] = {name: rank for rank, name in enumerate(SEVERITIES)}

Key = tuple[str, ...]
"""The policy's severity, then the values of ``group_by``."""

Positions = tuple[int, ...]


class Rank(NamedTuple):
    """Which alert matters more: the more severe, then the older; the rest makes it definite."""

    severity: int
    since: float
    origin: Literal["events", "reports"]
    key: Key


class ViolationSummary(NamedTuple):
    """What an alert says of those who fail: the first by name, how many, one message."""

    since: int
    resources: int
    first: tuple[tuple[str, str], ...]
    told: ReportPart
    position: int

    @property
    def message(self) -> str:
        """The message of the first by name, as it is now."""
        return self.told.messages[self.position]


class ViolationGroup:
    """The failures of one alert: by part of a report, their positions in it."""

    __slots__ = ("members", "rank", "summary")

    def __init__(self) -> None:
        self.members: dict[ReportPart, Positions] = {}
        self.rank: Rank | None = None
        self.summary: ViolationSummary | None = None


def rank_of(severity: str) -> int:
    """Order severities, the worst first."""
    return _RANKS.get(severity, _RANKS["none"])


class ViolationGroups:
    """Standing failures grouped into alerts.

    A change costs what it changes; ``refresh`` sums up only the groups that changed, in steps,
    and ``order`` lists their ranks, in order, as of the last refresh.
    """

    def __init__(self, settings: ViolationSettings, filters: AlertFilters) -> None:
        self.group_by = settings.group_by
        self.groups: dict[Key, ViolationGroup] = {}
        self.order: list[Rank] = []
        self._dirty: set[Key] = set()
        self._positions: dict[Positions, Positions] = {}
        self._value = _values(settings.group_by)
        self._namespace = filters.namespaces.matcher()
        self._policy = filters.policies.matcher()
        self._severities = frozenset[str](filters.severities)

    def follow(self, ledger: Ledger) -> None:
        """Begin with what the ledger has, and learn of every change from then on."""
        for _, contribution in ledger.contributions():
            self.replace(None, contribution)
        ledger.failures.listeners.append(self.replace)

    def replace(self, before: Contribution | None, after: Contribution | None) -> None:
        """Let the failures of *after* stand instead of those of *before*."""
        for part in parts(before):
            if isinstance(part, ReportPart):
                self._remove(part)
        for part in parts(after):
            if isinstance(part, ReportPart):
                self._add(part)

    def refresh(self) -> Iterator[None]:
        """Sum up the groups that changed, pausing between steps; others may change meanwhile."""
        dirty, self._dirty = self._dirty, set()
        work = 0
        for key in dirty:
            group = self.groups[key]
            work += len(group.members) + STEP // 100
            if group.members:
                yield from _sum_up(group)
            self._rearrange(key, group)
            if work >= STEP:
                yield
                work = 0

    def _rearrange(self, key: Key, group: ViolationGroup) -> None:
        """Put a group where it belongs in the order; forget it when nothing is left of it."""
        new = None
        if group.members and group.summary is not None:
            new = Rank(rank_of(key[0]), group.summary.since, "reports", key)
        if group.rank != new:
            if group.rank is not None:
                del self.order[bisect_left(self.order, group.rank)]
            if new is not None:
                insort(self.order, new)
            group.rank = new
        # What emptied and is dirty again was refilled and emptied during a pause.
        if not group.members and key not in self._dirty:
            del self.groups[key]

    def _add(self, part: ReportPart) -> None:
        for key, positions in self._split(part).items():
            group = self.groups.get(key)
            if group is None:
                group = self.groups[key] = ViolationGroup()
            group.members[part] = self._positions.setdefault(positions, positions)
            self._dirty.add(key)

    def _remove(self, part: ReportPart) -> None:
        for key in self._split(part):
            del self.groups[key].members[part]
            self._dirty.add(key)

    def _split(self, part: ReportPart) -> dict[Key, Positions]:
        """Sort a part's failures by the alert that tells them."""
        keys: dict[Key, Positions] = {}
        if not self._namespace(part.group.namespace):
            return keys
        for index, failure in enumerate(part.failures):
            if self._tells(failure):
                values = (value(part, failure.outcome) for value in self._value)
                key = (failure.outcome.severity, *values)
                keys[key] = (*keys.get(key, ()), index)
        return keys

    def _tells(self, failure: Failure) -> bool:
        outcome = failure.outcome
        return (
            failure.word == "fail"
            and outcome.severity in self._severities
            and self._policy(outcome.policy)
        )


def _values(names: tuple[str, ...]) -> tuple[Callable[[ReportPart, Outcome], str], ...]:
    known: dict[str, Callable[[ReportPart, Outcome], str]] = {
        "namespace": lambda part, _: part.group.namespace,
        "kind": lambda part, _: part.group.kind,
        "policy": lambda _, outcome: outcome.policy,
        "rule": lambda _, outcome: outcome.rule,
        "source": lambda _, outcome: outcome.source,
    }
    return tuple(known[name] for name in names)


def _sum_up(group: ViolationGroup) -> Iterator[None]:
    """Sum up the members that it has now; those that go during a pause make it dirty again."""
    members = group.members.copy()
    parts_left = iter(members)
    first: list[ReportPart] = []
    since = 1 << 60
    while step := list(islice(parts_left, STEP)):
        first = nsmallest(LISTED, chain(first, step), key=_by_name)
        since = min(since, *(part.since[i] for part in step for i in members[part]))
        if len(members) > STEP:
            yield
    told = first[0]
    names = tuple((part.group.kind, part.name) for part in first)
    group.summary = ViolationSummary(since, len(members), names, told, members[told][0])


def _by_name(part: ReportPart) -> tuple[str, str]:
    return (part.name, part.group.kind)
