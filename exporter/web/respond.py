"""Responses with one body: gzip when asked for, an exact length, bounded in time and memory."""

import asyncio
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Final

from aiohttp import ClientConnectionResetError, hdrs, web

from exporter.web.negotiate import Format, choose_format, prefers, wants_gzip
from exporter.web.ports import Scraper

try:
    from isal import isal_zlib as backend
except ImportError:  # no wheel for this processor; two to three times slower
    import zlib as backend  # type: ignore[no-redef] # the same interface

PIECE_BYTES: Final = 256 * 1024
"""What is rendered, compressed or written in one turn of the loop: a millisecond or two."""

_LEVEL: Final = 1
"""Metrics shrink tenfold; a better level costs more CPU than it saves bytes."""

_GZIP: Final = 31
"""The window of 32 KiB (15), plus 16 for a gzip header and trailer."""


async def gzipped(segments: Iterable[bytes]) -> bytes:
    """Make one gzip member of segments; no more than one of them exists at a time."""
    compressor = backend.compressobj(level=_LEVEL, wbits=_GZIP)
    blocks = [compressor.compress(piece) async for piece in paced(segments)]
    return b"".join([*blocks, compressor.flush()])  # a write costs more than a copy


def pieces(segments: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    """Cut segments into pieces of at most PIECE_BYTES."""
    for segment in segments:
        view = memoryview(segment)
        for start in range(0, len(view), PIECE_BYTES):
            yield view[start : start + PIECE_BYTES]


async def paced(segments: Iterable[bytes | memoryview]) -> AsyncIterator[memoryview]:
    """Yield pieces; others get a turn of the loop after every PIECE_BYTES."""
    done = 0
    for piece in pieces(segments):
        yield piece
        done += len(piece)
        if done >= PIECE_BYTES:
            done = 0
            await asyncio.sleep(0)


log = logging.getLogger(__name__)
Bytes = bytes | memoryview

# A body is lost on a client that takes longer than this, and so is what it holds of our memory.
SEND_SECONDS: Final = 60.0

MAX_HEADER_CHARACTERS: Final = 2048
"""Of one negotiating header, its repetitions included; Prometheus sends 300, browsers 150."""


def header(request: web.Request, name: str) -> str:
    """Join all values of a header to the one list that they are.

    Raises:
        HTTPRequestHeaderFieldsTooLarge: it is longer than MAX_HEADER_CHARACTERS.
    """
    values = request.headers.getall(name, [])
    if sum(map(len, values)) > MAX_HEADER_CHARACTERS:
        raise web.HTTPRequestHeaderFieldsTooLarge(
            text=f"{name}: more than {MAX_HEADER_CHARACTERS} characters\n"
        )
    return ", ".join(values)


MAX_PAGES: Final = 16
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageLimit:
    """A middleware that bounds how many pages and API requests are answered at once.

    Streams of blocked requests have a limit of their own.
    """

    def __init__(self) -> None:
        self._running = 0

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Call the handler, or refuse the request while MAX_PAGES others run."""
        if not _is_page(request):
            return await handler(request)
        if self._running >= MAX_PAGES:
            return _busy(f"{MAX_PAGES} pages and API requests are running already\n")
        self._running += 1
        try:
            return await handler(request)
        finally:
            self._running -= 1


def _is_page(request: web.Request) -> bool:
    if request.path == "/api/v1/blocks":
        return not prefers(header(request, hdrs.ACCEPT), "text/event-stream")
    return request.path == "/" or request.path.startswith("/api/")


async def encode(request: web.Request, segments: Iterable[bytes]) -> tuple[Sequence[Bytes], str]:
    """Compress a body if the client prefers that; return it with the coding's name, or none."""
    if wants_gzip(header(request, hdrs.ACCEPT_ENCODING)):
        return [await gzipped(segments)], "gzip"
    return [piece async for piece in paced(segments)], ""


async def send(
    request: web.Request,
    segments: Sequence[Bytes],
    headers: Mapping[str, str],
    status: int = 200,
    until: float | None = None,
) -> web.StreamResponse:
    """Send segments that are already coded as ``headers`` announce.

    A client that has not taken them all by ``until`` (loop time) is cut off.
    """
    when = asyncio.get_running_loop().time() + SEND_SECONDS if until is None else until
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = sum(len(segment) for segment in segments)
    try:
        async with asyncio.timeout_at(when):
            await _write(request, response, segments)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ClientConnectionResetError:
        log.debug("%s disconnected before it received all of %s", request.remote, request.path)
    return response


async def _write(
    request: web.Request, response: web.StreamResponse, segments: Sequence[Bytes]
) -> None:
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        async for piece in paced(segments):
            await response.write(piece)
    await response.write_eof()


async def answer(
    request: web.Request, body: str, content_type: str, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Code and send one text, such as a page."""
    segments, coding = await encode(request, [body.encode()])
    said = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: hdrs.ACCEPT_ENCODING, **(headers or {})}
    if coding:
        said[hdrs.CONTENT_ENCODING] = coding
    return await send(request, segments, said)


MAX_SCRAPES: Final = 40
# Slow readers may hold this much in all; one body is always sent, however long it is.
MAX_HELD_BYTES: Final = 256 * 1024 * 1024
_TIMEOUT_HEADER: Final = "X-Prometheus-Scrape-Timeout-Seconds"
_VARY: Final = f"{hdrs.ACCEPT}, {hdrs.ACCEPT_ENCODING}"


class ScrapeHandler:
    """Serves one scraper; how many bodies wait for their readers, and how long, is bounded."""

    def __init__(self, scraper: Scraper) -> None:
        self._scraper = scraper
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
            return _busy("the scrape was not rendered within its timeout\n")
        size = sum(map(len, segments))
        if self._held_bytes and self._held_bytes + size > MAX_HELD_BYTES:
            return _busy("other clients read their responses too slowly\n")
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
        return await encode(request, await self._scraper.scrape(chosen.openmetrics, names))


def _busy(text: str) -> web.Response:
    return web.Response(status=503, text=text, headers={hdrs.RETRY_AFTER: "1"})


def _patience(request: web.Request) -> float:
    """How many seconds the client waits, by its header; SEND_SECONDS at most."""
    try:
        asked = float(request.headers.get(_TIMEOUT_HEADER, SEND_SECONDS))
    except ValueError:
        return SEND_SECONDS
    return asked if 0 < asked < SEND_SECONDS else SEND_SECONDS
