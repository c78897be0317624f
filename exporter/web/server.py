"""The HTTP server: listeners, connections and the middlewares before every route."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

from aiohttp import http_exceptions, web

from exporter.errors import ConfigError
from exporter.web.connections import Connection, Connections, affordable
from exporter.web.guard import Answer, Guard
from exporter.web.respond import PageLimit
from exporter.web.routes import Site, add_routes
from exporter.web.tls import Rules, WebFile
from exporter.web.webconfig import WebConfig

BACKLOG = 128
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - recognised, not bound by default


def bind(address: str) -> socket.socket:
    """Bind ``host:port``, ``[v6]:port`` or ``:port`` (every address of the machine, v4 and v6)."""
    host, port = _split(address)
    try:
        return _everywhere(port) if not host else _at(host, port)
    except (OSError, UnicodeError) as error:  # a label that is too long is a UnicodeError
        raise ConfigError(f"--web.listen-address {address}: {_reason(error)}") from error


def url(sock: socket.socket, scheme: str) -> str:
    """Spell where a bound socket is reached from this machine."""
    host, port = sock.getsockname()[:2]
    if host in _WILDCARDS:
        host = "localhost"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _reason(error: OSError | UnicodeError) -> str:
    number = getattr(error, "errno", None) or 0
    return os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    plain = host[1:-1] if bracketed else host
    if not colon or (":" in plain) != bracketed or "[" in plain:
        raise ConfigError(
            f"--web.listen-address {address}: expected HOST:PORT, [IPV6]:PORT or :PORT"
        )
    if not (port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ConfigError(f"--web.listen-address {address}: expected a port from 0 to 65535")
    return plain, int(port)


def _everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return _listenable(socket.AF_INET6, ("::", port), dualstack=True)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:  # IPv6 compiled in, but switched off
                raise
    return _listenable(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104 - asked for


def _at(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name such as localhost means one socket, as in Go: its IPv4 address when it has one.
    family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
    return _listenable(family, where)


def _listenable(
    family: int, where: tuple[int | str | bytes, ...], *, dualstack: bool = False
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dualstack else 1)
        sock.setblocking(False)
        sock.bind(where)
        # Here and not later: an address that is taken may only show itself now.
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


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
) -> AsyncIterator[list[str]]:
    """Serve while the block runs and yield the URLs; requests that run at its end complete.

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
    sockets = _bind_all(listen)
    await runner.setup()
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


def _bind_all(listen: Sequence[str]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for address in listen:
            sockets.append(bind(address))  # noqa: PERF401 - those bound before a failure are closed
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


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
