"""Five-fold counts of what groups amount to."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from exporter.model.report import BADNESS_INDICES
from exporter.state.contribution import (
    Contribution,
    Group,
    ReportPart,
    Subject,
    group_of,
    parts,
)
from exporter.state.minbag import MinBag
from exporter.state.report_store import GROUPS, Pair, ReportKey
from exporter.state.sums import SumTable
from exporter.state.tally import NOTHING, WORDS, Tally

_UNRATED: Final = len(BADNESS_INDICES)
"""The rank of a report without a result for a resource."""

StatusOrigin = tuple[str, str, str, str]
"""A report, by API group, namespace and name, and the kind that it gives to the resource."""

Status = tuple[int, str, str]
"""A rank of badness, the kind that a report gives to the resource, and whether it is controlled."""


class _ResourceStatuses:
    """The status of one resource in each report, and the worst."""

    __slots__ = ("origins", "worst")

    def __init__(self) -> None:
        self.origins: dict[StatusOrigin, Status] = {}
        self.worst: MinBag[Status] = MinBag()


class Totals:
    """The five-fold gauges: results, summaries, and resources by their worst result.

    Where anything counts, rows of results have pass and fail, and those of the others all five
    words, even at 0. ``not_itemised`` is what summaries count beyond the results in their reports.
    ``cut_reports`` is how many reports exceed the limits of one report.
    """

    def __init__(self) -> None:
        self.results: Final = Tally(always=(0, 1))
        self.summary: Final = Tally(always=range(WORDS))
        self.resources: Final = Tally(always=range(WORDS))
        self.not_itemised: Final = SumTable()
        self.cut_reports = 0

    def take(self, group: Group, times: int) -> None:
        """Add the results and summary of a group *times* times; a negative number removes them."""
        self.results.count(self._cells(group), times)
        where = (group.namespace, group.kind, group.controlled)
        self.summary.add_all(where, group.profile.summary, times)
        beyond = group.profile.key.not_itemised
        if beyond is not NOTHING:
            self.not_itemised.add_all(where, beyond, times)
        if group.profile.key.cut:
            self.cut_reports += times
        if group.direct:
            self.add_status(group, times)

    def add_status(self, group: Group, amount: int) -> None:
        """Count *amount* resources under the status of their group."""
        if group.profile.status >= 0:
            where = (group.namespace, group.kind, group.controlled)
            self.resources.add(where, group.profile.status, amount)

    def _cells(self, group: Group) -> Sequence[int]:
        """Give the cells in which a group counts.

        While it counts in them they are not removed, so it remembers them once it changes: most
        groups of a cluster in which hardly two reports are alike never do.
        """
        if group.cells:
            return group.cells
        where, row = (group.namespace, group.kind, group.controlled), self.results.row
        # An array takes a quarter of the memory of numbers that are objects, and lies together.
        cells = array("i", [row(where + v.outcome) + v.word_index for v in group.profile.rows])
        if group.settled:
            group.cells = cells
        return cells


class SharedResources:
    """Resources that more than one report covers; each counts once, by its worst status.

    Nearly all reports are named after their resource's uid and are counted by group. Once another
    report covers the same resource, it is here with both. *counting* gives what counts of the
    reports of a name in both API groups; groups that change are added to *dirty*.
    """

    def __init__(
        self, totals: Totals, counting: Callable[[ReportKey], Pair], dirty: set[Group]
    ) -> None:
        self._totals = totals
        self._counting = counting
        self._dirty = dirty
        self._statuses: dict[Subject, _ResourceStatuses] = {}

    @property
    def are_none(self) -> bool:
        """Whether there is no such resource."""
        return not self._statuses

    def __contains__(self, subject: Subject) -> bool:
        return subject in self._statuses

    def reports_of(self, subject: Subject) -> set[str]:
        """Name the reports that are about such a resource."""
        statuses = self._statuses.get(subject)
        return set() if statuses is None else {origin[2] for origin in statuses.origins}

    def move(
        self,
        place: ReportKey,
        slot: int,
        contribution: Contribution | None,
        amount: int,
        *,
        together: bool = False,
    ) -> None:
        """Count a contribution of one API group once more, or once less.

        *together*: the reports of both API groups are named after the resource.
        """
        for part in parts(contribution):
            group = group_of(part)
            group.count += amount
            self._dirty.add(group)
            if group.direct:
                if together or place in self:
                    self.count(place, _origin_of(slot, place, group), group, amount)
                    self._totals.add_status(group, -amount)
            elif isinstance(part, ReportPart) and part.subject is not None:
                subject = ReportKey(*part.subject)
                if subject not in self:
                    self.meet(subject, (0, 1), self._counting(subject))
                self.count(subject, _origin_of(slot, place, group), group, amount)

    def meet(self, subject: ReportKey, slots: Iterable[int], counting: Pair) -> None:
        """Count reports about a resource by their worst status, no longer by group."""
        if subject in self:
            return
        for slot in slots:
            for part in parts(counting[slot]):
                group = group_of(part)
                if group.direct:
                    self.count(subject, _origin_of(slot, subject, group), group, +1)
                    self._totals.add_status(group, -1)

    def count(self, subject: Subject, origin: StatusOrigin, group: Group, amount: int) -> None:
        """Set the status of a report's group for a resource; remove it if *amount* is negative."""
        if amount > 0:
            self.set(subject, origin, (group.kind, group.controlled), group.profile.status)
        else:
            self.remove(subject, origin)

    def set(
        self, subject: Subject, origin: StatusOrigin, kind: tuple[str, str], status: int
    ) -> None:
        """Set the status (an index, -1 for none) that a report gives to a resource.

        *kind* is the resource's kind, and whether it is controlled.
        """
        rank = BADNESS_INDICES.index(status) if status >= 0 else _UNRATED
        self._change(subject, origin, (rank, *kind))

    def remove(self, subject: Subject, origin: StatusOrigin) -> None:
        """Remove the status that a report gave to a resource."""
        self._change(subject, origin, None)

    def _change(self, subject: Subject, origin: StatusOrigin, status: Status | None) -> None:
        statuses = self._statuses.setdefault(subject, _ResourceStatuses())
        before = statuses.worst.least
        old = statuses.origins.pop(origin, None)
        if old is not None:
            statuses.worst.remove(old)
        if status is not None:
            statuses.origins[origin] = status
            statuses.worst.add(status)
        after = statuses.worst.least
        if before != after:
            self._count(subject, before, -1)
            self._count(subject, after, +1)
        if not statuses.origins:
            del self._statuses[subject]

    def _count(self, subject: Subject, status: Status | None, amount: int) -> None:
        if status is not None and status[0] != _UNRATED:
            rank, kind, controlled = status
            row = (subject[0], kind, controlled)
            self._totals.resources.add(row, BADNESS_INDICES[rank], amount)


def _origin_of(slot: int, place: ReportKey, group: Group) -> StatusOrigin:
    return (GROUPS[slot], place.namespace, place.name, group.kind)
