"""Families of objects whose names reveal who owns whom, and the workloads in one."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from exporter.model.ownership import (
    DEPENDENT,
    KINDS,
    OwnersByName,
    Workload,
    workload_of,
    workload_of_all,
)
from exporter.state.contribution import Owned

SCATTERED: Final = "/"
"""Before the name of a report whose results name resources: no name contains it."""
STRIDE: Final = 3
"""Entries of a family's list for each member: its report's name, the form and the text."""

Row = tuple[str, str, str]
FamilyKey = tuple[str, str]
"""A namespace, and what ``family_of`` gives."""
FoundOwners = dict[str, Sequence[Owned]]
"""What was resolved, by report."""
_Known = dict[tuple[str, str, bool], tuple[Owned]]
"""What was resolved of a family by form, text, and whether the report is named after it."""
_ALONE: Final = {kind: (kind,) for kind in KINDS}


class Resolution:
    """A family of which members are resolved, some at a time; *rows* are those left.

    ``gone`` are members that were removed meanwhile. A change of the family is resolved after it.
    """

    __slots__ = ("_known", "_names", "_rows", "family", "gone")

    def __init__(self, family: FamilyKey, names: OwnersByName, rows: Iterable[Row]) -> None:
        self.family = family
        self.gone: set[Row] = set()
        self._names = names
        self._rows = iter(rows)
        self._known: _Known = {}

    def take(self, most: int, found: FoundOwners) -> int:
        """Resolve at most *most* members into *found*, by report; return how many."""
        count = 0
        for row in islice(self._rows, most):
            count += 1
            if row[1] in DEPENDENT and row not in self.gone:
                _resolve(self.family[0], row, self._names, self._known, found)
        return count


def rows_of(members: list[str]) -> Iterator[tuple[str, str, str]]:
    """Give the report, the form and the text of each member of a family."""
    entries = iter(members)
    return zip(entries, entries, entries, strict=True)


def owners_in(members: list[str]) -> OwnersByName:
    """Give the kinds of a family's possible owners by name."""
    names = OwnersByName()
    for _, form, text in rows_of(members):
        if form in KINDS:
            kinds = names.get(text)
            if kinds is None:
                names[text] = _ALONE[form]
            elif form not in kinds:
                names[text] = (*kinds, form)
    return names


def resolve_all(namespace: str, members: list[str], found: FoundOwners) -> None:
    """Resolve a small family."""
    workload, known = workload_of_all(members[1::STRIDE], members[2::STRIDE]), _Known()
    names = workload or owners_in(members)
    same = (Owned(namespace, ("", ""), workload, direct=True),)
    for row in rows_of(members):
        if row[1] not in DEPENDENT:
            continue
        report = row[0]
        if workload and report not in found and not report.startswith(SCATTERED):
            found[report] = same
        else:
            _resolve(namespace, row, names, known, found)


def _resolve(
    namespace: str, row: Row, names: OwnersByName | Workload, known: _Known, found: FoundOwners
) -> None:
    """Resolve a dependent among *names*, or to the only workload; those alike are once."""
    report, form, text = row
    direct = not report.startswith(SCATTERED)
    owned = known.get((form, text, direct))
    if owned is None:
        workload = names if isinstance(names, tuple) else workload_of((form, text), names)
        owned = known[form, text, direct] = (Owned(namespace, (form, text), workload, direct),)
    if not direct:
        report = report[len(SCATTERED) :]
    found[report] = (*found[report], *owned) if report in found else owned
