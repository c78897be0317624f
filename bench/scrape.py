"""A scrape: rendering against a copy of the same bytes and against prometheus-client."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bench.measure import Figures, Held, cost, fresh, medians
from bench.product import SCOPE
from bench.reports import Reports, Shape
from bench.scraper import Ask, Scrape, asking
from exporter.app.memory import prepare_for_sync
from exporter.app.scrape import ScrapeRenderer
from exporter.metrics.exposition import Exposition, ExposureSettings, render
from exporter.metrics.self_metrics import SelfMetrics
from exporter.model.changes import Applied, Deleted, Init, InitDone
from exporter.model.resource import POLICY_REPORTS
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection
from exporter.web.routes import Site
from exporter.web.server import serving
from exporter.wire.codec import codec_for

SERIES_PER_NAMESPACE: Final = 300
ROWS: Final = 24
_SHARE: Final = 0.01
_FORMS: Final = {
    "http_gzip": ("text", "gzip"),
    "http_openmetrics_gzip": ("openmetrics", "gzip"),
    "http_plain": ("text", "identity"),
}


def compare(series: int, times: int) -> dict[str, Figures]:
    """Scrape about *series* series after one or all in a hundred changed, and when none has."""
    figures = fresh(_scrape, series, times)
    return {
        "scrape": figures,
        "ratios": {
            "render / memcpy": figures["render_ms"] / figures["memcpy_ms"],
            "render / memcpy, cpu": figures["render_cpu_ms"] / figures["memcpy_cpu_ms"],
            "prometheus-client / http": figures.pop("client_over_http"),
            "prometheus-client / http, cpu": figures.pop("client_over_http_cpu"),
        },
    }


class Town:
    """A state in which every series can be made to change: each report has a twin, or has not."""

    def __init__(self, series: int) -> None:
        namespaces = series // SERIES_PER_NAMESPACE
        self._shape = Shape(namespaces * ROWS, namespaces, distinct=0)
        self._reports = Reports(self._shape)
        self._twins: set[int] = set()
        self.state = ClusterState(Selection(), time.time)
        self.state.apply(Init(SCOPE))
        for number in range(self._shape.reports):
            self._apply(number)
        self.state.apply(InitDone(SCOPE))
        self.exposition = Exposition(self.state, ExposureSettings(birth_hold=0))

    def change(self, share: float = _SHARE) -> None:
        """Add a twin to a share of the reports, or take it away, spread over all namespaces."""
        # So much further on come the same namespace, profile and kind.
        further = self._shape.namespaces * self._shape.profiles * 21
        for number in range(0, self._shape.reports, round(1 / share)):
            self._apply(further + number, gone=number in self._twins)
            self._twins ^= {number}

    def settle(self) -> None:
        """Take the changes up."""
        while self.exposition.settle(2_000):
            pass

    def _apply(self, number: int, *, gone: bool = False) -> None:
        made = codec_for(POLICY_REPORTS).one(self._reports.encode(number))
        self.state.apply(Deleted(SCOPE, made) if gone else Applied(SCOPE, made))

    def render(self) -> Iterable[bytes]:
        """Render one moment as text."""
        shots = self.exposition.take(time.time(), lambda _: True)
        return render(shots, openmetrics=False)


class _Collector(Collector):
    def __init__(self, body: bytes) -> None:
        self._families = list(text_string_to_metric_families(body.decode()))

    def collect(self) -> list[Metric]:
        return self._families


def exposed(body: bytes) -> Collector:
    """Give the samples of a text to prometheus-client."""
    return _Collector(body)


def _scrape(series: int, times: int) -> Figures:
    town = Town(series)
    prepare_for_sync()
    body = b"".join(town.render())
    registry = CollectorRegistry()
    registry.register(exposed(body))
    figures = {
        "series": body.count(b"\n") - body.count(b"\n#"),
        "megabytes": len(body) / 1e6,
    }
    taken = []
    for _ in range(times):
        town.change(1)
        taken.append(
            {
                **cost("settle_all", town.settle),
                **cost("render", lambda: _run_out(town.render())),
                **cost("unchanged", lambda: _run_out(town.render())),
                **cost("memcpy", lambda: bytearray(body)),
            }
        )
    client = partial(cost, "client", lambda: generate_latest(registry))
    return figures | medians(taken) | asyncio.run(_over_http(town, times * 3, client))


def _run_out(pieces: Iterable[bytes]) -> None:
    for _ in pieces:
        pass


class _Healthy:
    def ready(self) -> tuple[bool, str]:
        return True, "ready"

    async def reload(self) -> str | None:
        return None


async def _over_http(town: Town, times: int, client: Callable[[], Figures]) -> Figures:
    scrapes = ScrapeRenderer(town.exposition, SelfMetrics("bench"), lambda _: True, time.time)
    figures: Figures = {}
    async with (
        serving(Site(scrapes, _Healthy()), ["127.0.0.1:0"]) as (url,),
        asking(f"{url.rstrip('/')}/metrics", os.getpid()) as ask,
    ):
        figures |= await _beside(client, town, _asking(ask, *_FORMS["http_gzip"]), times)
        for name, (form, coding) in _FORMS.items():
            scrape = _asking(ask, form, coding)
            figures |= await _timed(name, times, town.change, scrape)
        scrape = _asking(ask, *_FORMS["http_gzip"])
        figures |= await _timed("http_unchanged", times, lambda: None, scrape)
        figures |= await _timed("http_all_changed", times, lambda: town.change(1), scrape)
        figures["longest_hold_ms"] = await _held(town, _SHARE, scrape, times) * 1e3
        figures["longest_hold_all_ms"] = await _held(town, 1, scrape, times) * 1e3
    return figures


async def _beside(
    client: Callable[[], Figures], town: Town, scrape: Callable[[], Awaitable[Scrape]], times: int
) -> Figures:
    """Let prometheus-client render between two scrapes: a machine's speed drifts."""
    taken = []
    for _ in range(times):
        rendered = client()
        scraped = await _timed("http", 1, town.change, scrape)
        taken.append(
            rendered
            | {
                "client_over_http": rendered["client_ms"] / scraped["http_ms"],
                "client_over_http_cpu": rendered["client_cpu_ms"] / scraped["http_cpu_ms"],
            }
        )
    return medians(taken)


def _asking(ask: Ask, form: str, coding: str) -> Callable[[], Awaitable[Scrape]]:
    return lambda: ask(form, coding)


async def _timed(
    name: str, times: int, change: Callable[[], None], scrape: Callable[[], Awaitable[Scrape]]
) -> Figures:
    """Scrape after each change; the seconds are the client's, the CPU time is the exporter's."""
    taken, done = [], Scrape(0, 0, 0)
    for _ in range(times):
        change()
        spent = time.process_time()
        done = await scrape()
        cpu = time.process_time() - spent
        taken.append({f"{name}_ms": done.seconds * 1e3, f"{name}_cpu_ms": cpu * 1e3})
    return medians(taken) | {f"{name}_kb": done.size / 1e3}


async def _held(
    town: Town, share: float, scrape: Callable[[], Awaitable[Scrape]], times: int
) -> float:
    """Measure the longest that scrapes hold the loop; changes happen outside of it."""
    longest = 0.0
    for _ in range(times):
        town.change(share)
        held = Held()
        turning = asyncio.ensure_future(held.run())
        await scrape()
        turning.cancel()
        longest = max(longest, held.longest)
    return longest
