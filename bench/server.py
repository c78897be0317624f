"""An API server that costs little: it encodes beforehand, or from templates, in its own process."""

import asyncio
import multiprocessing
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

from bench.api import Api, certificates
from bench.changes import Changes, Mix
from bench.events import event
from bench.reports import Reports, Shape, line, page
from exporter.model.resource import EVENTS, POLICY_REPORTS, Resource

FLOW = "/bench/flow"
_EMPTY = b'{"items":[],"kind":"EventList","metadata":{"resourceVersion":"%d"}}'
_CLUSTER = b'{"kind":"Namespace","metadata":{"name":"kube-system","uid":"bench"}}'
_NOT_FOUND = b'{"kind":"Status","code":404,"reason":"NotFound"}'
_NO_STREAM = b'{"kind":"Status","code":422,"reason":"Invalid","message":"sendInitialEvents"}'
_PIECE = 2**18


class Load(NamedTuple):
    """What the server holds: a set, and how slowly it encodes.

    ``beforehand`` takes 6.4 kB of the server's memory for each report; else pages are made when
    they are asked for. ``mix`` is what its flows of changes consist of; of Events it keeps so many,
    and deletes the oldest, 0 for all.
    """

    shape: Shape
    encode_seconds: float = 0.0
    beforehand: bool = True
    mix: Mix = Mix()
    events_kept: int = 0
    page: int = 250


@contextmanager
def serving(load: Load, *, tls: bool = False) -> Iterator[Api]:
    """Serve in another process, and say how to reach it."""
    with certificates(wanted=tls) as files:
        here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_main, args=(load, files[1:], there), daemon=True)
        process.start()
        there.close()
        try:
            scheme = "https" if tls else "http"
            yield Api(f"{scheme}://127.0.0.1:{here.recv()}", files[0])
        finally:
            process.terminate()
            process.join()


def _main(load: Load, tls: tuple[str, ...], pipe: Connection) -> None:
    asyncio.run(_serve(load, tls, pipe))


