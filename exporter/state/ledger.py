"""Totals over all reports, and what each report put into them."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from exporter.model.changes import Scope
from exporter.model.report import Report
from exporter.model.resource import CLUSTER_POLICY_REPORTS, CLUSTER_REPORTS, POLICY_REPORTS, REPORTS
from exporter.state.budget import NAMED
from exporter.state.contribution import (
    Accountant,
    Contribution,
    Group,
    ReportPart,
    counts,
    direct_group,
    parts,
)
from exporter.state.failures import Failures, Remembered
from exporter.state.newest import NewestTimestamps
from exporter.state.report_store import ReportKey, ReportStore
from exporter.state.selection import Selection
from exporter.state.sums import Sums
from exporter.state.tally import Gauge
from exporter.state.totals import Subjects, Totals

PREFERRED: Final = REPORTS.group
"""Of a report that both API groups serve, this group's counts."""


class Ledger:
    """The gauges over reports.

    After ``settle`` has returned False: totals == sum over groups of count times profile ==
    recount of every report that counts. A group's difference to what the totals show is
    multiplied out only then, so that a change costs the same however many results a report has.
    """

    def __init__(
        self, selection: Selection, clock: Callable[[], float], limit: int = 200_000
    ) -> None:
        self.totals = Totals()
        self.sums = Sums()
        self.reports = Gauge()
        self.newest = NewestTimestamps(selection, clock)
        self.failures = Failures(clock, limit)
        self.memory: dict[ReportKey, Remembered] = {}
        self.counting: set[Scope] = set()
        self._selection = selection
        self._accountant = Accountant(selection)
        self._preferred = ReportStore()
        self._other = ReportStore()
        self._report_stores = (
            (self._preferred, (REPORTS, CLUSTER_REPORTS)),
            (self._other, (POLICY_REPORTS, CLUSTER_POLICY_REPORTS)),
        )
        self._dirty: set[Group] = set()
        self._subjects = Subjects(self.totals.resources)
        self._named: dict[str, int] = {}

    def apply(self, scope: Scope, report: Report) -> None:
        """Let a report count as it is now."""
        metadata = report.metadata
        namespace, name = metadata.namespace, metadata.name
        report_store = self._report_store(scope)
        held = report_store.current(namespace, name)
        room = self._room(scope, report) if self._named else NAMED
        contribution = self._accountant.account(report, room, held)
        if contribution is not None:
            self.newest.note(report)
            if contribution is held:
                return
        old = report_store.unlisted(namespace, name) if held is None else held
        place = ReportKey(namespace, name)
        if (
            isinstance(contribution, ReportPart)
            and isinstance(old, ReportPart)
            and _alike(old, contribution)
        ):
            old.messages = contribution.messages
            contribution = old
        if not (
            contribution and self._exchange_alone(scope, report_store, place, old, contribution)
        ):
            self._put(scope, place, old, contribution)

    def delete(self, scope: Scope, report: Report) -> None:
        """Let a report count no more."""
        place = ReportKey(report.namespace, report.name)
        self._put(scope, place, self._report_store(scope).find(place), None)

    def begin_list(self, scope: Scope) -> None:
        """Wait for every report of *scope* again; nothing is forgotten yet."""
        self._report_store(scope).begin_list(scope)

    def end_list(self, scope: Scope) -> None:
        """Forget the reports of *scope* that the list did not bring."""
        report_store = self._report_store(scope)
        for place in report_store.vanished(scope):
            self._put(scope, place, report_store.find(place), None)
        self.counting.add(scope)

    def end_memory(self) -> None:
        """Count what ended while nobody watched, once every list of reports has ended."""
        for memory in self.memory.values():
            self.failures.close(memory)
        self.memory = {}

    def settle(self, most: int = 1 << 60, *, sums: bool = True) -> bool:
        """Bring at most about *most* numbers up to date; True when more may be left.

        Without *sums* those may stay behind, up to a bound: no series are made of them.
        """
        self._count_reports()
        while most > 0:
            if self._dirty:
                most -= self._take(self._dirty.pop())
                continue
            self._dirty.clear()  # a set that was large stays so until this
            cost = self.sums.take() if sums or self.sums.crowded else 0
            if not cost:
                return False
            most -= cost
        return True

    def objects(self) -> Counter[str]:
        """Count the reports that are known, by resource."""
        counts: Counter[str] = Counter()
        for report_store, resources in self._report_stores:
            for namespace in report_store.namespaces():
                counts[resources[not namespace].name] += report_store.count(namespace)
        return counts

    def contributions(self) -> Iterator[tuple[ReportKey, Contribution]]:
        """Give the contribution of every report that counts."""
        yield from ((p, c) for p, c in self._preferred.items() if self._effective(p) is c)
        yield from ((p, c) for p, c in self._other.items() if self._effective(p) is c)

    def contributions_in(self, namespace: str) -> Iterator[tuple[ReportKey, Contribution]]:
        """Give the contributions of a namespace's reports that count."""
        for report_store in (self._preferred, self._other):
            for name, contribution in list(report_store.names(namespace)):
                place = ReportKey(namespace, name)
                if self._effective(place) is contribution:
                    yield place, contribution

    def _exchange_alone(
        self,
        scope: Scope,
        report_store: ReportStore,
        place: ReportKey,
        old: Contribution | None,
        new: Contribution,
    ) -> bool:
        """Do what ``_put`` does for nearly every report: nothing else speaks of its resource.

        False where that is not so, and nothing was done.
        """
        before, after = None if old is None else direct_group(old), direct_group(new)
        if (
            after is None
            or (before is None) != (old is None)
            or not self._is_alone(report_store, place)
        ):
            return False
        report_store.put(place.namespace, place.name, new)
        if old is new:
            return True
        if before is not None:
            before.count -= 1
            self._dirty.add(before)
        after.count += 1
        self._dirty.add(after)
        if new is not after or old is not before:
            self.failures.replace(place, old, new, None, count=scope in self.counting)
        return True

    def _is_alone(self, report_store: ReportStore, place: ReportKey) -> bool:
        """Whether no report of the other group has this name, nor any speaks of this resource."""
        other = self._other if report_store is self._preferred else self._preferred
        if self.memory:
            return False
        if self._subjects.are_none and other.is_empty:
            return True
        return place not in self._subjects and other.find(place) is None

    def _report_store(self, scope: Scope) -> ReportStore:
        return self._preferred if scope.resource.group == PREFERRED else self._other

    def _effective(self, place: ReportKey) -> Contribution | None:
        """Choose between both groups' reports of one name the one that counts."""
        preferred = self._preferred.find(place)
        if preferred is None:
            return self._other.find(place)
        if counts(preferred):
            return preferred
        other = self._other.find(place)
        return preferred if other is None else other

    def _put(
        self, scope: Scope, place: ReportKey, old: Contribution | None, new: Contribution | None
    ) -> None:
        report_store = self._report_store(scope)
        before = self._effective(place)
        if named := _named(new) - _named(old):
            self._named[place.namespace] = self._named.get(place.namespace, 0) + named
        if new is None:
            report_store.remove(place)
        else:
            report_store.put(place.namespace, place.name, new)
        after = self._effective(place)
        if before is not after:
            self._exchange(scope, place, before, after)
        elif old is not new:
            self._touch(old)

    def _exchange(
        self,
        scope: Scope,
        place: ReportKey,
        before: Contribution | None,
        after: Contribution | None,
    ) -> None:
        self._move(place, before, -1)
        self._move(place, after, +1)
        memory = self.memory.pop(place, None) if self.memory else None
        count = scope in self.counting
        if memory is not None or _fails(before) or _fails(after):
            self.failures.replace(place, before, after, memory, count=count)

    def _move(self, place: ReportKey, contribution: Contribution | None, amount: int) -> None:
        for part in parts(contribution):
            group = part.group if isinstance(part, ReportPart) else part
            group.count += amount
            self._dirty.add(group)
            if group.direct:
                if place in self._subjects:
                    self._say(place, place, group, amount)
                    self.totals.add_status(group, -amount)
            elif isinstance(part, ReportPart) and part.subject is not None:
                self._meet(ReportKey(*part.subject))
                self._say(ReportKey(*part.subject), place, group, amount)

    def _say(self, subject: ReportKey, place: ReportKey, group: Group, amount: int) -> None:
        source = (place.namespace, place.name, group.kind)
        if amount > 0:
            self._subjects.say(subject, source, group.kind, group.profile.status)
        else:
            self._subjects.unsay(subject, source)

    def _meet(self, subject: ReportKey) -> None:
        """Bring a report that is counted by group to those that speak of the same resource."""
        direct = None if subject in self._subjects else self._effective(subject)
        for part in parts(direct):
            group = part.group if isinstance(part, ReportPart) else part
            if group.direct:
                self._say(subject, subject, group, +1)
                self.totals.add_status(group, -1)

    def _count_reports(self) -> None:
        for report_store, resources in self._report_stores:
            for namespace in report_store.changed:
                # Of cluster reports each shard holds those that name a resource of its namespaces.
                count = report_store.count(namespace) if self._selection.namespace(namespace) else 0
                self.reports.put((namespace, resources[0].group), count or None)
            report_store.changed.clear()

    def _touch(self, contribution: Contribution | None) -> None:
        """Let ``settle`` look whether the groups of a contribution are still used."""
        for part in parts(contribution):
            self._dirty.add(part.group if isinstance(part, ReportPart) else part)

    def _take(self, group: Group) -> int:
        """Take up what changed of a group; return about how many numbers that cost."""
        times = group.count - group.settled
        if times:
            self.totals.take(group, times)
            self.sums.note(group, times)
            group.settled = group.count
        if not group.count:
            group.cells = ()
            self._accountant.release(group)
        return 1 + len(group.profile.rows) // 4

    def _room(self, scope: Scope, report: Report) -> int:
        """Say how many resources the results of a report may name.

        A cluster report may name so many each time: what is left of them differs among shards,
        and each must tell the same apart.
        """
        if not report.namespace:
            return NAMED
        old = self._report_store(scope).find(ReportKey(report.namespace, report.name))
        return NAMED - self._named.get(report.namespace, 0) + _named(old)

    @property
    def folded(self) -> int:
        """How often something in reports was not told apart, because its namespace has too much."""
        return self._accountant.budget.folded


def _named(contribution: Contribution | None) -> int:
    """Count the resources that a report's results name, where there are several."""
    return len(contribution) if isinstance(contribution, tuple) else 0


def _alike(old: ReportPart, new: ReportPart) -> bool:
    """Whether nothing but messages and timestamps changed."""
    return old.group is new.group and old.name == new.name and old.subject == new.subject


def _fails(contribution: Contribution | None) -> bool:
    return any(isinstance(p, ReportPart) and p.failures for p in parts(contribution))
