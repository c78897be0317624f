"""An exporter that is told to reload, over real HTTP, and a scraper that never rests."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

from exporter.app.reloading import Reloading
from exporter.app.serve import site_of, start
from exporter.kube.credentials import Anonymous
from exporter.settings.flags import Flags
from exporter.simulator.kyverno import ReportTarget
from exporter.simulator.world import Subject
from exporter.web.server import serving
from tests.app.running import EVENTS_TOTAL, Cluster, Increase, Samples, parse, total

PLAIN: Final = "birth_hold: 0\ncheckpoint_interval: 0.1\n"
LABELS: Final = "require-labels"
OPENED: Final = "policyreport_failures_opened_total"
CLOSED: Final = "policyreport_failures_closed_total"
COUNTERS: Final = (EVENTS_TOTAL, OPENED, CLOSED)


def pushing(url: str, more: str = "") -> str:
    """Push to an Alertmanager, and let what ends be resolved at once."""
    targets = f"alertmanagers: [{{url: '{url}'}}]"
    return f"{PLAIN}alerting: {{{targets}, interval: 1, resolve_delay: 0{more}}}\n"


class Reloaded:
    """A served exporter and its configuration file."""

    def __init__(
        self, url: str, file: Path, reloading: Reloading, client: aiohttp.ClientSession
    ) -> None:
        self.url = url
        self.reloading = reloading
        self.task = asyncio.create_task(reloading.run())
        self._file = file
        self._client = client

    async def stop(self) -> None:
        """Stop it as a signal does; the web server stays until the end of the block."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def get(self, path: str) -> tuple[int, str]:
        async with self._client.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def scrape(self) -> Samples:
        return parse((await self.get("/metrics"))[1])

    async def until(self, done: Callable[[Samples], object], within: float = 30) -> Samples:
        """Scrape until *done*."""
        end = time.monotonic() + within
        while not done(samples := await self.scrape()):
            assert time.monotonic() < end, sorted(samples.items())
            await asyncio.sleep(0.02)
        return samples

    async def ready(self) -> Samples:
        """Wait until all is known, and a checkpoint would know how far Events are counted."""
        while (await self.get("/-/ready"))[0] != 200:
            await asyncio.sleep(0.02)
        return await self.until(lambda s: total(s, OPENED) is not None)

    async def post(self, config: str) -> tuple[int, str]:
        """Write the configuration and tell it to reload."""
        self._file.write_text(config)
        async with self._client.post(self.url + "/-/reload") as answer:
            return answer.status, await answer.text()

    async def accept(self, config: str) -> None:
        status, text = await self.post(config)
        assert status == 200, text

    async def in_force(self) -> None:
        """Wait until nothing that was accepted is outstanding."""
        async with asyncio.timeout(30):
            while "configuration was accepted" in (await self.get("/-/ready"))[1]:
                await asyncio.sleep(0.02)

    async def reload(self, config: str) -> Samples:
        """Reload, wait for the switch, scrape."""
        await self.accept(config)
        await self.in_force()
        return await self.scrape()


@asynccontextmanager
async def reloaded(
    cluster: Cluster, directory: Path, config: str = PLAIN, state: Path | None = None
) -> AsyncIterator[Reloaded]:
    """Serve a cluster in this process; at the end it is stopped as by a signal."""
    file = directory / "config.yaml"
    file.write_text(config)
    flags = Flags(config_file=file, listen=("127.0.0.1:0",), state_dir=state)
    async with AsyncExitStack() as stack:
        reloading = await start(flags, Anonymous(cluster.api.url), stack)
        [url] = await stack.enter_async_context(serving(site_of(reloading, flags), flags.listen))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        served = Reloaded(url, file, reloading, client)
        try:
            yield served
        finally:
            await served.stop()


class Watchful:
    """Scrapes all the time; notes families that are missing and counters that fall."""

    def __init__(self, served: Reloaded) -> None:
        self.increases = {name: Increase(name) for name in COUNTERS}
        self.missing: set[str] = set()
        self.scrapes = 0
        self._served = served

    async def scrape(self) -> Samples:
        samples = await self._served.scrape()
        for increase in self.increases.values():
            increase.scrape(samples)
        return samples

    async def run(self) -> None:
        """Scrape until cancelled: a family that was there once is to stay."""
        known: set[str] = set()
        while True:
            names = {series.name for series in await self.scrape()}
            self.missing |= known - names
            known |= names
            self.scrapes += 1

    @property
    def falls(self) -> list[object]:
        return [fall for each in self.increases.values() for fall in each.falls]


@asynccontextmanager
async def watching(served: Reloaded) -> AsyncIterator[Watchful]:
    """Scrape without a rest during the block, and once more after it."""
    watchful = Watchful(served)
    task = asyncio.create_task(watchful.run())
    try:
        yield watchful
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await watchful.scrape()


def fail(cluster: Cluster, namespace: str, name: str, *policies: str) -> None:
    """Write the report on a Pod that fails some policies."""
    target = ReportTarget("Pod", namespace, name, f"uid-{name}")
    cluster.world.put(Subject(target, dict.fromkeys(policies, "fail"), {}))


class Told(msgspec.Struct, rename="camel"):
    """An alert as it was posted."""

    labels: dict[str, str]
    starts_at: str
    ends_at: str
    arrived: str = ""

    @property
    def fires(self) -> bool:
        return self.ends_at > self.arrived


class Alertmanager:
    """Holds every alert that was posted, in the order of arrival; at ``url``."""

    def __init__(self) -> None:
        self.url = ""
        self.told: list[Told] = []

    def of(self, **labels: str) -> list[Told]:
        return [each for each in self.told if labels.items() <= each.labels.items()]

    async def hears(self, look: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not look():
                await asyncio.sleep(0.02)

    async def _take(self, request: web.Request) -> web.Response:
        body: Any = await request.read()
        for each in msgspec.json.decode(body, type=list[Told]):
            each.arrived = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.told.append(each)
        return web.Response()


@asynccontextmanager
async def alertmanager() -> AsyncIterator[Alertmanager]:
    app, running = web.Application(), Alertmanager()
    app.router.add_post("/api/v2/alerts", running._take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    running.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield running
    finally:
        await runner.cleanup()
