"""What the status page needs: results by namespace, policy, severity; where failures are."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from exporter.state.contribution import Group
from exporter.state.profile import LeftOut, Verdict
from exporter.state.report_store import ReportKey
from exporter.state.shares import MAX_SOURCES, NamesInShares
from exporter.state.tally import NOTHING, OVERFLOW, Labels

CROWD: Final = 20_000
"""Changes that can wait until the page is opened, of about a hundred bytes each."""


class FailureBucket(NamedTuple):
    """Failing results of one severity, on one kind of resource in one namespace, by control."""

    severity: str
    namespace: str
    kind: str
    controlled: str


class FailureBuckets:
    """How many failing results each bucket has, and how many of them each report has.

    What is zero is not there: ``counts`` and ``places`` have the same keys.
    """

    def __init__(self) -> None:
        self.counts: Counter[FailureBucket] = Counter()
        self.places: dict[FailureBucket, dict[ReportKey, int]] = {}

    def add(self, bucket: FailureBucket, place: ReportKey, amount: int) -> None:
        """Add *amount* failing results of a report; a negative amount removes them."""
        places = self.places.get(bucket)
        if places is None:
            places = self.places[bucket] = {}
        count = places.get(place, 0) + amount
        if count:
            places[place] = count
        else:
            del places[place]
        self.counts[bucket] += amount
        if not places:
            del self.counts[bucket], self.places[bucket]


class SumTable(dict[Labels, list[int]]):
    """Five-fold counts by label values; a row of zeros does not exist."""

    def add(self, labels: Labels, index: int, amount: int) -> None:
        """Add *amount* to one of the five counts of a row."""
        row = self.setdefault(labels, [*NOTHING])
        row[index] += amount
        if not any(row):
            del self[labels]

    def add_all(self, labels: Labels, amounts: Iterable[int], times: int = 1) -> None:
        """Add five amounts, *times* times each."""
        for index, amount in enumerate(amounts):
            if amount:
                self.add(labels, index, amount * times)


class LeftOutResults:
    """Results in current reports that are in no other count.

    Those of sources that are not configured, and those whose word is none of the five.
    """

    def __init__(self) -> None:
        self._counts: dict[LeftOut, int] = {}
        self._names = NamesInShares[LeftOut](MAX_SOURCES)

    def take(self, group: Group, times: int) -> None:
        """Count what a group leaves out *times* times more."""
        for row, count in group.profile.left_out:
            own = row if self._names.add(group.namespace, row) else (row[0], OVERFLOW)
            self._counts[own] = self._counts.get(own, 0) + count * times

    @property
    def by_source(self) -> dict[LeftOut, int]:
        """The numbers by reason and source; at most MAX_SOURCES are counted separately.

        Those of the others are in rows with the source ``__overflow__``.
        """
        chosen, found = self._names.chosen, dict[LeftOut, int]()
        for (reason, source), count in self._counts.items():
            row = (reason, source if (reason, source) in chosen else OVERFLOW)
            found[row] = found.get(row, 0) + count
        return found


class Sums:
    """Three five-fold counts of results, of which no series are made.

    The rows of each are labelled (namespace, controlled), (policy, controlled) and (severity,
    controlled).

    The changes of a group wait until the page is opened, because most groups change again before
    that. Those of a group without reports are applied at once, so that none is kept for this.
    ``crowded`` is True from when too many wait until none does.
    """

    def __init__(self) -> None:
        self.by_namespace: Final = SumTable()
        self.by_policy: Final = SumTable()
        self.by_severity: Final = SumTable()
        self.crowded = False
        self._waiting: dict[Group, int] = {}
        self._judged: dict[str, dict[Verdict, int]] = {}
        self._judged_count = 0

    def note(self, group: Group, times: int) -> None:
        """Note that a group counts *times* more often."""
        waiting = self._waiting
        waiting[group] = waiting.get(group, 0) + times
        if not group.count:
            self._take_group(group, waiting.pop(group))
        if len(waiting) + self._judged_count > CROWD:
            self.crowded = True

    def take(self) -> int:
        """Take up some of what changed; return about how many numbers, 0 where nothing is left."""
        if self._waiting:
            return self._take_group(*self._waiting.popitem())
        for controlled, judged in self._judged.items():
            verdict, times = judged.popitem()
            self._judged_count -= 1
            if not judged:
                del self._judged[controlled]
            return self._take_judged(controlled, verdict, times)
        self.crowded = False
        return 0

    def _take_group(self, group: Group, times: int) -> int:
        profile, controlled = group.profile, group.controlled
        if times and profile.rows:
            self.by_namespace.add_all((group.namespace, controlled), profile.counts, times)
            judged = self._judged.setdefault(controlled, {})
            before = len(judged)
            for verdict in profile.rows:
                judged[verdict] = judged.get(verdict, 0) + times
            self._judged_count += len(judged) - before
        return 1 + len(profile.rows) // 4

    def _take_judged(self, controlled: str, verdict: Verdict, times: int) -> int:
        if times:
            outcome, index = verdict.outcome, verdict.word_index
            self.by_policy.add((outcome.policy, controlled), index, times)
            self.by_severity.add((outcome.severity, controlled), index, times)
        return 1
