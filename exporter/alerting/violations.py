"""Current failures grouped by alert, kept up to date by every change."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from heapq import nsmallest
from itertools import islice
from typing import Final, Literal, NamedTuple

from exporter.alerting.settings import SEVERITIES, AlertFilters
from exporter.alerting.settings import ViolationAlerts as ViolationSettings
from exporter.state.contribution import Contribution, ReportPart, parts
from exporter.state.ledger import Ledger
from exporter.state.profile import Failure, Outcome

MAX_LISTED: Final = 20
"""Workloads that are named in an alert."""
STEP: Final = 1000
"""Members that are summed up between two pauses."""
_RANKS: Final[dict[str, int]] = {name: rank for rank, name in enumerate(SEVERITIES)}

Key = tuple[str, ...]
"""The policy's severity, then the values of ``group_by``."""

Positions = tuple[int, ...]

Place = tuple[str, str, str]
"""Name, kind and namespace of a workload."""


class Rank(NamedTuple):
    """The order of alerts: the more severe first, then the older; the rest breaks ties."""

    severity: int
    since: float
    origin: Literal["events", "reports"]
    key: Key


class ViolationSummary(NamedTuple):
    """What an alert contains: how many workloads fail since when, the first by name, a message.

    A resource that no other reported object owns is its own workload.
    """

    since: int
    resources: int
    first: tuple[tuple[str, str], ...]
    example: ReportPart
    position: int

    @property
    def message(self) -> str:
        """Kyverno's message for the first workload by name, as it is now."""
        return self.example.messages[self.position]


class ViolationGroup:
    """The failures of one alert: for each part of a report, their positions in it."""

    __slots__ = ("members", "rank", "summary")

    def __init__(self) -> None:
        self.members: dict[ReportPart, Positions] = {}
        self.rank: Rank | None = None
        self.summary: ViolationSummary | None = None


def rank_of(severity: str) -> int:
    """Order severities, the worst first."""
    return _RANKS.get(severity, _RANKS["none"])


class ViolationGroups:
    """Current failures grouped into alerts.

    A change costs what it changes; ``refresh`` sums up the groups that changed, in steps, and
    ``order`` has the ranks of all groups, sorted, as of the last refresh.
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
        """Start from the ledger's failures, and follow every later change."""
        for _, contribution in ledger.contributions():
            self.replace(None, contribution)
        ledger.failures.listeners.append(self.replace)

    def replace(self, before: Contribution | None, after: Contribution | None) -> None:
        """Replace the failures of *before* by those of *after*."""
        for part in parts(before):
            if isinstance(part, ReportPart):
                self._remove(part)
        for part in parts(after):
            if isinstance(part, ReportPart):
                self._add(part)

    def refresh(self) -> Iterator[None]:
        """Sum up the groups that changed, yielding between steps; groups may change meanwhile."""
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
        """Move a group to its place in the order; forget it when it is empty."""
        new = None
        if group.members and group.summary is not None:
            new = Rank(rank_of(key[0]), group.summary.since, "reports", key)
        if group.rank != new:
            if group.rank is not None:
                del self.order[bisect_left(self.order, group.rank)]
            if new is not None:
                insort(self.order, new)
            group.rank = new
        # An empty group that is dirty again was refilled and emptied during a pause.
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
        """Sort a part's failures by the alert that contains them."""
        keys: dict[Key, Positions] = {}
        if not self._namespace(part.group.namespace):
            return keys
        for index, failure in enumerate(part.failures):
            if self._alerts_on(failure):
                values = (value(part, failure.outcome) for value in self._value)
                key = (failure.outcome.severity, *values)
                keys[key] = (*keys.get(key, ()), index)
        return keys

    def _alerts_on(self, failure: Failure) -> bool:
        outcome = failure.outcome
        return (
            failure.word == "fail"
            and outcome.severity in self._severities
            and self._policy(outcome.policy)
        )


def _values(names: tuple[str, ...]) -> tuple[Callable[[ReportPart, Outcome], str], ...]:
    known: dict[str, Callable[[ReportPart, Outcome], str]] = {
        "namespace": lambda part, _: part.group.namespace,
        "kind": lambda part, _: part.top[0],
        "policy": lambda _, outcome: outcome.policy,
        "rule": lambda _, outcome: outcome.rule,
        "source": lambda _, outcome: outcome.source,
    }
    return tuple(known[name] for name in names)


def _sum_up(group: ViolationGroup) -> Iterator[None]:
    """Sum up the current members; one that leaves during a pause makes the group dirty again."""
    members = group.members.copy()
    parts_left = iter(members)
    examples: dict[Place, ReportPart] = {}
    first: list[Place] = []
    since = 1 << 60
    while step := list(islice(parts_left, STEP)):
        for part in step:
            place = _place(part)
            examples[place] = min(examples.get(place, part), part, key=_own_first)
        first = nsmallest(MAX_LISTED, {*first, *map(_place, step)})
        since = min(since, *(part.since[i] for part in step for i in members[part]))
        if len(members) > STEP:
            yield
    example = examples[first[0]]
    names = tuple((kind, name) for name, kind, _ in first)
    group.summary = ViolationSummary(since, len(examples), names, example, members[example][0])


def _place(part: ReportPart) -> Place:
    kind, name = part.top
    return name, kind, part.group.namespace


def _own_first(part: ReportPart) -> tuple[bool, str]:
    return part.workload is not None, part.name
