"""Bounds the connections: how many, how long without a request, how long to shake hands."""

import asyncio
import logging
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from aiohttp import web

from exporter.web.tls import ServerTls

LOG = logging.getLogger(__name__)

MAX_CONNECTIONS = 512
HEAD_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
GOODBYE_SECONDS = 5.0


def affordable() -> int:
    """MAX_CONNECTIONS, or half of the file descriptors that this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft < 0 else min(MAX_CONNECTIONS, soft // 2)


class Connections:
    """Every open connection; at the limit a new one takes the place of the longest idle.

    So a thousand clients that connect and say nothing cannot keep a scraper out: one that is
    being answered is never dropped, and one that waits between scrapes only has to reconnect.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: dict[Connection, None] = {}
        self._busy: dict[Connection, None] = {}

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
    """Stands between a socket and aiohttp: shakes hands first, and gives up on the silent.

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
        self._early = b""

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
            shake = self._shake_hands(self._transport, tls)
            self._handshake = loop.create_task(shake, name="tls-handshake")

    def asked(self) -> None:
        """Note that a request came in: from here on the idle limit of aiohttp applies."""
        if self._silence is not None:
            self._silence.cancel()

    def drop(self) -> None:
        """Cut the connection without waiting for anybody."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass on; what comes with the end of a handshake waits until its task has run."""
        if self.protocol is not None:
            self.protocol.data_received(data)
        else:
            self._early += data

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
        self.asked()
        self._connections.leave(self)
        if self.protocol is not None:
            self.protocol.connection_lost(exc)

    def _begin(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.protocol = self._serve()
        self.protocol.connection_made(transport)
        if self._early:
            self.protocol.data_received(self._early)
            self._early = b""

    async def _shake_hands(self, raw: asyncio.Transport, tls: ServerTls) -> None:
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
            self._refuse(raw, str(error))
            return
        if secured is None or not tls.admits(secured.get_extra_info("ssl_object")):
            self._refuse(raw, "the client certificate names none of client_allowed_sans")
        else:
            self._begin(secured)

    def _refuse(self, raw: asyncio.Transport, reason: str) -> None:
        LOG.debug("TLS handshake failed: %s", reason)
        raw.abort()
        self._connections.leave(self)
        self.asked()
