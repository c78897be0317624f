"""A small HTTP server whose answers a test writes itself."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.pki import Authority, Pair

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve on a free loopback port; yield the URL."""
    server = web.Server(handler, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def never() -> None:
    """Wait until the client has gone."""
    await asyncio.Event().wait()


def json(body: str = "{}", status: int = 200, **headers: str) -> web.Response:
    """Answer as an API server does."""
    return web.Response(
        text=body, status=status, content_type="application/json", headers=headers or None
    )


def server_side(directory: Path, pair: Pair, clients: Authority | None = None) -> ssl.SSLContext:
    """Make a server's TLS context; with *clients*, these sign the certificates it asks for."""
    cert, key = pair.write(directory, "server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem)
    return context
