"""Resources that several reports speak of, or whose report is not named after them."""

from exporter.state.contribution import Subject
from exporter.state.tally import Tally

_BADNESS = (1, 3, 2, 0, 4)
"""Indices of fail, error, warn, pass, skip: the worst first."""

Source = tuple[str, str, str]
"""Who says so: a report, by namespace and name, of a resource of some kind."""


class Subjects:
    """Counts each such resource once, by its worst status over all its reports.

    Nearly all reports are named after their resource's uid and are counted by group; only when
    another report speaks of the same resource does it appear here, with both.
    """

    def __init__(self, totals: Tally) -> None:
        self._totals = totals
        self._said: dict[Subject, dict[Source, tuple[str, int]]] = {}

    def __contains__(self, subject: Subject) -> bool:
        return subject in self._said

    def say(self, subject: Subject, source: Source, kind: str, status: int) -> None:
        """Let a report give *status* (an index, -1 for none) to a resource."""
        self._change(subject, source, (kind, status))

    def unsay(self, subject: Subject, source: Source) -> None:
        """Take back what a report said."""
        self._change(subject, source, None)

    def _change(self, subject: Subject, source: Source, said: tuple[str, int] | None) -> None:
        sources = self._said.setdefault(subject, {})
        self._count(subject, -1)
        if said is None:
            sources.pop(source, None)
        else:
            sources[source] = said
        self._count(subject, +1)
        if not sources:
            del self._said[subject]

    def _count(self, subject: Subject, amount: int) -> None:
        said = [s for s in self._said[subject].values() if s[1] >= 0]
        if said:
            kind, status = min(said, key=lambda s: (_BADNESS.index(s[1]), s[0]))
            self._totals.add((subject[0], kind), status, amount)
