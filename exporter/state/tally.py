"""Counts by label values, which remember what changed since they were last read."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from exporter.state.least import Least

Labels = tuple[str, ...]
Counts = tuple[int, int, int, int, int]
NOTHING: Final[Counts] = (0, 0, 0, 0, 0)
OVERFLOW: Final = "__overflow__"
SHARE: Final = 10_000
CROWD: Final = 10_000
EVERY: Final = 0b11111
"""All five counts are news: a row appeared or vanished."""


class Five(list[int]):
    """Five counts, one for each result word.

    The bits of ``news`` say which of them changed since somebody looked; ``slots`` is room for
    whoever shows them to note where.
    """

    __slots__ = ("news", "slots")

    def __init__(self) -> None:
        super().__init__(NOTHING)
        self.news = 0
        self.slots: list[int] | None = None


class Tally:
    """Five-fold counts (one for each result word) by label values.

    A row whose five counts are all zero does not exist. ``changed`` holds the rows with news, those
    that vanished included; whoever projects the rows takes from it, and resets their ``news``.
    """

    def __init__(self) -> None:
        self.rows: dict[Labels, Five] = {}
        self.changed: dict[Labels, Five] = {}

    def add(self, labels: Labels, index: int, amount: int) -> None:
        """Add *amount* to one of the five counts of a row."""
        row = self.rows.get(labels)
        if row is None:
            row = self.rows[labels] = self.changed[labels] = Five()
            row.news = EVERY
        row[index] += amount
        if not row.news:
            self.changed[labels] = row
        if row[index] or any(row):
            row.news |= 1 << index
        else:
            del self.rows[labels]
            row.news = EVERY

    def touch(self, rows: Iterable[Labels]) -> None:
        """Let rows, as far as they exist, be news altogether, wherever they were shown."""
        for labels in rows:
            row = self.rows.get(labels)
            if row is not None:
                row.news, row.slots = EVERY, None
                self.changed[labels] = row

    def add_all(self, labels: Labels, amounts: Sequence[int], times: int = 1) -> None:
        """Add five amounts, *times* times each."""
        for index, amount in enumerate(amounts):
            if amount:
                self.add(labels, index, amount * times)


class Gauge:
    """One number by label values."""

    def __init__(self) -> None:
        self.rows: dict[Labels, float] = {}
        self.changed: set[Labels] = set()

    def add(self, labels: Labels, amount: int) -> None:
        """Add *amount* to a row; a sum of zero removes it."""
        self.put(labels, self.rows.get(labels, 0) + amount or None)

    def put(self, labels: Labels, value: float | None) -> None:
        """Set a row, zero included; None removes it."""
        if value is not None:
            self.rows[labels] = value
        elif self.rows.pop(labels, None) is None:
            return
        self.changed.add(labels)


class Minimum:
    """The least of the values that stand now, by label values."""

    def __init__(self) -> None:
        self.least = Gauge()
        self._standing: dict[Labels, Least[int]] = {}

    def add(self, labels: Labels, value: int) -> None:
        """Let one more *value* stand."""
        standing = self._standing.get(labels)
        if standing is None:
            standing = self._standing[labels] = Least()
        standing.add(value)
        if value < self.least.rows.get(labels, float("inf")):
            self.least.put(labels, value)

    def remove(self, labels: Labels, value: int) -> None:
        """Take away one *value* that stood."""
        standing = self._standing[labels]
        standing.remove(value)
        if not standing:
            del self._standing[labels]
        if standing.least != self.least.rows.get(labels):
            self.least.put(labels, standing.least)


class Counters:
    """Counts that only grow, by label values.

    At most *limit* label sets are told apart, and at most ``SHARE`` of any one value of the first
    label (the namespace), so that whoever can cause occurrences fills neither the memory nor the
    room of the others; what comes later counts in a row of its namespace whose other labels say
    ``__overflow__``. Sums stay exact.

    ``shown`` is what may be told to others. With checkpoints that is what the last durable one
    holds (``publish``), so that a crash can never take back what was shown.

    ``unborn`` are rows that nobody was shown at 0 for long enough yet; who shows them takes them
    out. For others they count as unborn until a checkpoint knows that they are not.
    """

    def __init__(self, limit: int) -> None:
        self.rows: dict[Labels, int] = {}
        self.shown: dict[Labels, int] = self.rows
        self.changed: set[Labels] = set()
        self.unborn: set[Labels] = set()
        self._unborn_durably: AbstractSet[Labels] = frozenset()
        self.folded = 0
        self._limit = limit
        self._told: Counter[str] = Counter()

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Count *amount* occurrences."""
        if labels in self.rows:
            if not amount:
                return
        else:
            wanted, labels = labels, fit(labels, self.rows, self._told, self._limit)
            self.folded += labels is not wanted
        if labels not in self.rows:
            self.unborn.add(labels)
        self.rows[labels] = self.rows.get(labels, 0) + amount
        if self.shown is self.rows:
            self.changed.add(labels)

    def is_unborn(self, labels: Labels) -> bool:
        """Say whether a row must still be shown at 0."""
        return labels in self.unborn or labels in self._unborn_durably

    def publish(self, rows: dict[Labels, int], unborn: AbstractSet[Labels] = frozenset()) -> None:
        """Show *rows*, a copy of what a checkpoint has made durable, as it has *unborn*."""
        self.changed.update(k for k, value in rows.items() if self.shown.get(k) != value)
        self.changed.update(k for k in self._unborn_durably - unborn if k in rows)
        self.shown = rows
        self._unborn_durably = unborn

    def restore(self, rows: dict[Labels, int], unborn: AbstractSet[Labels] = frozenset()) -> None:
        """Begin with the counts of a checkpoint."""
        self.rows = dict(rows)
        self._told = Counter(labels[0] for labels in rows)
        self.unborn = set(unborn)
        self.shown = {}
        self.publish(rows, frozenset(unborn))

    def raise_to(self, labels: Labels, value: int, *, unborn: bool) -> None:
        """Let a row be at least *value*; where there was none, it is *unborn* or not."""
        before = self.rows.get(labels)
        if before is None:
            self._told[labels[0]] += 1
            if unborn:
                self.unborn.add(labels)
        if before is None or before < value:
            self.rows[labels] = value
            self.changed.add(labels)


def fit(labels: Labels, rows: Collection[Labels], told: Counter[str], limit: int) -> Labels:
    """Give the row in which *labels* count beside *rows*: their own while there is room.

    *told* holds how many rows each value of the first label has.
    """
    if labels in rows:
        return labels
    if len(rows) >= limit or told[labels[0]] >= SHARE:
        return overflow(labels, rows, limit)
    told[labels[0]] += 1
    return labels


def overflow(labels: Labels, told: Collection[Labels], limit: int) -> Labels:
    """Give the labels of the row that takes what does not fit beside the rows *told*.

    The namespace stays, for the first ``CROWD`` that overflow beyond *limit*: Events in the
    namespace ``default`` may name any number of namespaces that do not exist.
    """
    row = (labels[0], *(OVERFLOW for _ in labels[1:]))
    if row in told or len(told) < limit + CROWD:
        return row
    return tuple(OVERFLOW for _ in labels)
