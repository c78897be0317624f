"""The exporter's metrics about itself: cells by label values, rendered from templates."""

import platform
import sys
from collections import Counter as TallyOf
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from exporter import __version__
from exporter.metrics.exposition import head
from exporter.metrics.projection import ESCAPES
from exporter.metrics.self_catalogue import OWN, PROCESS, OwnFamily
from exporter.state.tally import Labels

Row = tuple[Labels, float]
BUCKETS: Final = (0.01, 0.05, 0.25, 1.0, 5.0, 30.0)
"""Upper bounds of requests to the API server, in seconds."""


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


class OwnCell:
    """The value of one series; of a histogram the buckets, the count and the sum."""

    __slots__ = ("values",)

    def __init__(self, width: int = 1) -> None:
        self.values: list[float] = [0] * width

    @property
    def value(self) -> float:
        """The value; of a histogram that of the first bucket."""
        return self.values[0]

    def inc(self, amount: float = 1) -> None:
        """Add *amount*."""
        self.values[0] += amount

    def set(self, value: float) -> None:
        """Replace the value; a bool becomes 0 or 1."""
        self.values[0] = +value

    def observe(self, value: float) -> None:
        """Count a value in a histogram."""
        for index, bound in enumerate(BUCKETS):
            self.values[index] += value <= bound
        self.values[-3] += 1
        self.values[-2] += 1
        self.values[-1] += value


class OwnSeries:
    """All series of one own family, and the template that a single ``%`` fills.

    ``cells`` are in the order of the template once that was written; it is written again after
    series were added or removed.
    """

    def __init__(self, family: OwnFamily) -> None:
        self.family = family
        self.cells: dict[Labels, OwnCell] = {}
        name = family.full_name
        self.names = {name, name.removesuffix("_total")}
        self._suffixes = [("", "")]
        if family.type == "histogram":
            bounds = [*map(str, BUCKETS), "+Inf"]
            self._suffixes = [("_bucket", f'le="{bound}"') for bound in bounds]
            self._suffixes += [("_count", ""), ("_sum", "")]
            self.names |= {name + suffix for suffix, _ in self._suffixes}
        self._templates: dict[bool, bytes] = {}

    def cell(self, labels: Labels) -> OwnCell:
        """Return the cell of some label values, new at 0."""
        cell = self.cells.get(labels)
        if cell is None:
            if len(labels) != len(self.family.labels):
                expected = ", ".join(self.family.labels) or "none"
                raise ValueError(f"{self.family.full_name}: {labels}: expected labels: {expected}")
            cell = self.cells[labels] = OwnCell(len(self._suffixes))
            self._templates.clear()
        return cell

    def remove(self, labels: Labels) -> None:
        """Remove a series, if it is there."""
        if self.cells.pop(labels, None) is not None:
            self._templates.clear()

    def replace(self, rows: Iterable[Row]) -> None:
        """Have these series and no others."""
        values = dict(rows)
        for labels in self.cells.keys() - values.keys():
            self.remove(labels)
        for labels, value in values.items():
            self.cell(labels).set(value)

    def render(self, *, openmetrics: bool) -> bytes:
        """Render the family; nothing while it has no series."""
        if not self.cells:
            return b""
        template = self._templates.get(openmetrics)
        if template is None:
            template = self._templates[openmetrics] = self._write(openmetrics=openmetrics)
        return template % tuple(chain.from_iterable([c.values for c in self.cells.values()]))

    def _write(self, *, openmetrics: bool) -> bytes:
        self.cells = dict(sorted(self.cells.items()))
        name, kind, text = self.family.full_name, self.family.type, self.family.help
        lines = chain.from_iterable(map(self._lines, self.cells))
        body = "".join(lines).encode("utf-8", "replace")
        return head(name, kind, text, openmetrics=openmetrics).replace(b"%", b"%%") + body

    def _lines(self, labels: Labels) -> Iterator[str]:
        """Write the lines of one cell, with ``%a`` for each number: as Python writes it."""
        pairs = zip(self.family.labels, labels, strict=True)
        texts = [f'{label}="{value.translate(ESCAPES)}"' for label, value in pairs]
        for suffix, bound in self._suffixes:
            inside = ",".join([*texts, bound] if bound else texts)
            prefix = self.family.full_name + suffix + (f"{{{inside}}}" if inside else "")
            yield prefix.replace("%", "%%") + " %a\n"


