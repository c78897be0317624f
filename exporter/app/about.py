"""Self-metrics of one exporter that are read at scrape time."""

from collections.abc import Iterable, Iterator, Sequence

from exporter.app.scrape import loop_lag
from exporter.metrics.exposition import Exposition
from exporter.metrics.self_metrics import Row, SelfMetrics, follow
from exporter.model.report import RESULTS
from exporter.state.cluster import ClusterState
from exporter.state.tally import Counters
from exporter.watch.reflector import Reflector


class ExporterRows:
    """The self-metrics of one exporter; of two beside each other, one exposes them."""

    def __init__(
        self,
        state: ClusterState,
        exposition: Exposition,
        reflectors: Sequence[Reflector],
        self_metrics: SelfMetrics,
    ) -> None:
        self._state = state
        self._exposition = exposition
        self._reflectors = reflectors
        self._self_metrics = self_metrics
        self._folded_before: dict[str, float] = {}

    def expose(self, former: "ExporterRows | None" = None) -> None:
        """Expose the rows of this exporter from now on, instead of those of *former*."""
        if former is not None:
            self._fold_on(former)
        readings = self._self_metrics.readings
        follow(readings, lambda: ((f.scope.resource.name, f) for f in self._reflectors))
        readings.on("event_loop_lag_seconds", loop_lag)
        readings.on("objects", self._objects)
        readings.on("results_left_out", self._left_out)
        readings.on("results_not_itemised", self._not_itemised)
        readings.on("reports_cut", lambda: [((), self._state.ledger.totals.cut_reports)])
        readings.on("events_ignored_total", self._ignored)
        readings.on("series", self._series)
        readings.on("series_limit", self._limits)
        readings.on("series_folded_total", self._folded)

    def _fold_on(self, former: "ExporterRows") -> None:
        """Continue the counters of *former*: what it had folded was folded here again."""
        now = dict(self._folded())
        for labels, value in former._folded():  # noqa: SLF001 - one of the same class
            self._folded_before[labels[0]] = max(value - now.get(labels, 0), 0)

    def _objects(self) -> Iterator[Row]:
        counts = self._state.objects()
        for name in sorted({f.scope.resource.name for f in self._reflectors}):
            yield (name,), counts.get(name, 0)

    def _left_out(self) -> Iterable[Row]:
        return [(key, n) for key, n in self._state.ledger.left_out.by_source.items()]

    def _not_itemised(self) -> Iterator[Row]:
        columns = zip(*self._state.ledger.totals.not_itemised.values(), strict=True)
        for word, column in zip(RESULTS, columns, strict=False):
            yield (word,), sum(column)

    def _ignored(self) -> Iterable[Row]:
        return [((key,), n) for key, n in self._state.violation_events.ignored.items()]

    def _series(self) -> Iterable[Row]:
        return [((p.family.name,), len(p.series)) for p in self._exposition.projections]

    def _limits(self) -> Iterable[Row]:
        return [((p.family.name,), p.series.limit) for p in self._exposition.projections]

    def _folded(self) -> Iterator[Row]:
        for projection in self._exposition.projections:
            folded = projection.series.folded_total
            if isinstance(projection.source, Counters):
                folded += projection.source.folded
            elif projection.source is self._state.ledger.totals.results:
                folded += self._state.ledger.folded
            name = projection.family.name
            yield (name,), folded + self._folded_before.get(name, 0)
