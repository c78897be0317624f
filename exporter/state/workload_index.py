"""The objects of each namespace whose names reveal who owns whom, by family."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from exporter.model.ownership import (
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
    Owned,
    ReportPart,
    direct_group,
    parts,
)
from exporter.state.report_store import ReportKey

_SCATTERED: Final = "/"
"""Before the name of a report whose results name resources: no name contains it."""
_AT_ONCE: Final = 200
"""Members that are resolved in one turn: some milliseconds."""
_STRIDE: Final = 3
"""Entries of a family's list for each member: its report's name, the form and the text."""


class WorkloadIndex:
    """Finds workloads from names, family by family.

    Reports arrive in any order, an owner's after those of its Pods or before, so on arrival there
    is only a guess by the name (``expected``): a family that changed is ``pending`` until
    :meth:`take` resolves it, once for all its changes. That of a new dependent always is. A
    family is one flat list, because most have few members and there are many.
    """

    def __init__(self) -> None:
        self.pending: dict[tuple[str, str], None] = {}
        self._families: dict[str, dict[str, list[str]]] = {}

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

        *scope* is what the report names as its resource. *twice* says that a report of the same
        name in the other API group is about it, too.
        """
        after = None if new is None else direct_group(new)
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
            self._touch(after.namespace, scope.kind, scope.name)

    def forget(
        self, gone: Iterable[tuple[ReportKey, Contribution]], twice: Callable[[ReportKey], bool]
    ) -> None:
        """Remove what reports were about that a list has not brought again.

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
                report = _SCATTERED + place.name
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
        self.pending[namespace, key] = None

    def _remove(self, namespace: str, report: str, kind: str, name: str) -> bool:
        """Remove an object; False where it is not known."""
        member = member_of(kind, name) if kind in KINDS else None
        if member is None:
            return True
        key = family_of(member[1])
        members = self._families.get(namespace, {}).get(key, [])
        for at in range(0, len(members), _STRIDE):
            if members[at] == report and (members[at + 1], members[at + 2]) == member:
                del members[at : at + _STRIDE]
                self._changed(namespace, key, members)
                return True
        return False

    def _remove_reports(self, namespace: str, reports: set[str]) -> None:
        """Remove objects of which only the reports' names are known: a look at all of them."""
        for key, members in list(self._families.get(namespace, {}).items()):
            if reports.isdisjoint(members[::_STRIDE]):
                continue
            rows = [members[at : at + _STRIDE] for at in range(0, len(members), _STRIDE)]
            members[:] = [each for row in rows if row[0] not in reports for each in row]
            self._changed(namespace, key, members)

    def _touch(self, namespace: str, kind: str, name: str) -> None:
        """Let the family of an object be resolved again."""
        member = member_of(kind, name) if kind in KINDS else None
        if member is not None:
            self.pending[namespace, family_of(member[1])] = None

    def find(self, namespace: str, kind: str, name: str) -> Workload:
        """Give the workload of an object that need not have a report, itself if none is known."""
        member = member_of(kind, name) if kind in KINDS else None
        if member is None or member[0] not in DEPENDENT:
            return (kind, name)
        members = self._families.get(namespace, {}).get(family_of(member[1]), [])
        return workload_of(member, _owners(members)) or (kind, name)

    def take(self) -> dict[str, dict[str, list[Owned]]]:
        """Resolve pending families: who owns their members, by namespace and report.

        Several at once, because a report may name a thousand resources, each of another family.
        """
        found: dict[str, dict[str, list[Owned]]] = {}
        count = 0
        while self.pending and count < _AT_ONCE:
            (namespace, key), _ = self.pending.popitem()
            members = self._families.get(namespace, {}).get(key, [])
            reports = found.setdefault(namespace, {})
            for report, owned in _resolved(namespace, members):
                reports.setdefault(report, []).append(owned)
                count += 1
        return found

    def _changed(self, namespace: str, key: str, members: list[str]) -> None:
        if members:
            self.pending[namespace, key] = None
            return
        families = self._families[namespace]
        del families[key]
        if not families:
            del self._families[namespace]


def _lacks_workload(contribution: Contribution | None) -> bool:
    """Whether the resource is owned, and it is not known yet by what."""
    if not isinstance(contribution, ReportPart) or contribution.workload is not None:
        return False
    return contribution.group.controlled == CONTROLLED


def _rows(members: list[str]) -> Iterator[tuple[str, str, str]]:
    """Give the report, the form and the text of each member of a family."""
    entries = iter(members)
    return zip(entries, entries, entries, strict=True)


def _owners(members: list[str]) -> OwnersByName:
    """Give the kinds of a family's possible owners by name."""
    names = OwnersByName()
    for _, form, text in _rows(members):
        if form in KINDS:
            kinds = names.get(text)
            if kinds is None:
                names[text] = (form,)
            elif form not in kinds:
                names[text] = (*kinds, form)
    return names


def _resolved(namespace: str, members: list[str]) -> Iterator[tuple[str, Owned]]:
    names = _owners(members)
    known: dict[tuple[str, str, bool], Owned] = {}
    for report, form, text in _rows(members):
        if form not in DEPENDENT:
            continue
        direct = not report.startswith(_SCATTERED)
        owned = known.get((form, text, direct))
        if owned is None:
            member = (form, text)
            owned = Owned(namespace, member, workload_of(member, names), direct=direct)
            known[form, text, direct] = owned
        yield (report if direct else report[len(_SCATTERED) :]), owned