class Readings:
    """Own families that are read at scrape time instead of being kept: name to rows."""

    def __init__(self) -> None:
        self.read: dict[str, Callable[[], Iterable[Row]]] = {}

    def on(self, name: str, read: Callable[[], Iterable[Row]]) -> None:
        """Read the family *name* (without prefix) from *read* at each scrape."""
        self.read[name] = read


class SelfMetrics:
    """Counters and gauges about the exporter; its methods are what the loops observe with."""

    def __init__(self, version: str, revision: str = "") -> None:
        self.readings = Readings()
        self.skips: TallyOf[tuple[str, str]] = TallyOf()
        self._series = {family.name: OwnSeries(family) for family in (*OWN, *PROCESS)}
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        self.gauge("build_info", version, revision, platform.python_version()).set(1)
        for family in OWN:
            if family.type == "counter" and not family.labels:
                self.counter(family.name)

    def counter(self, name: str, *labels: str) -> OwnCell:
        """Return a counter of the own catalogue; *labels* are its values."""
        return self._series[name].cell(labels)

    def gauge(self, name: str, *labels: str) -> OwnCell:
        """Return a gauge of the own catalogue; *labels* are its values."""
        return self._series[name].cell(labels)

    def forget(self, name: str, *labels: str) -> None:
        """Remove a gauge of the own catalogue, if it is exposed."""
        self._series[name].remove(labels)

    def request(self, resource: str, verb: str, code: int, seconds: float) -> None:  # noqa: ARG002
        """Note a request to the API server; a series for each resource would be too many."""
        self.counter("api_requests_total", verb, str(code)).inc()
        self._series["api_request_duration_seconds"].cell((verb,)).observe(seconds)

    def change(self, resource: str, kind: str, count: int = 1) -> None:
        """Note watch events, or listed objects; a bookmark is no object."""
        if kind != "bookmark":
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
        wanted = [s for s in self._series.values() if not names or names & s.names]
        self._read_process(wanted)
        for series in wanted:
            if (read := self.readings.read.get(series.family.name)) is not None:
                series.replace(read())
        return b"".join([series.render(openmetrics=openmetrics) for series in wanted])

    def _read_process(self, wanted: Iterable[OwnSeries]) -> None:
        """Read about the process what prometheus-client knows of it, on Linux all of PROCESS."""
        about = {s.family.full_name: s for s in wanted if s.family in PROCESS}
        for metric in self._process.collect() if about else ():
            for sample in metric.samples:
                if (series := about.get(sample.name)) is not None:
                    labels = tuple(sample.labels[name] for name in series.family.labels)
                    series.replace([(labels, sample.value)])


def follow(readings: Readings, followed: Callable[[], Iterable[tuple[str, Followed]]]) -> None:
    """Expose reflectors; several of one resource (namespaces) are shown as their worst.

    Of a resource that is not served there is only that. What never happened has no time; what did
    is exposed to the millisecond, as further digits are bytes without use.
    """

    def least(read: Callable[[Followed], float]) -> dict[str, float]:
        values: dict[str, float] = {}
        for name, reflector in followed():
            values[name] = min(values.get(name, sys.float_info.max), read(reflector))
        return values

    def where_served(read: Callable[[Followed], float]) -> Callable[[], Iterable[Row]]:
        def rows() -> Iterable[Row]:
            served = least(lambda f: f.served)
            return [((name,), value) for name, value in least(read).items() if served[name]]

        return rows

    def times(read: Callable[[Followed], float]) -> Callable[[], Iterable[Row]]:
        rows = where_served(read)
        return lambda: [(labels, round(value, 3)) for labels, value in rows() if value]

    readings.on("served", lambda: [((n,), value) for n, value in least(lambda f: f.served).items()])
    readings.on("watch_up", where_served(lambda f: f.up))
    readings.on("synced", where_served(lambda f: f.synced))
    readings.on("last_sync_timestamp_seconds", times(lambda f: f.last_sync))
    readings.on("last_change_timestamp_seconds", times(lambda f: f.last_change))


def new_self_metrics() -> SelfMetrics:
    """Make the metrics about the exporter of this version."""
    return SelfMetrics(__version__)
