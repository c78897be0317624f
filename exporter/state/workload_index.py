"""The objects of each namespace whose names reveal who owns whom, by family."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from exporter.model.ownership import (
    CUT,
    DEPENDENT,
    KINDS,
    OwnersByName,
    Workload,
    family_of,
    member_of,
    workload_of,
)
from exporter.model.report import Reference
from exporter.state.contribution import (
    CONTROLLED,
    Contribution,
    Group,
    ReportPart,
    direct_group,
    parts,
)
from exporter.state.families import (
    SCATTERED,
    STRIDE,
    FamilyKey,
    FoundOwners,
    Resolution,
    Row,
    owners_in,
    resolve_all,
    rows_of,
)
from exporter.state.report_store import ReportKey

_AT_ONCE: Final = 200
"""Members that are resolved in one turn: some milliseconds."""
_LARGE: Final = 250 * STRIDE
"""Entries of a family above which only what a change may concern is resolved again."""
_MOST_OWNERS: Final = 20  # that changed; where more did, all of a family is resolved again
_MOST_NAMES: Final = 20  # large families whose owners are remembered by name


class WorkloadIndex:
    """Finds workloads from names, family by family.

    Reports arrive in any order, an owner's after those of its Pods or before, so on arrival there
    is only a guess by the name (``expected``): a family that changed is pending until :meth:`take`
    resolves it, once for all its changes. That of a new dependent always is. A family is one flat
    list, because most have few members and there are many.

    Of a large family the members that changed are pending, None for all. A change of an owner
    concerns only members whose text starts with its name, and those whose text was cut.
    """

    def __init__(self) -> None:
        self._families: dict[str, dict[str, list[str]]] = {}
        self._pending: dict[FamilyKey, list[str] | None] = {}
        self._names: dict[FamilyKey, OwnersByName] = {}
        self._under_way: Resolution | None = None

    @property
    def is_settled(self) -> bool:
        """Whether every object's workload was given."""
        return not self._pending and self._under_way is None

    def record(
        self,
        place: ReportKey,
        scope: Reference | None,
        old: Contribution | None,
        new: Contribution | None,
        *,
        twice: bool,
    ) -> None:
        """Note what a report is about that contributed *old* and contributes *new*.

        *scope* is what the report names as its resource. *twice*: a report of the same
        name in the other API group is about it, too.
        """
        after = new if new is None or isinstance(new, Group) else direct_group(new)
        if old is None and after is not None and scope is not None and not twice:
            self._add(after.namespace, place.name, scope.kind, scope.name)  # of a first list
            return
        before = None if old is None else direct_group(old)
        if before is None:
            self._scattered(place, old, self._remove)
        elif after is None and not twice:
            self._forget(place, before.namespace, scope)
        if after is None:
            self._scattered(place, new, self._add)
        elif scope is not None and before is None and not twice:
            self._add(after.namespace, place.name, scope.kind, scope.name)
        elif scope is not None and (before is None or _lacks_workload(new)):
            self._touch(after.namespace, place.name, scope.kind, scope.name)

    def forget(
        self, gone: Iterable[tuple[ReportKey, Contribution]], twice: Callable[[ReportKey], bool]
    ) -> None:
        """Remove what reports were about that a list did not contain.

        What the report of the same name in the other API group is about, too, stays: *twice*.
        """
        names: dict[str, set[str]] = {}
        for place, contribution in gone:
            group = direct_group(contribution)
            if group is None:
                self._scattered(place, contribution, self._remove)
            elif not twice(place):
                names.setdefault(group.namespace, set()).add(place.name)
        for namespace, reports in names.items():
            self._remove_reports(namespace, reports)

    def _scattered(
        self,
        place: ReportKey,
        contribution: Contribution | None,
        act: Callable[[str, str, str, str], object],
    ) -> None:
        for part in parts(contribution):
            if isinstance(part, ReportPart):
                report = SCATTERED + place.name
                act(part.group.namespace, report, part.group.kind, part.name)

    def _forget(self, place: ReportKey, namespace: str, scope: Reference | None) -> None:
        if scope is None or not self._remove(namespace, place.name, scope.kind, scope.name):
            self._remove_reports(namespace, {place.name})

    def _add(self, namespace: str, report: str, kind: str, name: str) -> None:
        if kind not in KINDS:
            return
        member = member_of(kind, name)
        if member is None:
            return
        form, text = member
        key = family_of(text)
        families = self._families.get(namespace)
        if families is None:
            families = self._families[namespace] = {}
        members = families.get(key)
        if members is None:
            families[key] = [report, form, text]
            if form not in DEPENDENT:
                return
        else:
            members += (report, form, text)
            if len(members) > _LARGE:
                if form in KINDS:
                    self._names.pop((namespace, key), None)
                self._mark((namespace, key), (report, form, text))
                return
        self._pending[namespace, key] = None

    def _mark(self, family: FamilyKey, row: Row) -> None:
        """Let a member of a large family be resolved, and what it may own."""
        if family not in self._pending:
            self._pending[family] = list(row)
        elif (changes := self._pending[family]) is not None:
            changes += row
            if len(changes) > _LARGE:
                self._pending[family] = None

    def _remove(self, namespace: str, report: str, kind: str, name: str) -> bool:
        """Remove an object; False where it is not known."""
        member = member_of(kind, name) if kind in KINDS else None
        if member is None:
            return True
        key = family_of(member[1])
        members = self._families.get(namespace, {}).get(key, [])
        for at in range(0, len(members), STRIDE):
            if members[at] == report and (members[at + 1], members[at + 2]) == member:
                del members[at : at + STRIDE]
                self._removed((namespace, key), members, [(report, *member)])
                return True
        return False

    def _remove_reports(self, namespace: str, reports: set[str]) -> None:
        """Remove objects of which only the reports' names are known: a look at all of them."""
        for key, members in list(self._families.get(namespace, {}).items()):
            if reports.isdisjoint(members[::STRIDE]):
                continue
            rows = list(rows_of(members))
            members[:] = [each for row in rows if row[0] not in reports for each in row]
            gone = [row for row in rows if row[0] in reports]
            self._removed((namespace, key), members, gone)

    def _removed(self, family: FamilyKey, members: list[str], gone: Sequence[Row]) -> None:
        """Note what was removed from a family; *members* are left."""
        namespace, key = family
        if self._under_way is not None and self._under_way.family == family:
            self._under_way.gone.update(gone)
        if not members:
            families = self._families[namespace]
            del families[key]
            if not families:
                del self._families[namespace]
            self._pending.pop(family, None)
            self._names.pop(family, None)
        elif len(members) <= _LARGE or len(gone) > 1:
            self._names.pop(family, None)
            self._pending[family] = None
        elif gone[0][0] in (self._pending.get(family) or ()):
            self._names.pop(family, None)
            self._pending[family] = None  # what is pending must not speak of what is gone
        elif gone[0][1] in KINDS:
            self._names.pop(family, None)
            self._mark(family, ("", *gone[0][1:]))

    def _touch(self, namespace: str, report: str, kind: str, name: str) -> None:
        """Let an object be resolved again."""
        member = member_of(kind, name) if kind in KINDS else None
        if member is None:
            return
        family = (namespace, family_of(member[1]))
        members = self._families.get(namespace, {}).get(family[1], [])
        if len(members) > _LARGE:
            self._mark(family, (report, *member))
        elif (report, *member) in rows_of(members):
            self._pending[family] = None
        else:  # it has another name than it had, or than the report in the other API group has
            self._remove_reports(namespace, {report})
            self._add(namespace, report, kind, name)

    def find(self, namespace: str, kind: str, name: str) -> Workload:
        """Give the workload of an object that need not have a report, itself if none is known."""
        member = member_of(kind, name) if kind in KINDS else None
        if member is None or member[0] not in DEPENDENT:
            return (kind, name)
        family = (namespace, family_of(member[1]))
        members = self._families.get(namespace, {}).get(family[1])
        return (members and workload_of(member, self._owners(family, members))) or (kind, name)

    def take(self) -> dict[str, FoundOwners]:
        """Resolve what is pending, some members at a time: by namespace and report.

        Several families at once, because a report may name a thousand resources, each of another.
        """
        found: dict[str, FoundOwners] = {}
        left = _AT_ONCE
        while left > 0 and not self.is_settled:
            if self._under_way is None:
                family, changes = self._pending.popitem()
                members = self._families.get(family[0], {}).get(family[1], [])
                if len(members) <= _LARGE:
                    resolve_all(family[0], members, found.setdefault(family[0], {}))
                    left -= len(members) // STRIDE
                    continue
                self._under_way = self._begin(family, members, changes)
            taken = self._under_way.take(left, found.setdefault(self._under_way.family[0], {}))
            if taken < left:
                self._under_way = None
            left -= taken
        if not self._pending:
            self._pending = {}  # one that was large stays so
        return found

    def _owners(self, family: FamilyKey, members: list[str]) -> OwnersByName:
        names = self._names.get(family)
        if names is None:
            names = owners_in(members)
            if len(members) > _LARGE:
                if len(self._names) >= _MOST_NAMES:
                    self._names.clear()
                self._names[family] = names
        return names

    def _begin(
        self, family: FamilyKey, members: list[str], changes: list[str] | None
    ) -> Resolution:
        names = self._owners(family, members)
        if changes is None:
            return Resolution(family, names, rows_of(members.copy()))
        rows = [row for row in rows_of(changes) if row[0]]
        owners = tuple({text for _, form, text in rows_of(changes) if form in KINDS})
        if len(owners) > _MOST_OWNERS:
            rows = list(rows_of(members))
        elif owners:
            rows += [
                each for each in rows_of(members) if each[1] in CUT or each[2].startswith(owners)
            ]
        return Resolution(family, names, rows)


def _lacks_workload(contribution: Contribution | None) -> bool:
    """Whether the resource is owned, and it is not known yet by what."""
    if not isinstance(contribution, ReportPart) or contribution.workload is not None:
        return False
    return contribution.group.controlled == CONTROLLED
