"""Resources that several reports speak of, or whose report is not named after them."""

from exporter.state.contribution import Subject
from exporter.state.least import Least
from exporter.state.tally import Tally

_BADNESS = (1, 3, 2, 0, 4)
"""Indices of fail, error, warn, pass, skip: the worst first."""

_SILENT = len(_BADNESS)
"""The rank of a report that says nothing of a resource."""

Source = tuple[str, str, str]
"""Who says so: a report, by namespace and name, of a resource of some kind."""


class _Sayings:
    """What reports say of one resource: each its rank of badness and the kind, and the worst."""

    __slots__ = ("sources", "worst")

    def __init__(self) -> None:
        self.sources: dict[Source, tuple[int, str]] = {}
        self.worst: Least[tuple[int, str]] = Least()


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

    def say(self, subject: Subject, source: Source, kind: str, status: int) -> None:
        """Let a report give *status* (an index, -1 for none) to a resource."""
        rank = _BADNESS.index(status) if status >= 0 else _SILENT
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
            self._totals.add((subject[0], said[1]), _BADNESS[said[0]], amount)
