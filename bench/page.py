"""The status page over many reports: how soon it answers, and what it costs a scrape."""

import asyncio
import statistics
import time
from typing import Final

import aiohttp

from bench.api import Api
from bench.measure import Figures, Held, fresh
from bench.product import following, served, until
from bench.reports import Shape
from bench.server import Load, serving

ROUNDS: Final = 15
VIEWS: Final = {
    "page": "/",
    "severity": "/?severity=high",
    "policy": "/?policy=disallow-something-insecure-03",
    "search": "/?search=workload-1",
    "last": "/?offset=5000",
}


def compare(shape: Shape) -> dict[str, Figures]:
    """View the page of *shape* reports."""
    with serving(Load(shape)) as api:
        return {"page": fresh(_page, api)}


def _page(api: Api) -> Figures:
    return asyncio.run(_viewed(api))


async def _viewed(api: Api) -> Figures:
    async with (
        following(api) as exporter,
        served(exporter) as url,
        aiohttp.ClientSession() as session,
    ):
        await until(lambda: exporter.health.ready()[0])
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
    held = Held()
    turning = asyncio.ensure_future(held.run())
    for path in VIEWS.values():
        await _first_byte(session, url + path)
    turning.cancel()
    return held.longest
