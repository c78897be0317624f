"""What happens to a set of reports, the same each time: creates, updates, deletes."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from bench.reports import NOW, Reports, Shape


class Mix(NamedTuple):
    """The shares of changes that create, delete, and update more than timestamps."""

    create: float = 0.1
    delete: float = 0.1
    outcome: float = 0.4


class Change(NamedTuple):
    """One change, as a watch tells it."""

    type: str
    number: int
    stamp: int
    turn: int


class Changes:
    """Changes of a set without end; ``live`` are the numbers of its reports, at all times."""

    def __init__(self, shape: Shape, mix: Mix) -> None:
        self.live = list(range(shape.reports))
        self._shape = shape
        self._mix = mix
        self._turns: Counter[int] = Counter()
        self._next = shape.reports
        self._chance = random.Random(shape.seed)

    def __iter__(self) -> Iterator[Change]:
        stamp = NOW
        while True:
            stamp += 1
            yield self._change(stamp)

    def _change(self, stamp: int) -> Change:
        drawn, mix = self._chance.random(), self._mix
        if drawn < mix.create or not self.live:
            self.live.append(self._next)
            self._next += 1
            return Change("ADDED", self.live[-1], stamp, 0)
        at = self._chance.randrange(len(self.live))
        number = self.live[at]
        if drawn < mix.create + mix.delete:
            self.live[at] = self.live[-1]
            self.live.pop()
            return Change("DELETED", number, stamp, self._turns[number])
        if drawn < mix.create + mix.delete + mix.outcome:
            self._turns[number] += 1
        return Change("MODIFIED", number, stamp, self._turns[number])

    def results(self) -> Counter[str]:
        """Count the results of all reports that there are now."""
        reports, found = Reports(self._shape), Counter[str]()
        for number in self.live:
            outcome = reports.outcome(number, self._turns[number])
            found["pass"] += outcome.results - outcome.failing
            found["fail"] += outcome.failing
        return found
