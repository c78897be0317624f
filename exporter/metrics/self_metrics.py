"""The exporter's metrics about itself, kept by prometheus-client."""

import platform
import sys
from collections import Counter as TallyOf
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest as text_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_latest

from exporter import __version__
from exporter.metrics.self_catalogue import OWN, OwnFamily

Row = tuple[tuple[str, ...], float]
BUCKETS: Final = (0.01, 0.05, 0.25, 1.0, 5.0, 30.0)
"""Seconds of requests to the API server; few, for each verb of each resource has all of them."""


class Followed(Protocol):
    """What a reflector reports about itself; times are Unix seconds, 0 for never."""

    up: bool
    synced: bool
    served: bool
    last_sync: float

    @property
    def last_change(self) -> float:
        """When it last gave a change."""
        ...


class Readings:
    """Own families that are read at scrape time instead of being kept: name to rows."""

    def __init__(self) -> None:
        self._read: dict[str, Callable[[], Iterable[Row]]] = {}

    def on(self, name: str, read: Callable[[], Iterable[Row]]) -> None:
        """Read the family *name* (without prefix) from *read* at each scrape."""
        self._read[name] = read

    def collect(self) -> Iterator[Metric]:
        """Give the families as prometheus-client wants them."""
        for family in OWN:
            if family.name in self._read:
                yield _metric(family, self._read[family.name]())


class Chosen(CollectorRegistry):
    """Those families of a registry that are asked for by their name or by that of a sample.

    prometheus-client's own restriction knows only what was there when a collector registered.
    """

    def __init__(self, registry: CollectorRegistry, names: frozenset[str]) -> None:
        super().__init__()
        self._all = registry
        self._names = names

    def collect(self) -> Iterator[Metric]:
        """Give the families that are asked for."""
        for metric in self._all.collect():
            if self._names & {metric.name, *(sample.name for sample in metric.samples)}:
                yield metric


class SelfMetrics:
    """Counters and gauges about the exporter; its methods are what the loops observe with."""

    def __init__(self, version: str, revision: str = "") -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self.readings = Readings()
        self.skips: TallyOf[tuple[str, str]] = TallyOf()
        self._kept: dict[str, Counter | Gauge | Histogram] = {}
        self._children: dict[tuple[str, ...], Counter] = {}
        self.registry.register(self.readings)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        python = platform.python_version()
        self.gauge("build_info", version, revision, python).set(1)
        for family in OWN:
            if family.type == "counter" and not family.labels:
                self.counter(family.name)

    def counter(self, name: str, *labels: str) -> Counter:
        """Give a counter of the own catalogue; *labels* are its values."""
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            metric = self._metric(name)
            assert isinstance(metric, Counter)  # noqa: S101 - the catalogue says so
            child = self._children[key] = metric.labels(*labels) if labels else metric
        return child

    def gauge(self, name: str, *labels: str) -> Gauge:
        """Give a gauge of the own catalogue; *labels* are its values."""
        metric = self._metric(name)
        assert isinstance(metric, Gauge)  # noqa: S101 - the catalogue says so
        return metric.labels(*labels) if labels else metric

    def forget(self, name: str, *labels: str) -> None:
        """Show a gauge of the own catalogue no more, if it was."""
        if name in self._kept:
            with suppress(KeyError):
                self._kept[name].remove(*labels)

    def request(self, resource: str, verb: str, code: int, seconds: float) -> None:
        """Note a request to the API server."""
        self.counter("api_requests_total", resource, verb, str(code)).inc()
        duration = self._metric("api_request_duration_seconds")
        assert isinstance(duration, Histogram)  # noqa: S101 - the catalogue says so
        duration.labels(resource, verb).observe(seconds)

    def change(self, resource: str, kind: str, count: int = 1) -> None:
        """Note watch events, or listed objects."""
        self.counter("watch_changes_total", resource, kind).inc(count)

    def relist(self, resource: str, reason: str) -> None:
        """Note a list after the first."""
        self.counter("relists_total", resource, reason).inc()

    def restart(self, resource: str, reason: str) -> None:
        """Note that a watch ended."""
        self.counter("watch_restarts_total", resource, reason).inc()

    def skipped(self, resource: str, reason: str) -> None:
        """Count an object that was left out; ``skips`` has the counts by resource and reason."""
        self.skips[resource, reason] += 1
        self.counter("objects_skipped_total", resource, reason).inc()

    def render(self, *, openmetrics: bool, names: frozenset[str] = frozenset()) -> bytes:
        """Render all own families, or those named; without OpenMetrics' closing line."""
        registry = Chosen(self.registry, names) if names else self.registry
        if openmetrics:
            body: bytes = openmetrics_latest(registry)
            return body.removesuffix(b"# EOF\n")
        return text_latest(registry)

    def _metric(self, name: str) -> Counter | Gauge | Histogram:
        if name not in self._kept:
            self._kept[name] = self._make(next(f for f in OWN if f.name == name))
        return self._kept[name]

    def _make(self, family: OwnFamily) -> Counter | Gauge | Histogram:
        name, text, labels = family.full_name, family.help, family.labels
        match family.type:
            case "counter":
                return Counter(name, text, labels, registry=self.registry)
            case "histogram":
                return Histogram(name, text, labels, registry=self.registry, buckets=BUCKETS)
            case _:
                return Gauge(name, text, labels, registry=self.registry)


def follow(readings: Readings, followed: Callable[[], Iterable[tuple[str, Followed]]]) -> None:
    """Expose reflectors; several of one resource (namespaces) are shown as their worst."""

    def least(read: Callable[[Followed], float]) -> Callable[[], Iterable[Row]]:
        def rows() -> Iterable[Row]:
            values: dict[str, float] = {}
            for name, reflector in followed():
                values[name] = min(values.get(name, sys.float_info.max), read(reflector))
            return [((name,), value) for name, value in sorted(values.items())]

        return rows

    readings.on("watch_up", least(lambda f: f.up))
    readings.on("synced", least(lambda f: f.synced))
    readings.on("served", least(lambda f: f.served))
    readings.on("last_sync_timestamp_seconds", least(lambda f: f.last_sync))
    readings.on("last_change_timestamp_seconds", least(lambda f: f.last_change))


def _metric(family: OwnFamily, rows: Iterable[Row]) -> Metric:
    make = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
    metric = make(family.full_name, family.help, labels=family.labels)
    for labels, value in rows:
        metric.add_metric(labels, value)
    return metric


def new_self_metrics() -> SelfMetrics:
    """Make the metrics about the exporter of this version."""
    return SelfMetrics(__version__)
