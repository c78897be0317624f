"""A scrape: rendering against a copy of the same bytes and against prometheus-client."""

import asyncio
import time

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest

from bench.measure import Figures, best, fresh
from exporter.app.scrape import Scrapes
from exporter.metrics.exposition import Exposition, ExposureSettings, render
from exporter.metrics.own import OwnMetrics
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection

LABELS = ("namespace", "kind", "policy", "rule", "result", "severity", "category", "source")


def compare_scrape(series: int) -> Figures:
    """Render *series* series after every one of them has changed."""
    return fresh(_scrape, series)


def _filled(series: int) -> ClusterState:
    state = ClusterState(Selection(), time.time)
    for number in range(series // 2):
        labels = (
            f"namespace-{number % 500:04d}",
            ("Deployment", "ReplicaSet", "Pod")[number // 500 % 3],
            f"disallow-something-insecure-{number // 1500:04d}",
            "check-something",
            "medium",
            "Pod Security Standards (Baseline)",
            "kyverno",
        )
        state.ledger.results.add(labels, number % 2, 1)
    return state


class _Collector:
    def __init__(self, rows: list[tuple[tuple[str, ...], float]]) -> None:
        self._rows = rows

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily("policyreport_results", "Results.", labels=LABELS)
        for labels, value in self._rows:
            family.add_metric(labels, value)
        return [family]


def _scrape(series: int) -> Figures:
    state = _filled(series)
    exposition = Exposition(state, ExposureSettings(birth_hold=0))
    everything = frozenset[str]()

    def ours() -> bytes:
        shots = exposition.take(time.time(), lambda _: True)
        return b"".join(render(shots, everything, openmetrics=False))

    def streamed() -> None:
        for _ in render(
            exposition.take(time.time(), lambda _: True), everything, openmetrics=False
        ):
            pass

    body = ours()
    registry = CollectorRegistry()
    registry.register(_Collector(_rows(exposition)))
    lag = asyncio.run(_lag(exposition))
    return {
        "series": len(exposition.projections[0].series),
        "megabytes": len(body) / 1e6,
        "memcpy_ms": best(lambda: bytes(bytearray(body))) * 1e3,
        "render_ms": best(streamed) * 1e3,
        "client_ms": best(lambda: generate_latest(registry), 3) * 1e3,
        "longest_hold_ms": lag * 1e3,
    }


def _rows(exposition: Exposition) -> list[tuple[tuple[str, ...], float]]:
    series = exposition.projections[0].series
    return [(labels, series.value(slot)) for labels, slot in sorted(series.slots.items())]


async def _lag(exposition: Exposition) -> float:
    """Scrape while a timer measures the longest time that it was kept waiting."""
    longest = 0.0
    done = False

    async def timer() -> None:
        nonlocal longest
        while not done:
            began = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - began)

    scrapes = Scrapes(exposition, OwnMetrics("bench"), lambda _: True, time.time)
    task = asyncio.ensure_future(timer())
    for _ in range(3):
        await scrapes.scrape(True, frozenset())
    done = True
    await task
    return longest
