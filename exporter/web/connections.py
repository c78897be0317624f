"""Bounds of connections: how many, how long without a request, how long to shake hands."""

import asyncio
import logging
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from traceback import clear_frames
from typing import Final, cast

from aiohttp import web

from exporter.web.tls import ServerTls

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 512
MAX_TLS_CONNECTIONS: Final = 128
"""asyncio holds 300 KB for each, from before the handshake on: 38 MB in all."""

MAX_HANDSHAKES: Final = 32
"""At once; one more cuts the longest, which is slower than any client that means well."""

MAX_HEAD_BYTES: Final = 64 * 1024
"""What a client may send for one request; bodies are not read here."""

HEAD_SECONDS: Final = 10.0
HANDSHAKE_SECONDS: Final = 10.0
GOODBYE_SECONDS: Final = 5.0

_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


def affordable(*, tls: bool) -> int:
    """How many connections, at most half of the file descriptors that the process may open."""
    most = MAX_TLS_CONNECTIONS if tls else MAX_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft < 0 else min(most, soft // 2)


class Connections:
    """Every open connection; at the limit a new one takes the place of the longest idle.

    So a thousand clients that connect and send nothing cannot keep a scraper out: one that is
    being answered is never dropped, and one that waits between scrapes only has to reconnect.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: dict[Connection, None] = {}
        self._busy: dict[Connection, None] = {}
        self._handshakes: dict[Connection, None] = {}
        self._in_line = 0
        self._handshake_slots = asyncio.Semaphore(MAX_HANDSHAKES)

    def __len__(self) -> int:
        return len(self._idle) + len(self._busy)

    def enter(self, connection: "Connection") -> bool:
        """Find room for a new connection; False when all the others are being answered."""
        if len(self) >= self._limit:
            if not self._idle:
                return False
            oldest = next(iter(self._idle))
            self.leave(oldest)
            oldest.drop()
        self._idle[connection] = None
        return True

    def leave(self, connection: "Connection") -> None:
        """Forget a connection that is gone."""
        self._idle.pop(connection, None)
        self._busy.pop(connection, None)

    def drop_all(self) -> None:
        """Cut what is still there."""
        for connection in (*self._idle, *self._busy):
            connection.drop()

    @asynccontextmanager
    async def shaking_hands(self, connection: "Connection") -> AsyncIterator[None]:
        """Wait for a place among the handshakes, for which the longest of them is cut."""
        self._in_line += 1
        self._cut_longest()
        async with self._handshake_slots:
            self._in_line -= 1
            self._handshakes[connection] = None
            self._cut_longest()
            try:
                yield
            finally:
                self._handshakes.pop(connection, None)

    def _cut_longest(self) -> None:
        if self._in_line and len(self._handshakes) >= MAX_HANDSHAKES:
            longest = next(iter(self._handshakes))
            del self._handshakes[longest]
            longest.drop()

    @contextmanager
    def answering(self, protocol: web.RequestHandler) -> Iterator[None]:
        """Protect a connection while a request of its is answered."""
        connection = self._of(protocol)
        if connection is not None:
            del self._idle[connection]
            self._busy[connection] = None
            connection.asked()
        try:
            yield
        finally:
            if connection in self._busy:
                del self._busy[connection]
                self._idle[connection] = None

    def _of(self, protocol: web.RequestHandler) -> "Connection | None":
        return next((each for each in self._idle if each.protocol is protocol), None)


class Connection(asyncio.Protocol):
    """What is between a socket and aiohttp: the TLS handshake, and a limit for the silent.

    TLS begins here and not in the listener, because only so does each handshake use the
    certificates of its moment.
    """

    def __init__(
        self,
        connections: Connections,
        serve: Callable[[], web.RequestHandler],
        tls: Callable[[], ServerTls | None],
    ) -> None:
        self.protocol: web.RequestHandler | None = None
        self._connections = connections
        self._serve = serve
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._hello: int | None = None
        self._early = b""
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, if there is room."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._connections.enter(self):
            self._transport.abort()
            return
        tls = self._tls()
        loop = asyncio.get_running_loop()
        self._silence = loop.call_later(HEAD_SECONDS, self.drop)
        if tls is None:
            self._begin(self._transport)
        else:
            # What was read before the handshake would pass for what came through it.
            self._transport.pause_reading()
            # A client that never begins costs no TLS. A transport's own descriptor cannot be
            # watched by others, a duplicate of it can.
            self._hello = os.dup(self._transport.get_extra_info("socket").fileno())
            loop.add_reader(self._hello, self._begin_handshake, self._transport, tls)

    def asked(self) -> None:
        """Note that a request came in: from here on the idle limit of aiohttp applies."""
        self._head_bytes = 0
        if self._silence is not None:
            self._silence.cancel()

    def drop(self) -> None:
        """Cut the connection without waiting for the client."""
        self._stop_waiting()
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass on; what comes with the end of a handshake waits until its task has run.

        What exceeds MAX_HEAD_BYTES is not even parsed.
        """
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        elif self.protocol is not None:
            self.protocol.data_received(data)
        else:
            self._early += data

    def _refuse_head(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_HEAD_TOO_LARGE)
            self._transport.close()

    def eof_received(self) -> None:
        """Pass on."""
        if self.protocol is not None:
            self.protocol.eof_received()

    def pause_writing(self) -> None:
        """Pass on."""
        if self.protocol is not None:
            self.protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        if self.protocol is not None:
            self.protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room, and pass on."""
        self._stop_waiting()
        self.asked()
        self._connections.leave(self)
        self._transport = None
        if self.protocol is not None:
            self.protocol.connection_lost(exc)

    def _begin_handshake(self, raw: asyncio.Transport, tls: ServerTls) -> None:
        self._stop_waiting()
        shake = self._shake_hands(raw, tls)
        self._handshake = asyncio.get_running_loop().create_task(shake, name="tls-handshake")

    def _stop_waiting(self) -> None:
        if self._hello is not None:
            asyncio.get_running_loop().remove_reader(self._hello)
            os.close(self._hello)
            self._hello = None

    def _begin(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.protocol = self._serve()
        self.protocol.connection_made(transport)
        if self._early:
            self.protocol.data_received(self._early)
            self._early = b""

    async def _shake_hands(self, raw: asyncio.Transport, tls: ServerTls) -> None:
        async with self._connections.shaking_hands(self):
            if raw.is_closing():
                return
            try:
                secured = await asyncio.get_running_loop().start_tls(
                    raw,
                    self,
                    tls.context,
                    server_side=True,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=GOODBYE_SECONDS,
                )
            except OSError as error:
                # asyncio's frames refer to the error, and hold 300 KB each until collected.
                clear_frames(error.__traceback__)
                self._refuse(raw, str(error))
                return
        if secured is None or not tls.admits(secured.get_extra_info("ssl_object")):
            self._refuse(raw, "the client certificate names none of client_allowed_sans")
        else:
            self._begin(secured)

    def _refuse(self, raw: asyncio.Transport, reason: str) -> None:
        log.debug("TLS handshake failed: %s", reason)
        raw.abort()
        self._transport = None
        self._connections.leave(self)
        self.asked()
