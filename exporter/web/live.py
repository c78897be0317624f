"""Sends blocked requests to browsers as they happen, by server-sent events."""

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec
from aiohttp import ClientConnectionResetError, hdrs, web

from exporter.view.values import BlockedRequest, StatusView

MAX_LISTENERS = 32
MAX_QUEUED = 100
BEAT_SECONDS = 15.0
WRITE_SECONDS = 10.0
_HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",
    hdrs.VARY: hdrs.ACCEPT,
}


class Listener:
    """Blocked requests that one browser has not been sent; the oldest go when there are many."""

    def __init__(self, missed: Sequence[BlockedRequest]) -> None:
        self._queue = deque(missed, MAX_QUEUED)
        self._news = asyncio.Event()
        self.ended = False
        if missed:
            self._news.set()

    def hear(self, block: BlockedRequest) -> None:
        """Take one in."""
        self._queue.append(block)
        self._news.set()

    def end(self) -> None:
        """Let the stream end."""
        self.ended = True
        self._news.set()

    async def next(self) -> list[BlockedRequest]:
        """Wait for news, but not longer than a heartbeat."""
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return []
        self._news.clear()
        news = list(self._queue)
        self._queue.clear()
        return news


class Live:
    """All the streams that are open; a bounded number, ended before the server stops."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    async def stop(self, _: web.Application) -> None:
        """End every stream."""
        for listener in self._listeners:
            listener.end()

    async def stream(
        self, request: web.Request, view: StatusView, after: int
    ) -> web.StreamResponse:
        """Send what was blocked after ``after``, then what is blocked from now on."""
        if len(self._listeners) >= MAX_LISTENERS:
            later = {hdrs.RETRY_AFTER: "30"}
            return web.Response(status=503, text="too many streams are open\n", headers=later)
        missed = [each for each in view.blocked() if each.id > after]
        # By arrival: a browser asks again for what comes after the last one that it was sent.
        listener = Listener(sorted(missed, key=lambda each: each.id))
        unsubscribe = view.subscribe(listener.hear)
        self._listeners.add(listener)
        try:
            return await _pour(request, listener)
        finally:
            self._listeners.discard(listener)
            unsubscribe()


async def _pour(request: web.Request, listener: Listener) -> web.StreamResponse:
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    text = b"retry: 1000\n\n"
    while not listener.ended:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(text)
        except TimeoutError:
            _cut(request)
            break
        except ClientConnectionResetError:
            break
        text = b"".join(map(_event, await listener.next())) or b": still here\n\n"
    return response


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _event(block: BlockedRequest) -> bytes:
    return b"id: %d\nevent: blocked\ndata: %b\n\n" % (block.id, msgspec.json.encode(block))