async def _serve(load: Load, tls: tuple[str, ...], pipe: Connection) -> None:
    context = None
    if all(tls):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
    answers = _Server(load)
    server = await asyncio.start_server(answers.client, "127.0.0.1", 0, ssl=context)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _Lists:
    """The pages of a set, of all namespaces or of one."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._reports = Reports(load.shape)
        self._made: dict[tuple[int, int], bytes] = {}
        if load.beforehand:
            for first in range(0, load.shape.reports, load.page):
                self.page(-1, first)
        if load.beforehand and load.encode_seconds:
            for namespace in range(load.shape.namespaces):
                self.page(namespace, 0)

    def page(self, namespace: int, first: int) -> bytes:
        """Give the page of a namespace (-1: of all) that begins at a position."""
        made = self._made.get((namespace, first)) or self._page(namespace, first)
        if self._load.beforehand:
            self._made[namespace, first] = made
        return made

    def _page(self, namespace: int, first: int) -> bytes:
        shape, last = self._load.shape, first + self._load.page
        if namespace < 0:
            cont = str(last) if last < shape.reports else ""
            numbers = [*map(shape.at, range(first, min(last, shape.reports)))]
        else:
            all_numbers = range(namespace, shape.reports, shape.namespaces)
            cont, numbers = str(last) if last < len(all_numbers) else "", [*all_numbers[first:last]]
        return page(self._reports, numbers, cont)


class _Server:
    """Answers requests; sends flows to the watch that was opened last."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._lists = _Lists(load)
        self._reports = Reports(load.shape)
        self._changes = iter(Changes(load.shape, load.mix))
        self._watches: dict[str, asyncio.StreamWriter] = {}
        self._version = load.shape.reports + 1
        self._events = 0
        self._expired = 0

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                url = urlsplit(head.split(b" ", 2)[1].decode())
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                if query.get("watch"):
                    await self._watch(url.path, query, writer)
                elif url.path == FLOW:
                    await _respond(writer, await self._flow(query))
                else:
                    await self._list(url.path, query, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _list(self, path: str, query: dict[str, str], writer: asyncio.StreamWriter) -> None:
        plural = path.rpartition("/")[2]
        if not (plural == POLICY_REPORTS.plural and path.startswith("/apis/wgpolicyk8s.io/")):
            body = _body(path, self._load.shape)
            await _respond(writer, body or _NOT_FOUND, b"200 OK" if body else b"404 Not Found")
            return
        of_one = "/namespaces/" in path
        namespace = int(path.split("/")[-2].rpartition("-")[2]) if of_one else -1
        body = self._lists.page(namespace, int(query.get("continue") or "0"))
        if self._load.encode_seconds:
            count = body.count(b'"kind":"PolicyReport"')
            await asyncio.sleep(self._load.encode_seconds * count)
        await _respond(writer, body)

    async def _watch(self, path: str, query: dict[str, str], writer: asyncio.StreamWriter) -> None:
        if query.get("sendInitialEvents"):
            await _respond(writer, _NO_STREAM, b"422 Unprocessable")
            return
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        self._watches[path.rpartition("/")[2]] = writer

    async def _flow(self, query: dict[str, str]) -> bytes:
        """Send so many changes at so many a second; answer when each was sent, in seconds.

        The clock is the machine's: another process can compare.
        """
        plural, rate = query["plural"], float(query["rate"])
        writer, clock, sent = self._watches[plural], asyncio.get_running_loop().time, list[float]()
        began = clock()
        async for due in _paced(int(query["count"]), rate):
            for _ in range(due):
                raw = self._line(plural)
                writer.write(b"%x\r\n%b\r\n" % (len(raw), raw))
                sent.append(clock())
            await writer.drain()
        return msgspec.json.encode({"sent": sent, "seconds": clock() - began})

    def _line(self, plural: str) -> bytes:
        self._version += 1
        if plural == EVENTS.plural:
            kept = self._load.events_kept
            if kept and self._events - self._expired >= kept:
                self._expired += 1
                return line(event(self._expired, self._version), "DELETED")
            self._events += 1
            return line(event(self._events, self._version), "ADDED")
        change = next(self._changes)
        turn = change.turn
        return line(
            self._reports.encode(change.number, change.stamp, self._version, turn), change.type
        )


async def _paced(count: int, rate: float) -> AsyncIterator[int]:
    """Say how many are due, again and again, until all were; at rate 0 all that can be sent."""
    clock = asyncio.get_running_loop().time
    began, done = clock(), 0
    while done < count:
        due = (
            min(int((clock() - began) * rate) + 1, count) - done if rate else min(64, count - done)
        )
        if due:
            yield due
            done += due
        elif rate:
            await asyncio.sleep(0.001)


async def _respond(writer: asyncio.StreamWriter, body: bytes, status: bytes = b"200 OK") -> None:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % (status, len(body)))
    view = memoryview(body)
    for at in range(0, len(body), _PIECE):
        writer.write(view[at : at + _PIECE])
        await writer.drain()


def _body(path: str, shape: Shape) -> bytes | None:
    """Give what is not a report, None where there is nothing."""
    bodies: dict[str, Callable[[], bytes]] = {
        "/apis": _groups,
        "/apis/wgpolicyk8s.io/v1alpha2": partial(_resources, POLICY_REPORTS),
        "/apis/events.k8s.io/v1": partial(_resources, EVENTS),
        EVENTS.path(): lambda: _EMPTY % (shape.reports + 1),
        "/api/v1/namespaces/kube-system": lambda: _CLUSTER,
        "/api/v1/namespaces": partial(_namespaces, shape.namespaces),
    }
    return bodies[path]() if path in bodies else None


def _namespaces(count: int) -> bytes:
    items = [{"metadata": {"name": f"namespace-{number:05d}"}} for number in range(count)]
    return msgspec.json.encode({"items": items, "metadata": {"resourceVersion": "1"}})


def _groups() -> bytes:
    groups = []
    for resource in (POLICY_REPORTS, EVENTS):
        version = {"groupVersion": resource.api_version, "version": resource.version}
        groups.append({"name": resource.group, "versions": [version], "preferredVersion": version})
    return msgspec.json.encode({"kind": "APIGroupList", "groups": groups})


def _resources(resource: Resource) -> bytes:
    served: dict[str, object] = {"name": resource.plural, "namespaced": True, "kind": resource.kind}
    served["verbs"] = ["list", "watch"]
    return msgspec.json.encode({"kind": "APIResourceList", "resources": [served]})
