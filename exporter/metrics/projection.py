"""From a family's part of the state to its series: what changed, and only that."""

from collections.abc import Callable, Iterable
from typing import Final

from exporter.metrics.catalogue import Family, FamilyData
from exporter.metrics.segments import Segments, SegmentSnapshot
from exporter.metrics.series import Series
from exporter.model.report import RESULTS
from exporter.state.cluster import ClusterState
from exporter.state.contribution import CONTROLLED
from exporter.state.tally import WORDS, Counters, Gauge, Labels, Tally

ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

KEPT: Final = frozenset({"controlled", "result", "status", "severity", "outcome"})
"""Labels of few possible values, which series of folded rows keep."""


class Projection:
    """Keeps the series of one family in step with the state.

    *drop* takes labels away (sums stay exact over what is left), ``extra_names`` are labels that
    namespaces have and their series get. Without *controlled*, rows of objects that another
    reported object owns have no series.
    """

    def __init__(  # noqa: PLR0913 - the settings of one family
        self,
        family: Family,
        state: ClusterState,
        *,
        limit: int,
        drop: frozenset[str] = frozenset(),
        extra_names: tuple[str, ...] = (),
        birth_hold: float = 0.0,
        words: frozenset[str] | None = None,
        controlled: bool = True,
    ) -> None:
        self.family = family
        self.source = family.read(state)
        kept = [i for i, name in enumerate(family.labels) if name not in drop]
        self.labels = tuple(family.labels[i] for i in kept)
        self.extra_names = extra_names if "namespace" in self.labels else ()
        self._namespaces = state.namespaces
        counts = self.source if isinstance(self.source, Tally) else None
        form = "%a" if family.fractional else "%d"
        self._segments = Segments(_prefix(self), form, counts)
        keep = None if len(kept) == len(family.labels) else kept
        self.series = Series(
            self._segments,
            limit,
            keep,
            family.join,
            fair=self.labels[:1] == ("namespace",),
            movable=not isinstance(self.source, Counters),
            kept=frozenset(i for i, name in enumerate(self.labels) if name in KEPT),
        )
        self.zero_first = ZeroFirst(self.source, birth_hold)
        self._words = words
        self._word_at = family.word_at if family.word else 0
        self._result_at = family.labels.index("result") if words is not None else -1
        is_chosen = not controlled and "controlled" in family.labels
        self._controlled_at = family.labels.index("controlled") if is_chosen else -1
        if isinstance(self.source, Tally):
            self.source.show_all()
        else:
            self._touch(self.source.rows)

    def owner(self, namespace: str) -> tuple[str, ...]:
        """Give the values of the extra labels of a namespace's series."""
        unknown = ("",) * len(self.extra_names)
        return self._namespaces.labels.get(namespace, unknown) if self.extra_names else ()

    def relabel(self, namespaces: set[str]) -> None:
        """Rewrite the series of namespaces whose labels changed."""
        if self.extra_names:
            self._segments.rewrite(lambda labels: labels[0] in namespaces)

    @property
    def behind(self) -> bool:
        """Whether anything is left to be taken up."""
        return bool(self.source.changed) or self.series.behind

    def settle(self, most: int) -> None:
        """Take up at most *most* changes."""
        source = self.source
        self.series.file(most)
        if isinstance(source, Tally):
            most -= self._settle_counts(source, most)
        else:
            while source.changed and most > 0:
                self._project(source.changed.pop())
                most -= 1
        self.series.settle(max(most, 1))
        if not source.changed:
            source.forget()  # what was large stays so until this

    def snapshot(self, now: float) -> SegmentSnapshot:
        """Take the series of this moment."""
        self._touch(self.zero_first.due(now))
        self.settle(1 << 60)
        if not isinstance(self.source, Counters):
            self._touch(map(self._origin, self.series.unfold()))
            self.settle(1 << 60)
        return self.series.snapshot()

    def _origin(self, row: Labels) -> Labels:
        """Give the labels in the state of a row: five-fold counts keep the word elsewhere."""
        if not isinstance(self.source, Tally):
            return row
        return row[: self._word_at] + row[self._word_at + 1 :]

    def _touch(self, rows: Iterable[Labels]) -> None:
        """Take rows up again at the next chance."""
        if isinstance(self.source, Tally):
            self.source.touch(rows)
        else:
            self.source.changed.update(rows)

    def _project(self, row: Labels) -> None:
        if self._controlled_at >= 0 and row[self._controlled_at] == CONTROLLED:
            return
        match self.source:
            case Gauge():
                if self._words is None or row[self._result_at] in self._words:
                    self.series.put(row, self.source.rows.get(row))
            case Counters():
                value = self.source.shown.get(row)
                self.series.put(row, 0 if value and self.zero_first.held(row) else value)

    def _settle_counts(self, tally: Tally, most: int) -> int:
        """Show at most *most* counts that changed; return how many."""
        taken = tally.take(most)
        for cell in taken:
            self._show(tally, cell)
        return len(taken)

    def _show(self, tally: Tally, cell: int) -> None:
        """Show a count, or no more."""
        (labels, exists), index = tally.about(cell), cell % WORDS
        if self._controlled_at >= 0 and labels[self._controlled_at] == CONTROLLED:
            return  # the label is before the word, so it has the same place with and without it
        count = tally.cells[cell]
        worded = self._worded(labels, index)
        shown = count or (exists and index in tally.always)
        self.series.put(worded, count if shown else None, cell)

    def _worded(self, labels: Labels, index: int) -> Labels:
        """Give the labels under which one of the five counts of a row is shown."""
        at = self._word_at
        return (*labels[:at], RESULTS[index], *labels[at:])


