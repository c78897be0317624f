"""Answers scrapes: negotiated, within the time that Prometheus gives, a bounded number at once."""

import asyncio
from collections.abc import Sequence

from aiohttp import hdrs, web

from exporter.web.compress import Gzip
from exporter.web.negotiate import Format, choose_format
from exporter.web.ports import Scraper
from exporter.web.respond import SEND_SECONDS, Bytes, encode, header, send

MAX_SCRAPES = 40
# Slow readers may hold this much in all; one body is always sent, however long it is.
MAX_HELD_BYTES = 256 * 1024 * 1024
_TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
_VARY = f"{hdrs.ACCEPT}, {hdrs.ACCEPT_ENCODING}"


class Scrapes:
    """Serves one scraper; how many bodies wait for their readers, and how long, is bounded."""

    def __init__(self, scraper: Scraper) -> None:
        self._scraper = scraper
        self._gzip = Gzip()
        self._running = 0
        self._held_bytes = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one scrape, or refuse it while too many others run."""
        if self._running >= MAX_SCRAPES:
            return _busy(f"{MAX_SCRAPES} scrapes are running already\n")
        self._running += 1
        try:
            return await self._answer(request)
        finally:
            self._running -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        until = asyncio.get_running_loop().time() + _patience(request)
        chosen = choose_format(header(request, hdrs.ACCEPT))
        try:
            async with asyncio.timeout_at(until):
                segments, coding = await self._render(request, chosen)
        except TimeoutError:
            return _busy("not rendered within the scrape timeout\n")
        size = sum(map(len, segments))
        if self._held_bytes and self._held_bytes + size > MAX_HELD_BYTES:
            return _busy("other scrapers are slow to read\n")
        headers: dict[str, str] = {hdrs.CONTENT_TYPE: chosen.content_type, hdrs.VARY: _VARY}
        if coding:
            headers[hdrs.CONTENT_ENCODING] = coding
        self._held_bytes += size
        try:
            return await send(request, segments, headers, until=until)
        finally:
            self._held_bytes -= size

    async def _render(self, request: web.Request, chosen: Format) -> tuple[Sequence[Bytes], str]:
        names = frozenset(request.query.getall("name[]", []))
        parts = await self._scraper.scrape(chosen.openmetrics, names)
        return await encode(request, parts, self._gzip)


def _busy(text: str) -> web.Response:
    return web.Response(status=503, text=text, headers={hdrs.RETRY_AFTER: "1"})


def _patience(request: web.Request) -> float:
    """How many seconds the client waits, as far as it says so."""
    try:
        asked = float(request.headers.get(_TIMEOUT_HEADER, SEND_SECONDS))
    except ValueError:
        return SEND_SECONDS
    return asked if 0 < asked < SEND_SECONDS else SEND_SECONDS
