"""The alerts that should fire now: derived from the state, bounded, shared by namespace."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.alerting.alert import Alert, Labels
from exporter.alerting.blocks import BlockGroups
from exporter.alerting.settings import SEVERITIES, AlertingSettings
from exporter.alerting.shares import Shares, StartRate
from exporter.alerting.violations import Rank, ViolationGroups, rank_of
from exporter.alerting.wording import Wording
from exporter.state.cluster import ClusterState
from exporter.state.policy_index import PolicyInfo

LOOKED_AT: Final = 500
MADE: Final = 50
"""Candidates ranked, and alerts made, between two pauses."""
BLOCK_GROUPS: Final = 10
"""Groups of blocked requests that are kept, as a multiple of ``max_alerts``."""
LOOKS: Final = 4
"""How many times in an interval alerts are derived."""
STARTING: Final = 10
"""The part of ``max_alerts`` that one namespace may start in an interval: a tenth."""

Subject = tuple[str, tuple[str, ...]]
"""What an alert is about, whatever its labels are: its origin and its key."""

PoliciesByName = dict[str, list[PolicyInfo]]


class Fold:
    """Alerts that are folded into one: how many by severity, and since when (Unix seconds)."""

    def __init__(self) -> None:
        self.severities = Counter[str]()
        self.since = float("inf")

    def add(self, rank: Rank) -> None:
        """Fold one more."""
        self.severities[SEVERITIES[rank.severity]] += 1
        self.since = min(self.since, rank.since)


class AlertSelection(NamedTuple):
    """Which alerts are sent one by one, and which are folded."""

    single: list[Rank]
    fold: Fold


class AlertDeriver:
    """Derives alerts from the state of the cluster.

    Slots beyond need are shared by namespace (:class:`Shares`); within a namespace the more severe
    come first. Among equally severe ones those that fire stay, so that nothing is resolved that
    still fails; after a restart the oldest are chosen. One namespace may start a tenth of
    ``max_alerts`` in an interval: a report that is rewritten again and again is not a thousand
    incidents. Everything else is folded into one alert.
    """

    def __init__(
        self,
        settings: AlertingSettings,
        state: ClusterState,
        namespace_labels: tuple[str, ...],
        dropped: Callable[[str, int], None],
    ) -> None:
        most = BLOCK_GROUPS * settings.max_alerts
        self.violations = ViolationGroups(settings.violations, settings.filters)
        self.blocks = BlockGroups(
            settings.blocks, settings.filters, most, lambda: dropped("limit", 1)
        )
        if settings.violations.enabled:
            self.violations.follow(state.ledger)
        if settings.blocks.enabled:
            self.blocks.follow(state.violation_events.recent)
        self.folded = 0
        self._settings = settings
        self._state = state
        self._namespace_labels = namespace_labels
        self._wording = Wording(settings)
        self._firing: set[Subject] = set()
        self._begun: set[str] = set()
        starting = max(settings.max_alerts // STARTING, 1)
        self._starts = StartRate(starting, starting / LOOKS)
        self._teams: dict[str, tuple[str, ...]] = {}
        self._former_teams: dict[str, tuple[str, ...]] = {}

    def adopt(self, other: "AlertDeriver") -> None:
        """Prefer what fires because of *other*, and remember the namespaces that it knew."""
        self._firing = other._firing  # noqa: SLF001 - one of the same class
        self._begun = other._begun  # noqa: SLF001
        if self._namespace_labels == other._namespace_labels:  # noqa: SLF001
            self._teams = dict(other._teams)  # noqa: SLF001

    def steps(
        self, *, reports: bool, blocks_at: float | None
    ) -> Generator[None, None, dict[Labels, Alert]]:
        """Work out the alerts, pausing between steps for other work.

        Violations are derived where *reports* are known, blocks that are held at *blocks_at* (Unix
        seconds) where Events are.
        """
        policy_infos = _by_policy(self._state.register.policy_infos.values())
        candidates: list[Iterable[Rank]] = []
        if blocks_at is not None:
            candidates.append(self._blocked(blocks_at, policy_infos))
        if reports:
            while self._state.ledger.settle_workloads():
                yield
            yield from self.violations.refresh()
            candidates.append(self._violating(policy_infos))
        selection = yield from self._choose(merge(*candidates))
        # What the first look finds did not start now: it is no flood.
        self._begun |= {"reports"} if reports else set()
        self._begun |= {"events"} if blocks_at is not None else set()
        return (yield from self._make(selection, policy_infos))

    def _violating(self, policy_infos: PoliciesByName) -> Iterator[Rank]:
        """Give the violations that the filter of modes allows; an unknown mode passes."""
        modes = self._settings.filters.modes
        if modes is None:
            return iter(self.violations.order)
        wrong = {p for p, known in policy_infos.items() if not any(c.mode in modes for c in known)}
        at = 1 + self.violations.group_by.index("policy")
        return (rank for rank in self.violations.order if rank.key[at] not in wrong)

    def _blocked(self, now: float, policy_infos: PoliciesByName) -> list[Rank]:
        wanted = self._settings.filters.severities
        ranks = []
        for key, group in self.blocks.held(now):
            severity = _severity(policy_infos, group.newest.policy, group.newest.severity)
            if severity in wanted:
                ranks.append(Rank(rank_of(severity), group.latest.first, "events", key))
        return sorted(ranks)

    def _choose(self, candidates: Iterator[Rank]) -> Generator[None, None, AlertSelection]:
        shares = Shares[Rank](self._settings.max_alerts - 1)  # the last one is the folded alert
        fold = Fold()
        looked = 0
        for _, equals in groupby(candidates, key=attrgetter("severity")):
            starting: list[Rank] = []
            for rank in equals:
                if (rank.origin, rank.key) not in self._firing:
                    starting.append(rank)
                elif not shares.offer(self._namespace(rank), rank):
                    fold.add(rank)
                looked += 1
                if looked % LOOKED_AT == 0:
                    yield
            for rank in starting:
                if not shares.offer(self._namespace(rank), rank):
                    fold.add(rank)
        chosen, left = shares.split()
        self._starts.look()
        single: list[Rank] = []
        for rank in chosen:
            (single if self._may_fire(rank) else left).append(rank)
        for rank in left:
            fold.add(rank)
        self._firing = {(rank.origin, rank.key) for rank in single}
        return AlertSelection(single, fold)

    def _may_fire(self, rank: Rank) -> bool:
        """Whether an alert fires already, or its namespace may start one more now."""
        if (rank.origin, rank.key) in self._firing or rank.origin not in self._begun:
            return True
        return self._starts.admits(self._namespace(rank))

    def _namespace(self, rank: Rank) -> str:
        """Name whose share an alert takes; one for all where alerts are not grouped by it."""
        if rank.origin == "events":
            return self.blocks.groups[rank.key].namespace
        names = self.violations.group_by
        return rank.key[1 + names.index("namespace")] if "namespace" in names else ""

    def _make(
        self, selection: AlertSelection, policy_infos: PoliciesByName
    ) -> Generator[None, None, dict[Labels, Alert]]:
        self._former_teams, self._teams = self._teams, {}
        alerts: dict[Labels, Alert] = {}
        for made, rank in enumerate(selection.single, 1):
            alert = (
                self._blocks(rank, policy_infos)
                if rank.origin == "events"
                else self._fails(rank, policy_infos)
            )
            alerts[alert.labels] = alert
            if made % MADE == 0:
                yield
        self.folded = selection.fold.severities.total()
        if self.folded:
            alert = self._wording.folded(selection.fold.severities, selection.fold.since)
            alerts[alert.labels] = alert
        return alerts

    def _fails(self, rank: Rank, policy_infos: PoliciesByName) -> Alert:
        severity, *values = rank.key
        facts = self._facts(self.violations.group_by, tuple(values))
        summary = self.violations.groups[rank.key].summary
        assert summary is not None, "what has a rank was summed up"  # noqa: S101 - an invariant
        return self._wording.violation(
            severity, facts, summary, _title(policy_infos, facts["policy"])
        )

    def _blocks(self, rank: Rank, policy_infos: PoliciesByName) -> Alert:
        facts = self._facts(self.blocks.group_by, rank.key)
        group = self.blocks.groups[rank.key]
        title = _title(policy_infos, facts["policy"])
        return self._wording.blocked(SEVERITIES[rank.severity], facts, group, title)

    def _facts(self, names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
        """Name what an alert is grouped by, and add the labels of its namespace."""
        facts = dict(zip(names, values, strict=True))
        namespace = facts.get("namespace")
        if namespace and self._namespace_labels:
            # A namespace that goes before what is in it must not change who is told.
            labels = self._state.namespaces.labels
            known = labels.get(namespace) or self._former_teams.get(namespace)
            if known is not None:
                self._teams[namespace] = known
                facts |= zip(self._namespace_labels, known, strict=True)
        return facts


def _by_policy(policy_infos: Iterable[PolicyInfo]) -> PoliciesByName:
    known: PoliciesByName = {}
    for policy_info in policy_infos:
        known.setdefault(policy_info.policy, []).append(policy_info)
    return known


def _severity(policy_infos: PoliciesByName, policy: str, otherwise: str) -> str:
    """Give a policy's severity as it is now: Events are often known before the policies are."""
    known = [policy_info.severity for policy_info in policy_infos.get(policy, ())] or [otherwise]
    return min(known, key=rank_of)


def _title(policy_infos: PoliciesByName, policy: str) -> str:
    return next(
        (policy_info.title for policy_info in policy_infos.get(policy, ()) if policy_info.title), ""
    )
