"""Five-fold counts of what groups amount to."""

from array import array
from collections.abc import Callable, Sequence
from typing import Final

from exporter.model.report import BADNESS_INDICES, Report, clip
from exporter.state.contribution import Group, Subject
from exporter.state.minbag import MinBag
from exporter.state.selection import Selection
from exporter.state.sums import SumTable
from exporter.state.tally import NOTHING, OVERFLOW, WORDS, Gauge, Tally

MOST_SOURCES: Final = 1000
"""Sources whose newest result is told apart; reports name them freely."""


class NewestTimestamps(Gauge):
    """The newest timestamp of each source (Unix seconds) that is not in the future."""

    def __init__(self, selection: Selection, clock: Callable[[], float]) -> None:
        super().__init__()
        self._selection = selection
        self._clock = clock

    def note(self, report: Report) -> None:
        """Look at the timestamps of a report; most often none is newer."""
        for piece in report.pieces:
            source = piece.result_set.source
            if source is not None:
                labels = (source or report.source,)
                known = self.rows.get(labels, 0)
                if piece.newest <= known:
                    continue
                if piece.newest <= self._clock():
                    if known:
                        self.put(labels, piece.newest)
                    else:
                        self._raise(labels[0], piece.newest)
                    continue
            for raw_result, stamp in zip(piece.result_set.raw_results, piece.stamps, strict=True):
                self._raise(raw_result[5] or report.source, stamp)

    def _raise(self, source: str, seconds: float) -> None:
        if 0 < seconds <= self._clock() and self._selection.source(source):
            labels = (clip(source),)
            if labels not in self.rows and len(self.rows) >= MOST_SOURCES:
                labels = (OVERFLOW,)
            if seconds > self.rows.get(labels, 0):
                self.put(labels, seconds)


_SILENT: Final = len(BADNESS_INDICES)
"""The rank of a report that says nothing of a resource."""

Source = tuple[str, str, str, str]
"""A report, by API group, namespace and name, and the kind that it gives to the resource."""


class _Sayings:
    """What reports say of one resource: each its rank of badness and the kind, and the worst."""

    __slots__ = ("sources", "worst")

    def __init__(self) -> None:
        self.sources: dict[Source, tuple[int, str]] = {}
        self.worst: MinBag[tuple[int, str]] = MinBag()


class Subjects:
    """Counts each such resource once, by its worst status over all its reports.

    Nearly all reports are named after their resource's uid and are counted by group; only when
    another report speaks of the same resource does it appear here, with both.
    """

    def __init__(self, totals: Tally) -> None:
        self._totals = totals
        self._said: dict[Subject, _Sayings] = {}

    @property
    def are_none(self) -> bool:
        """Whether there is no such resource."""
        return not self._said

    def __contains__(self, subject: Subject) -> bool:
        return subject in self._said

    def count(self, subject: Subject, source: Source, group: Group, amount: int) -> None:
        """Let a report give the status of its group to a resource, or no more."""
        if amount > 0:
            self.say(subject, source, group.kind, group.profile.status)
        else:
            self.unsay(subject, source)

    def say(self, subject: Subject, source: Source, kind: str, status: int) -> None:
        """Let a report give *status* (an index, -1 for none) to a resource."""
        rank = BADNESS_INDICES.index(status) if status >= 0 else _SILENT
        self._change(subject, source, (rank, kind))

    def unsay(self, subject: Subject, source: Source) -> None:
        """Take back what a report said."""
        self._change(subject, source, None)

    def _change(self, subject: Subject, source: Source, said: tuple[int, str] | None) -> None:
        sayings = self._said.setdefault(subject, _Sayings())
        before = sayings.worst.least
        old = sayings.sources.pop(source, None)
        if old is not None:
            sayings.worst.remove(old)
        if said is not None:
            sayings.sources[source] = said
            sayings.worst.add(said)
        after = sayings.worst.least
        if before != after:
            self._count(subject, before, -1)
            self._count(subject, after, +1)
        if not sayings.sources:
            del self._said[subject]

    def _count(self, subject: Subject, said: tuple[int, str] | None, amount: int) -> None:
        if said is not None and said[0] != _SILENT:
            self._totals.add((subject[0], said[1]), BADNESS_INDICES[said[0]], amount)


class Totals:
    """The five-fold gauges: results, summaries, and resources by their worst result.

    Where anything counts, rows of results have pass and fail, and those of the others all five
    words, even at 0. ``not_itemised`` is what summaries count beyond the results in their reports.
    """

    def __init__(self) -> None:
        self.results: Final = Tally(always=(0, 1))
        self.summary: Final = Tally(always=range(WORDS))
        self.resources: Final = Tally(always=range(WORDS))
        self.not_itemised: Final = SumTable()

    def take(self, group: Group, times: int) -> None:
        """Count a group so many times more, as it is in one that changed."""
        self.results.count(self._cells(group), times)
        self.summary.add_all((group.namespace, group.kind), group.profile.summary, times)
        beyond = group.profile.key.not_itemised
        if beyond is not NOTHING:
            self.not_itemised.add_all((group.namespace, group.kind), beyond, times)
        if group.direct:
            self.add_status(group, times)

    def add_status(self, group: Group, amount: int) -> None:
        """Count resources by what a group says of them."""
        if group.profile.status >= 0:
            self.resources.add((group.namespace, group.kind), group.profile.status, amount)

    def _cells(self, group: Group) -> Sequence[int]:
        """Give the cells in which a group counts.

        While it counts in them they cannot vanish, so it remembers them once it changes: most
        groups of a cluster in which hardly two reports are alike never do.
        """
        if group.cells:
            return group.cells
        where, row = (group.namespace, group.kind), self.results.row
        # An array takes a quarter of the memory of numbers that are objects, and lies together.
        cells = array("i", [row(where + v.outcome) + v.word_index for v in group.profile.rows])
        if group.settled:
            group.cells = cells
        return cells
