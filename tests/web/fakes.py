"""Stand-ins for the parts that the web edge serves, and ways to reach it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from exporter.view.values import StatusView
from exporter.web.page.handlers import PageSettings
from exporter.web.routes import Site
from exporter.web.server import serving

EXPOSITION = (b"# HELP a Help.\n# TYPE a gauge\n", b"a 1\n" * 1000, b"b 2\n")


@dataclass
class FakeScraper:
    """Gives the same segments each time, after ``gate`` opens."""

    segments: Sequence[bytes] = EXPOSITION
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[bool, frozenset[str]]] = field(default_factory=list)
    running: int = 0
    arrivals: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def __post_init__(self) -> None:
        self.gate.set()

    async def scrape(self, openmetrics: bool, names: frozenset[str]) -> Sequence[bytes]:
        self.asked.append((openmetrics, names))
        self.running += 1
        self.arrivals.release()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return self.segments


@dataclass
class FakeHealth:
    """Says what it is told to."""

    missing: str = ""
    complaint: str | None = None
    reloads: int = 0

    def ready(self) -> tuple[bool, str]:
        return not self.missing, self.missing or "ready"

    async def reload(self) -> str | None:
        self.reloads += 1
        return self.complaint


@dataclass
class Served:
    """A running server and a client that talks to it."""

    url: str
    client: aiohttp.ClientSession

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port


@asynccontextmanager
async def served(
    scraper: FakeScraper | None = None,
    health: FakeHealth | None = None,
    config_file: Path | None = None,
    grace_seconds: float = 5.0,
    status: StatusView | None = None,
    listen: str = "127.0.0.1:0",
) -> AsyncIterator[Served]:
    """Serve fakes on a free port of the loopback."""
    pages = PageSettings(status)
    site = Site(scraper or FakeScraper(), health or FakeHealth(), pages=lambda: pages)
    async with (
        serving(site, [listen], config_file, grace_seconds) as (url,),
        aiohttp.ClientSession(
            headers={"Accept-Encoding": "identity"}, auto_decompress=False
        ) as client,
    ):
        yield Served(url, client)


@asynccontextmanager
async def connected(
    address: tuple[str, int],
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a bare connection, and close it however the server behaved."""
    reader, writer = await asyncio.open_connection(*address, limit=4096)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def ask(address: tuple[str, int], text: str) -> bytes:
    """Send bytes as they are, and read until the server closes."""
    async with connected(address) as (reader, writer), asyncio.timeout(10):
        writer.write(text.encode("latin-1"))
        await writer.drain()
        return await reader.read()
