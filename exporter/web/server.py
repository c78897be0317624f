"""The HTTP server: listeners, connections and the middlewares before every route."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

from aiohttp import http_exceptions, web

from exporter.web.connections import Connection, Connections, affordable
from exporter.web.guard import Answer, Guard
from exporter.web.listen import BACKLOG, Listeners, bind_all, url
from exporter.web.respond import PageLimit
from exporter.web.routes import Site, add_routes
from exporter.web.tls import Rules, WebFile
from exporter.web.webconfig import WebConfig

# Longer than any sensible scrape interval: a scraper should find its connection again.
IDLE_SECONDS: Final = 180.0
GRACE_SECONDS: Final = 10.0
LINGER_SECONDS: Final = 2.0
_LINE_BYTES: Final = 16 * 1024


@asynccontextmanager
async def serving(
    site: Site,
    listen: Sequence[str],
    config_file: Path | None = None,
    grace_seconds: float = GRACE_SECONDS,
    listeners: Listeners | None = None,
) -> AsyncIterator[list[str]]:
    """Serve while the block runs and yield the URLs; requests that run at its end complete.

    *listeners* have the sockets of *listen*, where those are open already.

    Raises:
        ConfigError: an address or the web configuration cannot be used.
    """
    clock = asyncio.get_running_loop().time
    rules = _rules(config_file, clock)
    connections = Connections(affordable(tls=rules().tls is not None))
    runner = web.AppRunner(
        _application(site, rules, connections, clock),
        access_log=None,
        logger=_logger(),
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=LINGER_SECONDS,
        auto_decompress=False,  # no handler reads a request's body, let alone inflates it
        max_line_size=_LINE_BYTES,
        max_field_size=_LINE_BYTES,
        shutdown_timeout=grace_seconds,
        handler_cancellation=True,  # a client that is gone costs nothing more
    )
    await runner.setup()
    sockets = bind_all(listen) if listeners is None else listeners.hand_over()
    doors = [await _open(sock, runner, connections, rules) for sock in sockets]
    scheme = "http" if rules().tls is None else "https"
    try:
        yield [url(sock, scheme) for sock in sockets]
    finally:
        for door in doors:
            door.close()
        await runner.cleanup()
        connections.drop_all()


def _rules(path: Path | None, clock: Callable[[], float]) -> Callable[[], Rules]:
    if path is None:
        open_to_all = Rules(WebConfig(), None)
        return lambda: open_to_all
    return WebFile(path, clock).current


def _application(
    site: Site, rules: Callable[[], Rules], connections: Connections, clock: Callable[[], float]
) -> web.Application:
    @web.middleware
    async def answering(request: web.Request, handler: Answer) -> web.StreamResponse:
        with connections.answering(request.protocol):
            return await handler(request)

    guard = Guard(lambda: rules().config, clock)
    pages = web.middleware(PageLimit())
    app = web.Application(middlewares=[answering, web.middleware(guard), pages])
    app.on_response_prepare.append(guard.add_headers)
    app.on_shutdown.append(guard.stop)
    add_routes(app, site)
    return app


async def _open(
    sock: socket.socket, runner: web.AppRunner, connections: Connections, rules: Callable[[], Rules]
) -> asyncio.Server:
    serve = cast(Callable[[], web.RequestHandler], runner.server)
    return await asyncio.get_running_loop().create_server(
        lambda: Connection(connections, serve, lambda: rules().tls), sock=sock, backlog=BACKLOG
    )


def _logger() -> logging.Logger:
    """Log what fails in here, and not that a client does not speak HTTP."""
    logger = logging.getLogger("exporter.web.http")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    failure = record.exc_info[1] if record.exc_info else None
    return not isinstance(failure, http_exceptions.HttpProcessingError)
