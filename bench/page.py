"""The status page over many reports: how soon it answers, and what it costs a scrape."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from bench.measure import Figures, fresh
from bench.reports import Shape
from bench.server import Load
from bench.server import serving as api_serving
from bench.sync import CONFIG
from exporter.app.exporter import Exporter, Plan, own_metrics
from exporter.app.status import Status
from exporter.kube.client import Client
from exporter.kube.credentials import Anonymous
from exporter.kube.source import KubeSource
from exporter.web.routes import Site
from exporter.web.server import serving

ROUNDS: Final = 15
VIEWS: Final = {
    "page": "/",
    "severity": "/?severity=high",
    "policy": "/?policy=disallow-something-insecure-03",
    "search": "/?search=workload-1",
    "last": "/?offset=5000",
}


def compare_page(shape: Shape) -> Figures:
    """View the page of *shape* reports."""
    with api_serving(Load(shape)) as api:
        return fresh(_page, api)


def _page(api: str) -> Figures:
    return asyncio.run(_viewed(api))


async def _viewed(api: str) -> Figures:
    async with _served(api) as (url, exporter), aiohttp.ClientSession() as session:
        figures: Figures = {"failing": exporter.state.ledger.failures.buckets.counts.total()}
        for name, path in VIEWS.items():
            taken = [await _first_byte(session, url + path) for _ in range(ROUNDS)]
            figures[f"{name}_ms"] = statistics.median(taken) * 1e3
        async with session.get(url) as answer:
            figures["page_kb"] = len(await answer.read()) / 1e3
        metrics = f"{url}/metrics"
        alone = [await _first_byte(session, metrics) for _ in range(ROUNDS)]
        figures["scrape_ms"] = statistics.median(alone) * 1e3
        viewing = asyncio.ensure_future(_view_on(session, url + VIEWS["page"]))
        beside = [await _first_byte(session, metrics) for _ in range(ROUNDS)]
        viewing.cancel()
        figures["scrape_beside_views_ms"] = statistics.median(beside) * 1e3
        figures["longest_hold_ms"] = await _longest_hold(session, url) * 1e3
    return figures


@asynccontextmanager
async def _served(api: str) -> AsyncIterator[tuple[str, Exporter]]:
    """Follow a cluster, and serve once all of it is known."""
    own = own_metrics()
    async with Client(Anonymous(api), own) as client:
        exporter = Exporter(Plan(CONFIG), KubeSource(client, own), own)
        following = asyncio.ensure_future(exporter.follow())
        while not exporter.health.ready()[0]:
            await asyncio.sleep(0.05)
        site = Site(exporter.scrapes, exporter.health, status=Status(exporter))
        async with serving(site, ["127.0.0.1:0"], None) as (url,):
            yield url, exporter
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _first_byte(session: aiohttp.ClientSession, url: str) -> float:
    began = time.perf_counter()
    async with session.get(url) as answer:
        took = time.perf_counter() - began
        await answer.read()
    return took


async def _view_on(session: aiohttp.ClientSession, url: str) -> None:
    """View the page twenty times a second; an open browser does so twice a minute."""
    while True:
        await asyncio.sleep(0.05)
        await _first_byte(session, url)


async def _longest_hold(session: aiohttp.ClientSession, url: str) -> float:
    """Measure how long this thread computes in one turn at most, for each view once."""
    longest, last = 0.0, time.thread_time()

    async def turn() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    turning = asyncio.ensure_future(turn())
    for path in VIEWS.values():
        await _first_byte(session, url + path)
    turning.cancel()
    return longest
