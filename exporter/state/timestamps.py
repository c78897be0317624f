"""The newest and the oldest timestamps of results: what no scan renews any more."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from math import inf, nextafter
from typing import Final

from exporter.model.report import EARLIEST_SECONDS, Piece, Report, clip, source_of
from exporter.state.contribution import Contribution, Group, direct_group, group_of, parts
from exporter.state.profile import Outcome, Profile, Verdict
from exporter.state.report_store import Dated, ReportKey, ReportStores
from exporter.state.selection import Selection
from exporter.state.shares import MAX_SOURCES, NamesInShares
from exporter.state.tally import OVERFLOW, Gauge, Labels

LAG: Final = 3600.0
"""Seconds; the interval of Kyverno's scans.

After a change of a policy Kyverno renews the results of that policy alone until the next scan, so a
result that is older than others of its report by no more than this is no sign of anything.
"""

SWEEP_SECONDS: Final = 900.0
"""Between two passes over all reports for the oldest results."""

MOST_CHECKS: Final = 10_000
"""Policies whose oldest result has a number of its own; those with the oldest come first."""

_SLICE: Final = 200
_MOST_PROFILES: Final = 10_000


class NewestTimestamps(Gauge):
    """The newest timestamp of each source (Unix seconds) that is not in the future.

    At most MAX_SOURCES have rows; the newest of all others is in the row ``__overflow__``.
    """

    def __init__(self, selection: Selection, clock: Callable[[], float]) -> None:
        super().__init__()
        self._selection = selection
        self._clock = clock
        self._newest: dict[str, float] = {}
        self._names = NamesInShares[str](MAX_SOURCES)

    def note(self, report: Report) -> None:
        """Note the timestamps of a report; most often none is newer."""
        named = self._names.of(report.metadata.namespace)
        for piece in report.pieces:
            source = piece.result_set.source
            if source is not None:
                source = source or report.source
                if source in named and piece.newest <= self._newest[source]:
                    continue
            if piece.result_set.raw_results:
                self._look(report, piece)

    def _look(self, report: Report, piece: Piece) -> None:
        """Note the timestamps of a piece of a report, one of which may be newer."""
        namespace, chosen = report.metadata.namespace, self._names.chosen
        source = piece.result_set.source
        if source is not None and piece.newest <= self._clock():
            self._raise(namespace, source or report.source, piece.newest, chosen)
        else:
            for raw_result, stamp in zip(piece.result_set.raw_results, piece.stamps, strict=True):
                self._raise(namespace, raw_result[5] or report.source, stamp, chosen)
        if self._names.chosen is not chosen:
            self._show_all()

    def go_on_from(self, former: "NewestTimestamps") -> None:
        """Let no source that is known here have an older timestamp than it had in *former*."""
        for source, seconds in former._newest.items():  # noqa: SLF001 - one of the same class
            if seconds > self._newest.get(source, seconds):
                self._newest[source] = seconds
        self._show_all()

    def _raise(self, namespace: str, source: str, seconds: float, chosen: AbstractSet[str]) -> None:
        if 0 < seconds <= self._clock() and self._selection.source(source):
            source = clip(source)
            own = source if self._names.add(namespace, source) else OVERFLOW
            if seconds > self._newest.get(own, 0):
                self._newest[own] = seconds
                row = (own if own in chosen else OVERFLOW,)
                if seconds > self.rows.get(row, 0):
                    self.put(row, seconds)

    def _show_all(self) -> None:
        """Set the rows again, as other sources have rows of their own now."""
        chosen, rows = self._names.chosen, dict[Labels, float]()
        for source, seconds in self._newest.items():
            row = (source if source in chosen else OVERFLOW,)
            rows[row] = max(seconds, rows.get(row, 0))
        for labels in {*self.rows, *rows}:
            if self.rows.get(labels) != rows.get(labels):
                self.put(labels, rows.get(labels))


class OldestTimestamps(Gauge):
    """The oldest plausible timestamp (Unix seconds) of the results of a policy, by its source.

    A scan rewrites every timestamp, and only what it leaves out is of interest, so nothing is kept
    in order: every SWEEP_SECONDS one pass looks at all reports, a few at a time. ``is_known`` says
    that one has ended.
    """

    def __init__(self, stores: ReportStores, clock: Callable[[], float]) -> None:
        super().__init__()
        self._stores = stores
        self._clock = clock
        self.is_known = False
        self._swept_at = inf
        self._sweep: Iterator[int] | None = None

    def restart(self) -> None:
        """Read all reports at the next chance: a list has ended."""
        self._swept_at, self._sweep = -inf, None

    def take(self) -> int:
        """Do a part of what is due; return about how much, 0 where nothing is."""
        if self._sweep is None:
            now = self._clock()
            if self._swept_at == inf or 0 <= now - self._swept_at < SWEEP_SECONDS:
                return 0
            self._swept_at, self._sweep = now, self._look(now)
        cost = next(self._sweep, None)
        if cost is None:
            self._sweep = None
        return cost or 1

    def _look(self, now: float) -> Iterator[int]:
        """Read all reports; yields about how much it did wherever others can work."""
        oldest: dict[Verdict, float] = {}
        known: dict[Profile, float] = {}
        latest = nextafter(now, inf)
        for slot, store in enumerate(self._stores.stores):
            for namespace in store.namespaces():
                names = store.listed(namespace)
                for first in range(0, len(names), _SLICE):
                    cost = _SLICE // 8
                    part = names[first : first + _SLICE]
                    for profile, date in self._profiles(slot, namespace, part, known, latest):
                        _take(oldest, profile, date, now)
                        cost += len(profile.rows) // 4
                        if cost > _SLICE:
                            yield cost
                            cost = 0
                    yield cost
        self._show(oldest)

    def _profiles(
        self,
        slot: int,
        namespace: str,
        names: Iterable[str],
        known: dict[Profile, float],
        latest: float,
    ) -> Iterator[tuple[Profile, float | Dated]]:
        """Give the profiles of some reports and their timestamps where that may be news.

        Nearly every report has one profile and one timestamp that is no older than those seen
        before, in *known*, so that most often this costs two look-ups.
        """
        store, other = self._stores.stores[slot], self._stores.stores[1 - slot]
        find, dates, alone = store.finder(namespace), store.dates(namespace), other.is_empty
        if find is None:
            return
        for name in names:
            contribution = find(name)
            if not alone:
                contribution = self._stores.counting(ReportKey(namespace, name))[slot]
            date = dates.get(name, 0.0)
            group = contribution if isinstance(contribution, Group) else None
            if group is None and contribution is not None:
                group = direct_group(contribution)
            if group is None or isinstance(date, Dated):
                for part in parts(contribution):
                    yield group_of(part).profile, date
            elif EARLIEST_SECONDS <= date < known.get(group.profile, latest):
                if len(known) >= _MOST_PROFILES:
                    known.clear()
                known[group.profile] = date
                yield group.profile, date

    def _show(self, oldest: Mapping[Verdict, float]) -> None:
        found: dict[Labels, float] = {}
        for verdict, stamp in oldest.items():
            labels: Labels = (verdict.outcome.policy, verdict.outcome.source)
            found[labels] = min(stamp, found.get(labels, stamp))
        if len(found) > MOST_CHECKS:
            by_age = sorted(found, key=lambda labels: (found[labels], labels))
            rest = min(found[labels] for labels in by_age[MOST_CHECKS:])
            found = {labels: found[labels] for labels in by_age[:MOST_CHECKS]}
            labels = (OVERFLOW, OVERFLOW)
            found[labels] = min(rest, found.get(labels, rest))
        self.is_known = True
        for labels in {*self.rows, *found}:
            if self.rows.get(labels) != found.get(labels):
                self.put(labels, found.get(labels))


def _take(oldest: dict[Verdict, float], profile: Profile, date: float | Dated, now: float) -> None:
    """Take up when a report's results were written, as far as that is plausible."""
    if not isinstance(date, Dated):
        for verdict in profile.rows if EARLIEST_SECONDS <= date <= now else ():
            if date < oldest.get(verdict, inf):
                oldest[verdict] = date
        return
    stamps = zip(date.lagging, date.oldest, strict=True)
    lagging = {(outcome.policy, outcome.source): stamp for outcome, stamp in stamps}
    for verdict in profile.rows:
        stamp = lagging.get((verdict.outcome.policy, verdict.outcome.source), date.newest)
        if EARLIEST_SECONDS <= stamp <= now and stamp < oldest.get(verdict, inf):
            oldest[verdict] = stamp


def date_of(
    report: Report, contribution: Contribution | None, results: AbstractSet[str]
) -> float | Dated:
    """Give the timestamps of a report whose results do not have the same one.

    *results* are the words that count.
    """
    newest, oldest = report.newest, dict[tuple[str, str], float]()
    for piece in map(Piece.current, report.pieces):
        for raw_result, stamp in zip(piece.result_set.raw_results, piece.stamps, strict=True):
            policy, rule, word, _, _, source = raw_result
            if EARLIEST_SECONDS <= stamp < newest - LAG and word in results:
                key = clip(policy), clip(source_of(policy, rule, source or report.source))
                oldest[key] = min(stamp, oldest.get(key, stamp))
    if not oldest:
        return newest
    lagging: dict[tuple[str, str], tuple[Outcome, float]] = {}
    for profile in {group_of(part).profile: None for part in parts(contribution)}:
        for verdict in profile.rows:
            key = (verdict.outcome.policy, verdict.outcome.source)
            if stamp := min(oldest.values()) if profile.key.folded else oldest.get(key, 0):
                lagging[key] = verdict.outcome, stamp
    outcomes, stamps = zip(*lagging.values(), strict=True) if lagging else ((), ())
    return Dated(newest, outcomes, stamps)
