"""The alerts that should fire now, derived from state and bounded."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.alerting.alert import Alert, Labels
from exporter.alerting.blocks import BlockGroups
from exporter.alerting.settings import SEVERITIES, AlertingSettings
from exporter.alerting.violations import Rank, ViolationGroups, rank_of
from exporter.alerting.wording import Wording
from exporter.state.cluster import ClusterState
from exporter.state.policy_index import PolicyInfo

LOOKED_AT: Final = 500
MADE: Final = 50
"""How many alerts are looked at, and made, between two pauses."""
REMEMBERED: Final = 10
"""How many times ``max_alerts`` groups of blocks are kept, told or folded."""

Place = tuple[str, tuple[str, ...]]
"""What an alert is about, whatever its labels are: its origin and its key."""

Cards = dict[str, list[PolicyInfo]]
"""What is known of the policies of one name."""


class Fold:
    """What is folded into one alert: how many by severity, and since when."""

    def __init__(self) -> None:
        self.severities = Counter[str]()
        self.since = float("inf")

    def add(self, rank: Rank) -> None:
        """Fold one more."""
        self.severities[SEVERITIES[rank.severity]] += 1
        self.since = min(self.since, rank.since)


class AlertSelection(NamedTuple):
    """What is told one by one, and what is not."""

    told: list[Rank]
    fold: Fold


class AlertDeriver:
    """Derives alerts from the state of the cluster.

    Of alerts beyond ``max_alerts`` the more severe are told. Among equally severe ones those told
    before stay, so that nothing is resolved that stands; after a restart the oldest are chosen.
    """

    def __init__(
        self,
        settings: AlertingSettings,
        state: ClusterState,
        namespace_labels: tuple[str, ...],
        dropped: Callable[[str, int], None],
    ) -> None:
        remembered = REMEMBERED * settings.max_alerts
        self.violations = ViolationGroups(settings.violations, settings.filters)
        self.blocks = BlockGroups(
            settings.blocks, settings.filters, remembered, lambda: dropped("limit", 1)
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
        self._told: set[Place] = set()
        self._teams: dict[str, tuple[str, ...]] = {}
        self._former_teams: dict[str, tuple[str, ...]] = {}

    def adopt(self, other: "AlertDeriver") -> None:
        """Prefer what *other* told, and remember the namespaces that it knew."""
        self._told = other._told  # noqa: SLF001 - one of the same class
        if self._namespace_labels == other._namespace_labels:  # noqa: SLF001
            self._teams = dict(other._teams)  # noqa: SLF001

    def steps(
        self, *, reports: bool, blocks_at: float | None
    ) -> Generator[None, None, dict[Labels, Alert]]:
        """Work out the alerts, pausing between steps for whoever else has work.

        With *reports* violations are told, with *blocks_at* (Unix seconds) the blocks that stand
        then; without, they are not known yet.
        """
        policy_infos = _by_policy(self._state.register.policy_infos.values())
        candidates: list[Iterable[Rank]] = []
        if blocks_at is not None:
            candidates.append(self._blocked(blocks_at, policy_infos))
        if reports:
            yield from self.violations.refresh()
            candidates.append(self._violating(policy_infos))
        choice = yield from self._choose(merge(*candidates))
        return (yield from self._make(choice, policy_infos))

    def _violating(self, policy_infos: Cards) -> Iterator[Rank]:
        """Give the violations that the filter of modes lets through; an unknown mode passes."""
        modes = self._settings.filters.modes
        if modes is None:
            return iter(self.violations.order)
        wrong = {p for p, known in policy_infos.items() if not any(c.mode in modes for c in known)}
        at = 1 + self.violations.group_by.index("policy")
        return (rank for rank in self.violations.order if rank.key[at] not in wrong)

    def _blocked(self, now: float, policy_infos: Cards) -> list[Rank]:
        wanted = self._settings.filters.severities
        ranks = []
        for key, group in self.blocks.standing(now):
            severity = _severity(policy_infos, group.newest.policy, group.newest.severity)
            if severity in wanted:
                ranks.append(Rank(rank_of(severity), group.standing.first, "events", key))
        return sorted(ranks)

    def _choose(self, candidates: Iterator[Rank]) -> Generator[None, None, AlertSelection]:
        told: list[Rank] = []
        fold = Fold()
        most = self._settings.max_alerts - 1  # the last one tells what is folded
        looked = 0
        for _, equals in groupby(candidates, key=attrgetter("severity")):
            room = most - len(told)
            known: list[Rank] = []
            new: list[Rank] = []
            for rank in equals:
                if (rank.origin, rank.key) in self._told:
                    known.append(rank)
                elif len(new) < room:
                    new.append(rank)
                else:
                    fold.add(rank)
                looked += 1
                if looked % LOOKED_AT == 0:
                    yield
            ranks = known + new
            told += ranks[:room]
            for rank in ranks[room:]:
                fold.add(rank)
        self._told = {(rank.origin, rank.key) for rank in told}
        return AlertSelection(told, fold)

    def _make(
        self, choice: AlertSelection, policy_infos: Cards
    ) -> Generator[None, None, dict[Labels, Alert]]:
        self._former_teams, self._teams = self._teams, {}
        alerts: dict[Labels, Alert] = {}
        for made, rank in enumerate(choice.told, 1):
            alert = (
                self._blocks(rank, policy_infos)
                if rank.origin == "events"
                else self._fails(rank, policy_infos)
            )
            alerts[alert.labels] = alert
            if made % MADE == 0:
                yield
        self.folded = choice.fold.severities.total()
        if self.folded:
            alert = self._wording.folded(choice.fold.severities, choice.fold.since)
            alerts[alert.labels] = alert
        return alerts

    def _fails(self, rank: Rank, policy_infos: Cards) -> Alert:
        severity, *values = rank.key
        facts = self._facts(self.violations.group_by, tuple(values))
        summary = self.violations.groups[rank.key].summary
        assert summary is not None, "what has a rank was summed up"  # noqa: S101 - an invariant
        return self._wording.violation(
            severity, facts, summary, _title(policy_infos, facts["policy"])
        )

    def _blocks(self, rank: Rank, policy_infos: Cards) -> Alert:
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


def _by_policy(policy_infos: Iterable[PolicyInfo]) -> Cards:
    known: Cards = {}
    for policy_info in policy_infos:
        known.setdefault(policy_info.policy, []).append(policy_info)
    return known


def _severity(policy_infos: Cards, policy: str, otherwise: str) -> str:
    """Give a policy's severity as it is now: Events are often known before the policies are."""
    known = [policy_info.severity for policy_info in policy_infos.get(policy, ())] or [otherwise]
    return min(known, key=rank_of)


def _title(policy_infos: Cards, policy: str) -> str:
    return next(
        (policy_info.title for policy_info in policy_infos.get(policy, ()) if policy_info.title), ""
    )
