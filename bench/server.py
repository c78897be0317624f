"""An API server that costs nothing: all is encoded beforehand, in its own process."""

import asyncio
import multiprocessing
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from bench.reports import Shape, line, pages
from exporter.model.resource import POLICY_REPORTS

_EMPTY = b'{"items":[],"kind":"List","metadata":{"resourceVersion":"1"}}'
_GROUP = (
    b'{"kind":"APIResourceList","resources":[{"name":"policyreports","namespaced":true,'
    b'"kind":"PolicyReport","verbs":["list","watch"]}]}'
)
_GROUPS = (
    b'{"kind":"APIGroupList","groups":[{"name":"wgpolicyk8s.io","versions":[{"groupVersion":'
    b'"wgpolicyk8s.io/v1alpha2","version":"v1alpha2"}],"preferredVersion":{"groupVersion":'
    b'"wgpolicyk8s.io/v1alpha2","version":"v1alpha2"}}]}'
)


class Load(NamedTuple):
    """What the server holds: a set, how slow it encodes, and what its watch sends.

    After the list the watch sends ``changes`` rescans at ``rate`` a second.
    """

    shape: Shape
    encode_seconds: float = 0.0
    changes: int = 0
    rate: float = 1_000.0
    page: int = 250


@contextmanager
def serving(load: Load, tls: tuple[str, str] | None = None) -> Iterator[str]:
    """Serve in another process and give the address."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_main, args=(load, tls, there), daemon=True)
    process.start()
    port = here.recv()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


def _main(load: Load, tls: tuple[str, str] | None, pipe: Connection) -> None:
    asyncio.run(_serve(load, tls, pipe))


async def _serve(load: Load, tls: tuple[str, str] | None, pipe: Connection) -> None:
    bodies = list(pages(load.shape, load.page))
    stamp, first = 1_795_003_600, load.shape.reports + 2
    changed = range(min(load.changes, load.shape.reports))
    lines = [line(load.shape, number, stamp, first + number) for number in changed]

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await _answer(load, bodies, lines, head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
    server = await asyncio.start_server(client, "127.0.0.1", 0, ssl=context)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _answer(
    load: Load, bodies: list[bytes], lines: list[bytes], head: bytes, writer: asyncio.StreamWriter
) -> None:
    url = urlsplit(head.split(b" ", 2)[1].decode())
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    if url.path.rstrip("/") == POLICY_REPORTS.path() and query.get("watch"):
        await _watch(load, lines, query, writer)
        return
    body, status = _body(load, bodies, url.path, query), b"200 OK"
    if load.encode_seconds and url.path == POLICY_REPORTS.path():
        await asyncio.sleep(load.encode_seconds * load.page)
    if body is None:
        body, status = b'{"kind":"Status","code":404,"reason":"NotFound"}', b"404 Not Found"
    writer.write(
        b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (status, len(body))
    )
    writer.write(body)
    await writer.drain()


def _body(load: Load, bodies: list[bytes], path: str, query: dict[str, str]) -> bytes | None:
    if path == POLICY_REPORTS.path():
        if query.get("limit") == "1":
            return bodies[0]
        return bodies[int(query.get("continue", "0")) // load.page]
    if path == "/apis":
        return _GROUPS
    if path == "/apis/wgpolicyk8s.io/v1alpha2":
        return _GROUP
    return _EMPTY if path == "/api/v1/namespaces" else None


async def _watch(
    load: Load, lines: list[bytes], query: dict[str, str], writer: asyncio.StreamWriter
) -> None:
    if query.get("sendInitialEvents"):
        body = b'{"kind":"Status","code":422,"reason":"Invalid","message":"sendInitialEvents"}'
        head = b"HTTP/1.1 422 Unprocessable\r\nContent-Type: application/json\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        return
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    clock = asyncio.get_running_loop().time
    began = clock()
    for number, raw in enumerate(lines):
        ahead = began + number / load.rate - clock()
        if ahead > 0.005:
            await writer.drain()
            await asyncio.sleep(ahead)
        writer.write(b"%x\r\n%s\r\n" % (len(raw), raw))
        if number % 64 == 0:
            await writer.drain()
    await writer.drain()
    await asyncio.sleep(3600)
