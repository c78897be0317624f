"""Workloads as the metadata of Pods, ReplicaSets and Jobs have them, and by names elsewhere."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from exporter.model.changes import Scope
from exporter.model.metadata import OwnedObject
from exporter.model.ownership import Workload, may_be_owned
from exporter.model.report import Reference
from exporter.state.contribution import (
    BY_UID,
    Contribution,
    Owned,
    ReportPart,
    direct_group,
    parts,
)
from exporter.state.controllers import Controller, Controllers, Unknown
from exporter.state.families import FoundOwners
from exporter.state.report_store import ReportKey, ReportStores, covers_resource
from exporter.state.totals import SharedResources
from exporter.state.workload_index import WorkloadIndex

_AT_ONCE: Final = 200
"""Reports that are looked at in one turn: about a millisecond."""
_MOST_MARKED: Final = 1_000
"""Reports of a namespace that are marked by name; where more are, all of them are looked at."""
_MOST_STEPS: Final = 8
"""Owners above an object: references that users write may go in a circle."""


class OwnerIndex:
    """Finds workloads from metadata; what these do not know is left to the names.

    Metadata have uids, and so do reports: of the resource that they are named after, or that their
    results name. The top of the chain of controllers is the workload, whatever its kind. An object
    counts as controlled where a report is about an owner in that chain, else no report would count
    the workload. Metadata that are gone change nothing: the report of the object follows.

    ``_chains`` remembers what was found in one turn, in which nothing changes.
    ``_marked`` are the reports to look at by namespace, None for all of it; ``_changed`` are
    controllers (uids) by namespace of which something changed.
    """

    def __init__(
        self, chosen: Callable[[str], bool], stores: ReportStores, shared: SharedResources
    ) -> None:
        self._chosen = chosen
        self._stores = stores
        self._shared = shared
        self._names = WorkloadIndex()
        self._controllers = Controllers()
        self._marked: dict[str, set[str] | None] = {}
        self._changed: dict[str, set[str]] = {}
        self._chains: dict[Controller, tuple[Workload, bool]] = {}
        self._looking: tuple[str, Iterator[str]] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether every object's workload was given."""
        is_done = not (self._marked or self._changed) and self._looking is None
        return is_done and self._names.is_settled

    def count(self, kind: str) -> int:
        """Count the objects of a kind whose metadata are known."""
        return self._controllers.count(kind)

    def workload_of(self, namespace: str, kind: str, name: str, uid: str) -> Workload:
        """Give the workload of an object that need not have a report, itself if none is known."""
        self._chains.clear()
        found = self._resolve(namespace, uid)
        if found is None:
            return self._names.find(namespace, kind, name)
        return found[0] or (kind, name)

    def apply(self, scope: Scope, item: OwnedObject) -> None:
        """Know who controls an object now."""
        namespace, uid = item.namespace, item.metadata.uid
        if self._chosen(namespace) and self._controllers.put(scope.resource.kind, item):
            self._look_at(namespace, uid)
            self._note_owner(namespace, uid)

    def delete(self, scope: Scope, item: OwnedObject) -> None:
        """Forget an object."""
        self._controllers.remove(scope.resource.kind, item)

    def begin_list(self, scope: Scope) -> None:
        """Wait for every object of *scope* again; nothing is forgotten yet."""
        self._controllers.begin_list(scope)

    def end_list(self, scope: Scope) -> None:
        """Forget the objects of *scope* that the list did not contain."""
        self._controllers.end_list(scope)

    def record(
        self,
        place: ReportKey,
        scope: Reference | None,
        old: Contribution | None,
        new: Contribution | None,
        *,
        twice: bool,
    ) -> None:
        """Note what a report is about; see WorkloadIndex."""
        self._names.record(place, scope, old, new, twice=twice)
        was_direct = old is not None and direct_group(old) is not None
        is_direct = new is not None and direct_group(new) is not None
        if was_direct != is_direct:
            self._note_owner(place.namespace, place.name)
        for part in (*parts(old), *parts(new)):
            if isinstance(part, ReportPart) and part.subject is not None:
                self._note_owner(*part.subject)
                self._mark(part.subject[0], place.name)
        if is_direct and scope is not None and scope.kind in self._controllers:
            is_new = isinstance(new, ReportPart) and new.workload is None
            if (is_new and was_direct) or not may_be_owned(scope.kind, scope.name):
                self._mark(place.namespace, place.name)  # the names do not speak of it

    def forget(
        self, gone: Iterable[tuple[ReportKey, Contribution]], twice: Callable[[ReportKey], bool]
    ) -> None:
        """Remove what reports were about that a list did not contain; see WorkloadIndex."""
        reports = list(gone)
        self._names.forget(reports, twice)
        for place, contribution in reports:
            if direct_group(contribution) is not None:
                self._note_owner(place.namespace, place.name)

    def take(self) -> dict[str, FoundOwners]:
        """Resolve some of what is pending: by namespace and report."""
        self._chains.clear()
        if not self._names.is_settled:
            return {
                namespace: {name: self._corrected(namespace, name, o) for name, o in found.items()}
                for namespace, found in self._names.take().items()
            }
        taken: dict[str, FoundOwners] = {}
        for _ in range(_AT_ONCE):
            report = self._next()
            if report is None:
                break
            if owned := self._owned(*report):
                taken.setdefault(report.namespace, {})[report.name] = owned
        return taken

    def _corrected(self, namespace: str, name: str, by_name: Sequence[Owned]) -> list[Owned]:
        """Prefer what is known of the resources of a report to what their names show."""
        exact = list[Owned]()
        if self._marked.get(namespace, by_name) is not None:
            exact = self._owned(namespace, name)
            is_known = any(each.direct for each in exact)
        else:  # all of the namespace is looked at later
            is_known = not isinstance(self._controllers.of(namespace, name), Unknown)
        return [*exact, *(each for each in by_name if not (each.direct and is_known))]

    def _owned(self, namespace: str, name: str) -> list[Owned]:
        """Resolve the resource that a report is named after, and those that its results name."""
        owned = []
        if (found := self._resolve(namespace, name)) is not None:
            owned.append(Owned(namespace, (BY_UID, name), found[0], True, found[1]))
        if self._shared.are_none:
            return owned
        for place in (ReportKey(namespace, name), ReportKey("", name)):
            for store in self._stores.stores:
                for part in parts(store.find(place)):
                    if not isinstance(part, ReportPart) or part.subject is None:
                        continue
                    where, uid = part.subject
                    if where == namespace and (found := self._resolve(where, uid)) is not None:
                        owned.append(Owned(where, (BY_UID, uid), found[0], False, found[1]))
        return owned

    def _resolve(self, namespace: str, uid: str) -> tuple[Workload | None, bool] | None:
        """Find the workload of an object, and whether a report is about an owner of it.

        None where its metadata are not known; where those of an owner are not, its name decides.
        """
        owner = self._controllers.of(namespace, uid)
        if isinstance(owner, Unknown):
            return None
        if owner is None:
            return None, False
        found = self._chains.get(owner)
        if found is None:
            found = self._chains[owner] = self._follow(namespace, owner)
        return found

    def _follow(self, namespace: str, lowest: Controller) -> tuple[Workload, bool]:
        """Find the top of a chain of controllers, and whether a report is about one of them."""
        owner: Controller | None = lowest
        workload, is_reported = (lowest.kind, lowest.name), False
        for _ in range(_MOST_STEPS):
            if owner is None:
                break
            workload = (owner.kind, owner.name)
            is_reported = is_reported or self._is_reported(namespace, owner)
            if owner.kind not in self._controllers:
                break
            above = self._controllers.above(namespace, owner)
            if isinstance(above, Unknown):
                top = self._names.find(namespace, *workload)
                return top, is_reported or top != workload
            owner = above
        return workload, is_reported

    def _is_reported(self, namespace: str, owner: Controller) -> bool:
        place = ReportKey(namespace, owner.uid)
        if any(covers_resource(store, place) for store in self._stores.stores):
            return True
        # Results name resources, by their uids or without.
        by_name = ReportKey(namespace, f"{owner.kind}/{owner.name}")
        return place in self._shared or by_name in self._shared

    def _note_owner(self, namespace: str, uid: str) -> None:
        """Let what an object controls be looked at again."""
        if self._controllers.are_used(namespace, uid):
            self._changed.setdefault(namespace, set()).add(uid)

    def _look_at(self, namespace: str, uid: str) -> None:
        """Let reports that are about an object be looked at again."""
        place = ReportKey(namespace, uid)
        if any(store.find(place) is not None for store in self._stores.stores):
            self._mark(namespace, uid)
        for name in self._shared.reports_of(place):
            self._mark(namespace, name)

    def _mark(self, namespace: str, report: str) -> None:
        names = self._marked.setdefault(namespace, set())
        if names is not None:
            names.add(report)
            if len(names) > _MOST_MARKED:
                self._marked[namespace] = None

    def _next(self) -> ReportKey | None:
        """Give the next report to look at."""
        while True:
            if self._looking is not None:
                namespace, names = self._looking
                if (name := next(names, None)) is not None:
                    return ReportKey(namespace, name)
                self._looking = None
            if self._changed:
                self._mark_controlled(*self._changed.popitem())
            elif not self._marked:
                return None
            else:
                namespace, marked = self._marked.popitem()
                self._looking = namespace, iter(marked or self._reports(namespace))

    def _reports(self, namespace: str) -> list[str]:
        stores = self._stores.stores
        return [name for each in stores for n in (namespace, "") for name in each.listed(n)]

    def _mark_controlled(self, namespace: str, owners: set[str]) -> None:
        """Mark the reports of what some owners control, and of what that controls."""
        seen = set(owners)
        while owners:
            above, owners = owners, set()
            for uid in self._controllers.controlled_by(namespace, above):
                self._look_at(namespace, uid)
                if self._controllers.are_used(namespace, uid) and uid not in seen:
                    owners.add(uid)
            seen |= owners
