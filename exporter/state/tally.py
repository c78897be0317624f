"""Gauges and counters by label values, which record what changed since they were last read."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

Labels = tuple[str, ...]
Counts = tuple[int, int, int, int, int]
FiveFold = Mapping[Labels, Sequence[int]]
"""Five counts, one for each result word, by label values."""
NOTHING: Final[Counts] = (0, 0, 0, 0, 0)
OVERFLOW: Final = "__overflow__"
SHARE: Final = 10_000
"""Rows of one namespace (value of the first label) that are counted separately."""
OVERFLOWING: Final = 10_000
"""Rows above the limit in which namespaces count what exceeds it, one row each or a few."""
_PARTS: Final = 10
WORDS: Final = len(NOTHING)


class Tally(Mapping[Labels, Counts]):
    """Five-fold counts (one for each result word) by label values.

    A row whose five counts are all zero does not exist. As long as it does, its counts are five
    neighbours in ``cells``, and the number of the first may be kept to count in it again.

    ``changed`` holds the cells with news, each once: those that changed since the last look.
    A projection takes them, and may set in ``shown`` which cells it reads at each snapshot: these
    are news only when they come from 0 or get there. ``always`` are the words, by index, that a
    row shows even at 0, and so when it appears or goes.
    """

    def __init__(self, always: Sequence[int] = ()) -> None:
        self.always = always
        self.cells: list[int] = []
        self.changed: list[int] = []
        self.shown = bytearray()
        self._rows: dict[Labels, int] = {}
        self._labels: list[Labels] = []
        self._has_news = bytearray()
        self._gone: dict[Labels, int] = {}
        self._free: list[int] = []

    def __getitem__(self, labels: Labels) -> Counts:
        return self._counts(self._rows[labels])

    def __iter__(self) -> Iterator[Labels]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, labels: Labels, index: int, amount: int) -> None:
        """Add *amount* to one of the five counts of a row."""
        self.count((self.row(labels) + index,), amount)

    def add_all(self, labels: Labels, amounts: Sequence[int], times: int = 1) -> None:
        """Add five amounts, *times* times each."""
        if any(amounts):
            for cell, amount in enumerate(amounts, self.row(labels)):
                if amount:
                    self.count((cell,), amount * times)

    def row(self, labels: Labels) -> int:
        """Give the first cell of a row. If there was none there is now: count in it."""
        row = self._rows.get(labels)
        return self._appear(labels) if row is None else row

    def count(self, cells: Iterable[int], amount: int) -> None:
        """Add *amount* to each of these counts, of rows that exist."""
        counts, shown = self.cells, self.shown
        for cell in cells:
            before = counts[cell]
            counts[cell] = after = before + amount
            if before and after and shown[cell]:
                continue
            self._note(cell)
            if not after:
                self._vanish_if_empty(cell)

    def take(self, most: int) -> list[int]:
        """Take at most *most* cells with news from those that changed."""
        first = max(len(self.changed) - most, 0)
        taken, self.changed[first:] = self.changed[first:], ()
        for cell in taken:
            self._has_news[cell] = False
        return taken

    def forget(self) -> None:
        """Forget rows that are gone, once changes were taken or where no projection takes them."""
        self.take(len(self.changed))
        for row in self._gone.values():
            self._labels[row // WORDS] = ()
            self._free.append(row)
        self._gone.clear()

    def touch(self, rows: Iterable[Labels]) -> None:
        """Let rows, as far as they exist, be news altogether."""
        for labels in rows:
            if labels in self._rows:
                self._note_words(self._rows[labels], range(WORDS))

    def show_all(self) -> None:
        """Let everything be news, to a projection that shows nothing of it yet."""
        self.shown = bytearray(len(self.cells))
        self.touch(self._rows)

    def about(self, cell: int) -> tuple[Labels, bool]:
        """Give the labels of a cell's row, and whether it exists."""
        row = cell - cell % WORDS
        return self._labels[row // WORDS], self._counts(row) != NOTHING

    def _counts(self, row: int) -> Counts:
        cells = self.cells
        return (cells[row], cells[row + 1], cells[row + 2], cells[row + 3], cells[row + 4])

    def _appear(self, labels: Labels) -> int:
        if labels in self._gone:
            row = self._gone.pop(labels)
        elif self._free:
            row = self._free.pop()
        else:
            row = len(self.cells)
            self.cells += NOTHING
            self._has_news += bytes(WORDS)
            self.shown += bytes(WORDS)
            self._labels.append(labels)
        self._rows[labels] = row
        self._labels[row // WORDS] = labels
        self._note_words(row, self.always)
        return row

    def _vanish_if_empty(self, cell: int) -> None:
        row = cell - cell % WORDS
        if self._counts(row) == NOTHING:
            labels = self._labels[row // WORDS]
            del self._rows[labels]
            self._gone[labels] = row
            self._note_words(row, self.always)

    def _note_words(self, row: int, words: Sequence[int]) -> None:
        for word in words:
            self._note(row + word)

    def _note(self, cell: int) -> None:
        """Let a count be news."""
        if not self._has_news[cell]:
            self._has_news[cell] = True
            self.changed.append(cell)


class Gauge:
    """One number by label values."""

    def __init__(self) -> None:
        self.rows: dict[Labels, float] = {}
        self.changed: set[Labels] = set()

    def add(self, labels: Labels, amount: int) -> None:
        """Add *amount* to a row; a sum of zero removes it."""
        rows = self.rows
        total = rows.get(labels, 0) + amount
        if total:
            rows[labels] = total
        elif rows.pop(labels, None) is None:
            return
        self.changed.add(labels)

    def put(self, labels: Labels, value: float | None) -> None:
        """Set a row, zero included; None removes it."""
        if value is not None:
            self.rows[labels] = value
        elif self.rows.pop(labels, None) is None:
            return
        self.changed.add(labels)

    def forget(self) -> None:
        """Let what changed be no news."""
        self.changed.clear()


class Counters:
    """Counts that only grow, by label values.

    - ``rows``: what was counted. At most *limit* rows, and at most ``SHARE`` of one namespace (the
      first label); further occurrences count in a row of their namespace whose other labels,
      except those at *kept*, are ``__overflow__`` (``fit``), so sums stay exact.
    - ``shown``: what is exposed. Without checkpoints, ``rows`` itself; with checkpoints, the rows
      of the last durable one (``publish``), so that a crash never decreases an exposed value.
    - ``changed``: rows of ``shown`` that changed; a projection takes them from it.
    - ``unborn``: rows whose series must be exposed at 0 first. ``add`` adds new rows. A projection
      removes a row once 0 was exposed for long enough, and checkpoint.capture one that a former
      exporter has exposed. ``is_unborn`` stays True until a durable checkpoint has recorded that.
    - ``folded``: how many occurrences counted as ``__overflow__`` on their first appearance.
    """

    def __init__(self, limit: int, kept: AbstractSet[int] = frozenset()) -> None:
        self.rows: dict[Labels, int] = {}
        self.shown: dict[Labels, int] = self.rows
        self.changed: set[Labels] = set()
        self.unborn: set[Labels] = set()
        self._unborn_durably: AbstractSet[Labels] = frozenset()
        self.folded = 0
        self._limit = limit
        self._kept = kept
        self._sizes: Counter[str] = Counter()

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Count *amount* occurrences."""
        if labels in self.rows:
            if not amount:
                return
        else:
            wanted, labels = (
                labels,
                fit(labels, self.rows, self._sizes, self._limit, self._kept),
            )
            self.folded += labels is not wanted
        if labels not in self.rows:
            self.unborn.add(labels)
        self.rows[labels] = self.rows.get(labels, 0) + amount
        if self.shown is self.rows:
            self.changed.add(labels)

    def forget(self) -> None:
        """Let what changed be no news."""
        self.changed.clear()

    def is_unborn(self, labels: Labels) -> bool:
        """Return whether a row must still be shown at 0."""
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
        self._sizes = Counter(labels[0] for labels in rows)
        self.unborn = set(unborn)
        self.shown = {}
        self.publish(rows, frozenset(unborn))

    def show_at_least(self, shown: Mapping[Labels, int]) -> dict[Labels, int]:
        """Let nothing that is shown be below what was shown; return what would have been."""
        higher = {k: value for k, value in shown.items() if value > self.shown.get(k, 0)}
        if higher:
            self.publish({**self.shown, **higher}, self._unborn_durably)
        return higher

    def raise_to(self, labels: Labels, value: int, *, unborn: bool) -> None:
        """Let a row be at least *value*; where there was none, it is *unborn* or not."""
        before = self.rows.get(labels)
        if before is None:
            self._sizes[labels[0]] += 1
            if unborn:
                self.unborn.add(labels)
        if before is None or before < value:
            self.rows[labels] = value
            self.changed.add(labels)


def fit(
    labels: Labels,
    rows: Collection[Labels],
    sizes: Counter[str],
    limit: int,
    kept: AbstractSet[int] = frozenset(),
) -> Labels:
    """Return the row in which *labels* count next to *rows*: their own while there is room.

    *sizes* has the number of rows of each namespace (the first label), and is updated. A namespace
    has at most ``SHARE``, and at most a tenth of the room that is left, so there is always some
    for the next one.
    """
    if labels in rows:
        return labels
    room = limit - len(rows)
    if room <= 0 or sizes[labels[0]] >= min(SHARE, max(room // _PARTS, 1)):
        return overflow(labels, rows, limit, kept)
    sizes[labels[0]] += 1
    return labels


def overflow(
    labels: Labels, rows: Collection[Labels], limit: int, kept: AbstractSet[int] = frozenset()
) -> Labels:
    """Return the row that counts what does not fit next to *rows*.

    Labels at *kept*, which have few possible values, are unchanged. So is the namespace, as long
    as there are fewer than *limit* + ``OVERFLOWING`` rows: Events in the namespace ``default`` can
    name any number of namespaces that do not exist.
    """
    row = tuple(each if not i or i in kept else OVERFLOW for i, each in enumerate(labels))
    if OVERFLOW not in row:  # of labels that all stay nothing would fold
        row = (labels[0], *(OVERFLOW for _ in labels[1:]))
    if row in rows or len(rows) < limit + OVERFLOWING:
        return row
    return (OVERFLOW, *row[1:])
