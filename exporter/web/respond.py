"""Sends one body: gzip when asked for, exact length, nothing held that a client does not take."""

import asyncio
import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence

from aiohttp import ClientConnectionResetError, hdrs, web

from exporter.web.compress import Gzip, paced
from exporter.web.negotiate import wants_gzip
from exporter.web.ports import Part

log = logging.getLogger(__name__)
Bytes = bytes | memoryview

# A body is lost on a client that takes longer than this, and so is what it holds of our memory.
SEND_SECONDS = 60.0


def header(request: web.Request, name: str) -> str:
    """All values of a header, as the one list that they are."""
    return ", ".join(request.headers.getall(name, []))


class Whole:
    """A text that is a body by itself."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    @property
    def content(self) -> Hashable:
        """It is like no other."""
        return self

    def text(self) -> bytes:
        """Give it."""
        return self._text


async def encode(
    request: web.Request, parts: Iterable[Part], gzip: Gzip
) -> tuple[Sequence[Bytes], str]:
    """Compress the parts if the client prefers that; name the coding, or nothing."""
    if wants_gzip(header(request, hdrs.ACCEPT_ENCODING)):
        return await gzip.compress(parts), "gzip"
    return [piece async for piece in paced(part.text() for part in parts)], ""


async def send(
    request: web.Request,
    segments: Sequence[Bytes],
    headers: Mapping[str, str],
    status: int = 200,
    until: float | None = None,
) -> web.StreamResponse:
    """Send segments that are already coded as ``headers`` say.

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
        log.debug("%s hung up before it had all of %s", request.remote, request.path)
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
    segments, coding = await encode(request, [Whole(body.encode())], Gzip())
    said = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: hdrs.ACCEPT_ENCODING, **(headers or {})}
    if coding:
        said[hdrs.CONTENT_ENCODING] = coding
    return await send(request, segments, said)
