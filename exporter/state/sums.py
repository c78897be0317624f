"""Results added up by namespace, policy and severity: for people who look, not for scrapes."""

from collections.abc import Iterable
from typing import Final

from exporter.state.contribution import Group
from exporter.state.profile import Verdict
from exporter.state.tally import NOTHING, Labels

CROWD: Final = 20_000
"""How much may wait for somebody who looks: what waits takes a hundred bytes."""


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


class Sums:
    """Three five-fold counts of results, of which no series are made.

    The changes of a group wait until somebody looks, as most groups change again before that; those
    of a group that no report is in any more do not, so that none is kept for this. ``crowded`` says
    that too much waits, until nothing does.
    """

    def __init__(self) -> None:
        self.by_namespace: Final = SumTable()
        self.by_policy: Final = SumTable()
        self.by_severity: Final = SumTable()
        self.crowded = False
        self._waiting: dict[Group, int] = {}
        self._judged: dict[Verdict, int] = {}

    def note(self, group: Group, times: int) -> None:
        """Note that a group counts so many times more."""
        waiting = self._waiting
        waiting[group] = waiting.get(group, 0) + times
        if not group.count:
            self._take_group(group, waiting.pop(group))
        if len(waiting) + len(self._judged) > CROWD:
            self.crowded = True

    def take(self) -> int:
        """Take up some of what changed; return about how many numbers, 0 where nothing is left."""
        if self._waiting:
            return self._take_group(*self._waiting.popitem())
        if self._judged:
            return self._take_judged(*self._judged.popitem())
        self.crowded = False
        return 0

    def _take_group(self, group: Group, times: int) -> int:
        profile, judged = group.profile, self._judged
        if times:
            self.by_namespace.add_all((group.namespace,), profile.counts, times)
            for verdict in profile.rows:
                judged[verdict] = judged.get(verdict, 0) + times
        return 1 + len(profile.rows) // 4

    def _take_judged(self, verdict: Verdict, times: int) -> int:
        if times:
            outcome, index = verdict.outcome, verdict.word_index
            self.by_policy.add((outcome.policy,), index, times)
            self.by_severity.add((outcome.severity,), index, times)
        return 1
