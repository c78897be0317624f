"""Totals over all reports, and what each report contributes to them."""

from collections import Counter
from collections.abc import Callable, Iterator

from exporter.model.changes import Scope
from exporter.model.ownership import Workload
from exporter.model.report import Report
from exporter.state.accountant import Accountant
from exporter.state.contribution import (
    Contribution,
    Group,
    ReportPart,
    are_alike,
    direct_group,
    group_of,
    has_failures,
    parts,
)
from exporter.state.failures import Failures, remember
from exporter.state.memory import Restore
from exporter.state.owner_index import OwnerIndex
from exporter.state.report_store import (
    GROUPS,
    Dated,
    Pair,
    ReportKey,
    ReportStore,
    ReportStores,
    covers_resource,
    has_switched,
    merged,
)
from exporter.state.selection import Selection
from exporter.state.shares import DEFAULT_SHARES, NamespaceShares
from exporter.state.sums import LeftOutResults, Sums
from exporter.state.tally import Gauge
from exporter.state.timestamps import NewestTimestamps, OldestTimestamps, date_of
from exporter.state.totals import SharedResources, Totals
from exporter.state.workload_index import WorkloadIndex


class Ledger:
    """The gauges over reports.

    After ``settle`` has returned False: totals == sum over groups of count times profile ==
    recount of every report that counts. A group's difference to what the totals show is
    multiplied out only then, so that a change costs the same however many results a report has.

    As long as ``restore`` has a memory of the failures before the restart, nothing is counted as
    opened or closed: a report may still be listed in the other API group, where it is newer.
    """

    def __init__(
        self,
        selection: Selection,
        clock: Callable[[], float],
        limit: int = 200_000,
        shares: NamespaceShares = DEFAULT_SHARES,
        *,
        metadata: bool = False,
    ) -> None:
        self.totals = Totals()
        self.sums = Sums()
        self.left_out = LeftOutResults()
        self.reports = Gauge()
        self.newest = NewestTimestamps(selection, clock)
        self.failures = Failures(clock, limit)
        self.restore = Restore(self.failures)
        self.counting: set[Scope] = set()
        self._selection = selection
        stores = self._report_stores = ReportStores(clock, shares)
        self.oldest = OldestTimestamps(self._report_stores, clock)
        self._accountant = Accountant(selection, self._report_stores.usage)
        self._dirty: set[Group] = set()
        self._shared = SharedResources(self.totals, self._report_stores.counting, self._dirty)
        self.owners = OwnerIndex(selection.namespace, stores, self._shared) if metadata else None
        self.workloads = self.owners or WorkloadIndex()

    def apply(self, scope: Scope, report: Report) -> None:
        """Let a report count as it is now."""
        metadata = report.metadata
        namespace, name = metadata.namespace, metadata.name
        report_store, other = stores = self._report_stores.of(scope)
        held = report_store.current(namespace, name)
        unlisted = report_store.unlisted(namespace, name) if held is None else None
        old = unlisted if held is None else held
        contribution = self._accountant.account(report, held, unlisted)
        pieces = report.pieces
        date: float | Dated = pieces[0].newest if pieces else 0
        if len(pieces) > 1 or (pieces and pieces[0].apart):
            date = date_of(report, contribution, self._selection.results)
        if contribution is not None:
            self.newest.note(report)
            if contribution is held and (
                other.is_empty or other.find(ReportKey(namespace, name)) is None
            ):
                report_store.date(namespace, name, date)
                return
        place = ReportKey(namespace, name)
        if old is not None and are_alike(old, contribution):
            self._reword(namespace, old, contribution)
            contribution = old
        if old is not contribution:
            twice = not other.is_empty and covers_resource(other, place)
            self.workloads.record(place, report.scope, old, contribution, twice=twice)
        if contribution and self._exchange_alone(scope, stores, place, old, contribution):
            report_store.date(namespace, name, date)
        else:
            self._put(scope, place, old, contribution, date)

    def delete(self, scope: Scope, report: Report) -> None:
        """Let a report count no more."""
        place = ReportKey(report.namespace, report.name)
        report_store, other = self._report_stores.of(scope)
        old = report_store.find(place)
        self.workloads.record(place, report.scope, old, None, twice=covers_resource(other, place))
        self._put(scope, place, old)

    def begin_list(self, scope: Scope) -> None:
        """Wait for every report of *scope* again; nothing is forgotten yet."""
        self._report_stores.of(scope)[0].begin_list(scope)

    def forget_some(self, scope: Scope, most: int) -> bool:
        """Forget some reports that the list did not contain, *most*; False where none is left."""
        report_store, other = self._report_stores.of(scope)
        gone = report_store.vanished(scope, most)
        self.workloads.forget(gone, lambda place: covers_resource(other, place))
        for place, contribution in gone:
            self._put(scope, place, contribution)
        return bool(gone)

    def end_list(self, scope: Scope) -> None:
        """Forget the reports of *scope* that the list did not contain."""
        self.forget_some(scope, 1 << 60)
        self.oldest.restart()
        self.counting.add(scope)

    def settle(self, most: int = 1 << 60, *, sums: bool = True) -> bool:
        """Update at most about *most* numbers; True when more may be left.

        Without *sums* these may be behind, up to a bound: no series are made of them.
        """
        self._count_reports()
        while most > 0:
            if cost := self.settle_workloads():
                most -= cost
            elif self._dirty:
                most -= self._take(self._dirty.pop())
            else:
                self._dirty.clear()  # a set that was large stays so until this
                cost = self.sums.take() if sums or self.sums.crowded else 0
                if not (cost := cost or self.oldest.take()):
                    return False
                most -= cost
        return True

    def objects(self) -> Counter[str]:
        """Count the reports that are known, by resource."""
        return self._report_stores.objects()

    def count(self) -> int:
        """Count the reports, those that are the same in both API groups once."""
        return int(sum(self.reports.rows.values())) - self._report_stores.copies()

    def contributions(self) -> Iterator[tuple[ReportKey, Contribution]]:
        """Give what counts of each namespace and name that a report has."""
        return self._report_stores.items()

    def _exchange_alone(
        self,
        scope: Scope,
        stores: tuple[ReportStore, ReportStore],
        place: ReportKey,
        old: Contribution | None,
        new: Contribution,
    ) -> bool:
        """Do what ``_put`` does for nearly every report: nothing else speaks of its resource.

        False where that is not so, and nothing was done.
        """
        before = None if old is None else direct_group(old)
        after = new if isinstance(new, Group) else direct_group(new)
        if after is None or (before is None) != (old is None):
            return False
        if not self._is_alone(stores[1], place):
            return False
        stores[0].put(place.namespace, place.name, new)
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

    def _is_alone(self, other: ReportStore, place: ReportKey) -> bool:
        """Whether no report of the other group has this name, nor any speaks of this resource."""
        if self.restore.memory is not None:
            return False
        is_only = self._shared.are_none and other.is_empty
        return is_only or (place not in self._shared and other.find(place) is None)

    def _put(
        self,
        scope: Scope,
        place: ReportKey,
        old: Contribution | None,
        new: Contribution | None = None,
        date: float | Dated = 0,
    ) -> None:
        report_store, _ = self._report_stores.of(scope)
        before = self._report_stores.counting(place)
        if new is None:
            report_store.remove(place)
        else:
            report_store.put(place.namespace, place.name, new)
            report_store.date(place.namespace, place.name, date)
        after = self._report_stores.counting(place)
        if any(one is not other for one, other in zip(before, after, strict=True)):
            self._exchange(place, before, after, count=scope in self.counting)
        if old is not new and not any(old is one for one in before):
            self._dirty.update(map(group_of, parts(old)))  # settle looks whether they are used

    def _reword(self, namespace: str, old: Contribution | None, new: Contribution | None) -> None:
        """Let a contribution have the messages of another one that is alike."""
        for before, after in zip(parts(old), parts(new), strict=True):
            if isinstance(before, ReportPart) and isinstance(after, ReportPart):
                self._report_stores.usage.reword(namespace, before.messages, after.messages)
                before.messages = after.messages

    def workload_of(self, namespace: str, kind: str, name: str, uid: str) -> Workload:
        """Give the workload of an object that need not have a report, itself if none is known."""
        if isinstance(self.workloads, OwnerIndex):
            return self.workloads.workload_of(namespace, kind, name, uid)
        return self.workloads.find(namespace, kind, name)

    def settle_workloads(self) -> int:
        """Resolve workloads of objects whose owners changed; return about how many, 0 if none."""
        if self.workloads.is_settled:
            return 0
        found = self.workloads.take()
        for namespace, reports in found.items():
            for slot, where, name, old, owned in self._report_stores.about(namespace, reports):
                if (new := self._accountant.owned(old, owned)) is not old:
                    self._regroup(slot, ReportKey(where, name), old, new)
        return 1 + sum(len(owned) for reports in found.values() for owned in reports.values())

    def _regroup(self, slot: int, place: ReportKey, old: Contribution, new: Contribution) -> None:
        """Let a report count for another workload; no failure begins or ends with that."""
        stores = self._report_stores.stores
        one, other = direct_group(old), direct_group(new)
        if one and other and self._is_alone(stores[1 - slot], place):
            stores[slot].replace(place, new)
            one.count -= 1
            other.count += 1
            self._dirty.add(one)
            self._dirty.add(other)
            if new is not other:
                self.failures.regroup(place, old, new)
            return
        before = self._report_stores.counting(place)
        stores[slot].replace(place, new)
        self._dirty.update(map(group_of, parts(old)))
        if (after := self._report_stores.counting(place))[slot] is not before[slot]:
            self._exchange(place, before, after, count=True)

    def _exchange(self, place: ReportKey, before: Pair, after: Pair, *, count: bool) -> None:
        slots = [s for s in (0, 1) if before[s] is not after[s]]
        for slot in slots:
            self._shared.move(place, slot, before[slot], -1)
        # Two reports that are both named after one resource must not count it twice.
        together = all(c is not None and direct_group(c) is not None for c in after)
        if together:
            self._shared.meet(place, [s for s in (0, 1) if s not in slots], after)
        for slot in slots:
            self._shared.move(place, slot, after[slot], +1, together=together)
        old, new = merged(before), merged(after)
        memory = self.restore.memory
        if memory is not None and count and has_switched(before, after):
            memory.unlearn(place, remember(old).keys() - remember(new).keys())
        self._exchange_failures(place, old, new, count=count)

    def _exchange_failures(
        self,
        place: ReportKey,
        before: Contribution | None,
        after: Contribution | None,
        *,
        count: bool,
    ) -> None:
        memory = self.restore.memory
        former = memory.of(place, after) if memory is not None else None
        if not (former or has_failures(before) or has_failures(after)):
            return
        known = remember(before) if memory is not None and not count else {}
        self.failures.replace(place, before, after, former, count=count and memory is None)
        if memory is not None and not count:
            # What a first list brings is old: it is no news when the memory ends, either.
            memory.learn(place, known, remember(after))

    def _count_reports(self) -> None:
        for report_store, group in zip(self._report_stores.stores, GROUPS, strict=True):
            for namespace in report_store.changed:
                # Of cluster reports each shard holds those that name a resource of its namespaces.
                count = report_store.count(namespace) if self._selection.namespace(namespace) else 0
                self.reports.put((namespace, group), count or None)
            report_store.changed.clear()

    def _take(self, group: Group) -> int:
        """Take up what changed of a group; return about how many numbers that cost."""
        times = group.count - group.settled
        if times:
            self.totals.take(group, times)
            self.sums.note(group, times)
            if group.profile.left_out:
                self.left_out.take(group, times)
            group.settled = group.count
        if not group.count:
            group.cells = ()
            self._accountant.release(group)
        return 1 + len(group.profile.rows) // 4

    @property
    def folded(self) -> int:
        """How often results counted as ``__overflow__``: their namespace exceeds its share."""
        return self._accountant.budget.folded
