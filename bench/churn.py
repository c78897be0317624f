"""Reports that come, change and go: how soon that is visible, and what it costs."""

import asyncio
import os
import re
import time
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.api import Api, Sent
from bench.baseline import follow
from bench.bystander import bystanding
from bench.changes import Changes, Mix
from bench.measure import Figures, Lag, Waiting, fresh, memory_mb, percentile
from bench.product import following, reports, served, until
from bench.reports import Shape
from bench.scraper import Scrape, scraping
from bench.server import Load, serving
from exporter.app.exporter import Exporter
from exporter.model.changes import Applied, Change, Deleted
from exporter.model.resource import POLICY_REPORTS

MIX = Mix()
TIMESTAMPS = Mix(0, 0, 0)
JUDGED = 2_000
_LAG_SECONDS = 0.1
"""How often the loop is asked how late it is: each time wakes it, which takes 0.2 ms of CPU."""

_STALE_SECONDS = 0.002
"""How old the time that was waited for a core may be: to read it costs as much as a change."""

_RESULT = re.compile(rb'^policyreport_results\{.*result="(\w+)".*\} (\d+)$', re.MULTILINE)


class Seen:
    """When changes were seen, and how long the process had waited for a core until then.

    ``at`` and ``waited`` are in seconds, for each change; they are arrays because they are in the
    memory that is measured.
    """

    def __init__(self) -> None:
        self._waiting = Waiting()
        self.begin()

    def begin(self) -> None:
        """Forget what was seen."""
        self.at = array("d")
        self.waited = array("d")
        self._version = 0
        self._read = self._waited = 0.0

    def note(self, change: Change) -> None:
        """Note a change that is applied; a version that was seen before is none."""
        if not isinstance(change, (Applied, Deleted)):  # a union would be made each time
            return
        version, now = int(change.object.version), time.monotonic()
        if version <= self._version:
            return
        self._version = version
        if now - self._read > _STALE_SECONDS:
            self._read, self._waited = now, self._waiting.seconds()
        self.at.append(now)
        self.waited.append(self._waited)


def compare(shape: Shape, rates: tuple[int, ...], seconds: float) -> dict[str, Figures]:
    """Send changes at each rate for a while, with a scrape of everything each second.

    At the rate that is judged also with timestamps that change and nothing else, and, for
    comparison, to somebody who decodes what comes and discards it, and is not scraped.
    """
    found = {f"{rate:,} a second": at(shape, rate, seconds) for rate in rates}
    found[f"{JUDGED:,} timestamps"] = at(shape, JUDGED, seconds, TIMESTAMPS)
    with serving(Load(shape, mix=MIX)) as api:
        decoded = fresh(follow, api, JUDGED, int(JUDGED * seconds))
    return found | {f"{JUDGED:,} decoded": decoded}


def at(shape: Shape, rate: int, seconds: float, mix: Mix = MIX) -> Figures:
    """Send changes at one rate."""
    count = int(rate * seconds)
    changes = Changes(shape, mix)
    for _ in zip(range(count), changes, strict=False):
        pass
    with serving(Load(shape, mix=mix)) as api:
        return fresh(_churn, api, rate, count, dict(changes.results()))


def _churn(api: Api, rate: int, count: int, expected: dict[str, int]) -> Figures:
    return asyncio.run(_churned(api, rate, count, Counter(expected)))


async def _churned(api: Api, rate: int, count: int, expected: Counter[str]) -> Figures:
    seen = Seen()
    async with following(api, note=seen.note) as exporter, served(exporter) as url:
        await until(lambda: reports(exporter).up)
        seen.begin()
        await _results(exporter)
        with bystanding() as late, scraping(f"{url}/metrics", os.getpid(), 1) as scrapes:
            async with _beside() as beside:
                sent = await asyncio.to_thread(api.flow, POLICY_REPORTS.plural, count, rate)
                await _seen_all(seen, count)
        lost = count - len(seen.at)
        wrong = await _results(exporter)
        wrong.subtract(expected)
    return (
        beside
        | late
        | _visible(sent, seen)
        | _scraped(scrapes)
        | {
            "changes": count,
            "lost": lost + sum(map(abs, wrong.values())),
        }
    )


@asynccontextmanager
async def _beside() -> AsyncIterator[Figures]:
    """Measure CPU, memory and the event loop's lag of what runs in the block."""
    lag, figures = Lag(_LAG_SECONDS), Figures()
    task = asyncio.ensure_future(lag.run())
    before, spent, began = memory_mb()["VmRSS"], time.process_time(), time.monotonic()
    yield figures
    figures["cpu_percent"] = (time.process_time() - spent) / (time.monotonic() - began) * 100
    figures["grown_mb"] = memory_mb()["VmRSS"] - before
    figures["lag_p99_ms"] = percentile(lag.delays, 0.99) * 1e3
    figures["lag_max_ms"] = max(lag.delays) * 1e3
    task.cancel()


async def _seen_all(seen: Seen, count: int) -> None:
    """Wait for the last change, but not for what was lost."""
    end = time.monotonic() + 30
    await until(lambda: len(seen.at) >= count or time.monotonic() > end)


def _visible(sent: Sent, seen: Seen) -> Figures:
    """Compare when changes were sent and seen; once more less the waiting for a core between."""
    delays, alone = list[float](), list[float]()
    for began, at, waited in zip(sent.sent, seen.at, seen.waited, strict=False):
        last = bisect_right(seen.at, began) - 1
        delays.append(at - began)
        alone.append(max(at - began - waited + seen.waited[max(last, 0)], 0.0))
    return {
        "sent_per_second": len(sent.sent) / sent.seconds,
        "visible_p50_ms": percentile(delays, 0.5) * 1e3,
        "visible_p99_ms": percentile(delays, 0.99) * 1e3,
        "visible_p99_ms, alone": percentile(alone, 0.99) * 1e3,
        "visible_max_ms": max(delays) * 1e3,
    }


def _scraped(scrapes: list[Scrape]) -> Figures:
    taken = [each.seconds * 1e3 for each in scrapes if each.status == 200]
    return {
        "scrapes": len(taken),
        "scrape_p50_ms": percentile(taken, 0.5),
        "scrape_max_ms": max(taken),
    }


async def _results(exporter: Exporter) -> Counter[str]:
    """Add up what a scrape shows, by result."""
    names = frozenset({"policyreport_results"})
    segments = await exporter.scrapes.scrape(openmetrics=False, names=names)
    body = b"".join(segments)
    found = Counter[str]()
    for word, value in _RESULT.findall(body):
        found[word.decode()] += int(value)
    return found