class ZeroFirst:
    """Counter series that are shown at 0 before they take their value.

    increase() never counts a series' first sample, so a series that is born at 1 loses its
    first, often only, occurrence. Held back until *hold* seconds after 0 was first shown.
    """

    def __init__(self, source: FamilyData, hold: float) -> None:
        self._counters = source if isinstance(source, Counters) else Counters(0)
        self._hold = hold
        self._shown_at: dict[Labels, float | None] = {}

    def go_on_from(self, former: "ZeroFirst") -> None:
        """Remember since when *former* has shown at 0 what still is."""
        for row, at in former._shown_at.items():  # noqa: SLF001 - one of the same class
            if row in self._counters.unborn:
                self._shown_at[row] = at

    def held(self, row: Labels) -> bool:
        """Return whether a series still shows 0."""
        if not self._hold or not self._counters.is_unborn(row):
            return False
        if row in self._counters.unborn:
            self._shown_at.setdefault(row, None)
        return True

    def due(self, now: float) -> list[Labels]:
        """Name the series that may show their value from now on."""
        if not self._hold:
            self._counters.unborn.clear()
        due = [r for r, at in self._shown_at.items() if at is not None and now - at >= self._hold]
        for row in due:
            del self._shown_at[row]
            self._counters.unborn.discard(row)
        return due

    def pending(self) -> list[Labels]:
        """Name the series at 0 that no rendered scrape has shown."""
        return [row for row, at in self._shown_at.items() if at is None]

    def shown(self, rows: Iterable[Labels], now: float) -> None:
        """Note that a scrape of the moment *now* has shown these rows."""
        for row in rows:
            if row in self._shown_at and self._shown_at[row] is None:
                self._shown_at[row] = now


def _prefix(projection: Projection) -> Callable[[Labels], str]:
    """Write a series up to its value."""
    name = projection.family.name
    names = list(projection.labels)
    if projection.extra_names:
        names[1:1] = projection.extra_names
    form = name + "{" + ",".join(f'{label}="%s"' for label in names) + "} "

    def write(labels: Labels) -> str:
        if projection.extra_names:
            labels = (labels[0], *projection.owner(labels[0]), *labels[1:])
        text = form % labels
        if "\\" in text or "\n" in text or text.count('"') != 2 * len(labels):
            return form % tuple(value.translate(ESCAPES) for value in labels)
        return text

    return write
