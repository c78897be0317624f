"""The HTTP server: a request in, the cluster's answer or an ordered fault out."""

import asyncio
import ssl
import time
from collections.abc import Iterable
from typing import Any, Self

import msgspec
from aiohttp import web
from isal import igzip

from exporter.model.resource import Resource
from exporter.simulator import (
    discovery,
    faults,
    lists,
    query,
    reports_server,
    tables,
    watches,
    writes,
)
from exporter.simulator.access import Access
from exporter.simulator.faults import Call, Fault, Faults
from exporter.simulator.query import Address, Form
from exporter.simulator.registry import Registry, Served
from exporter.simulator.status import PathNotFound, Refusal, not_found
from exporter.simulator.store import Store
from exporter.simulator.views import data_as, partial, raw_as
from exporter.simulator.wire import Ended, Wire, abort

Object = dict[str, Any]

GZIP_ABOVE_BYTES = 128 * 1024
_JSON = "application/json"
_HEALTH = ("livez", "readyz", "healthz")
_VERBS = {"POST": "create", "PUT": "update", "DELETE": "delete"}


class Simulator:
    """An API server over a store, on loopback; use as an async context manager.

    ``aggregated`` names the API groups that a reports-server answers for. ``watch_list`` False
    refuses sendInitialEvents, as servers before 1.32 do.
    """

    def __init__(  # noqa: PLR0913 - what a server is made of
        self,
        store: Store | None = None,
        *,
        registry: Registry | None = None,
        access: Access | None = None,
        aggregated: Iterable[str] = (),
        watch_list: bool = True,
        bookmark_seconds: float = 60,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.store = store or Store(time.time)
        self.registry = registry or Registry()
        self.access = access or Access()
        self.faults = Faults()
        self.aggregated = frozenset(aggregated)
        self.watch_list = watch_list
        self.bookmark_seconds = bookmark_seconds
        self.url = ""
        self._tls = tls
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; ``url`` says where. Raises OSError where the address is in use."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # Without cancellation a watch whose client has gone lives on until its next line.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=self._tls).start()
        bound_host, bound_port = self._runner.addresses[0][:2]
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://{bound_host}:{bound_port}"

    async def stop(self) -> None:
        """Close everything, running watches included."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def unserve(self, resource: Resource) -> None:
        """Delete a CRD: its objects go, its watches end, its path is not found.

        Where another version of it is still served, only this version goes.
        """
        served = self.registry.find(resource.group, resource.version, resource.plural)
        self.registry.stop(resource)
        if served and not any(each.storage == served.storage for each in self.registry.served()):
            for stored in self.store.all(served.storage):
                name = stored.data["metadata"]["name"]
                self.store.delete(served.storage, stored.namespace, name)
        self.store.tick()

    def serve(self, resource: Resource) -> None:
        """Create the CRD, or serve another version of it."""
        self.registry.start(resource)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._routed(request)
        except Refusal as refusal:
            return _json(refusal.body, refusal.code)
        except PathNotFound:
            return web.Response(status=404, text="404 page not found\n")
        except (Ended, ConnectionResetError):
            # The client is gone, or was meant to see a break: there is nobody to answer.
            return web.Response(status=500)

    async def _routed(self, request: web.Request) -> web.StreamResponse:
        at = query.address(request.path)
        call = _call(at, request)
        struck = self.faults.strike(call)
        for fault in struck:
            await _befall(fault, request)
            if isinstance(fault, faults.Answer):
                body = fault.content()
                headers = {"Content-Type": fault.content_type, **fault.headers}
                return web.Response(status=fault.status, body=body, headers=headers)
        first = request.path.strip("/").partition("/")[0]
        if first in _HEALTH:
            return web.Response(text="ok")
        user = self.access.user(request.headers.get("Authorization", ""))
        if at is None:
            accept = request.headers.get("Accept", "")
            body, content_type = discovery.answer(self.registry, request.path, accept)
            return _json(body, content_type=content_type)
        served = self.registry.find(at.group, at.version, at.plural)
        if served is None or (at.namespace and not served.resource.namespaced):
            raise PathNotFound
        self.access.check(user, call.verb, served.resource, at.namespace)
        return await self._served(request, at, served, call.verb, struck)

    async def _served(
        self, request: web.Request, at: Address, served: Served, verb: str, struck: list[Fault]
    ) -> web.StreamResponse:
        form = query.form(request.headers.get("Accept", ""), request.query.get("includeObject", ""))
        if faults.AsTable() in struck:
            form = Form("Table")
        manager = request.headers.get("User-Agent", "unknown").partition("/")[0]
        match verb:
            case "watch":
                return await self._watch(request, at, served, form, struck)
            case "list":
                return await self._list(request, at, served, form, struck)
            case "get":
                return self._get(at, served, form)
            case "create":
                body = await _json_body(request)
                stored = writes.create(self.store, served, at, body, manager)
                return _json(raw_as(stored, served), 201)
            case "update":
                body = await _json_body(request)
                stored = writes.replace(self.store, served, at, body, manager)
                return _json(raw_as(stored, served))
            case "delete" if at.name:
                return _json(msgspec.json.encode(writes.delete(self.store, served, at)))
            case _:
                raise Refusal(
                    405, "the server does not allow this method on the requested resource"
                )

    def _get(self, at: Address, served: Served, form: Form) -> web.Response:
        stored = self.store.get(served.storage, at.namespace, at.name)
        if stored is None:
            raise not_found(served.resource, at.name)
        if served.resource.group in self.aggregated:
            stored = reports_server.marked(stored)
        if form.name == "Table":
            row = tables.row(data_as(stored, served), served, self.store.clock(), form.include)
            metadata = {"resourceVersion": str(stored.version)}
            return _json(msgspec.json.encode(tables.table(served, [row], metadata)))
        if form.name == "Partial":
            return _json(msgspec.json.encode(partial(stored.data)))
        return _json(raw_as(stored, served) + b"\n")

    async def _list(
        self, request: web.Request, at: Address, served: Served, form: Form, struck: list[Fault]
    ) -> web.StreamResponse:
        options = query.options(request.query, watch_list=self.watch_list)
        if served.resource.group in self.aggregated:
            found = reports_server.page(self.store, served, at.namespace)
        else:
            found = lists.page(self.store, served, at.namespace, options)
        if faults.EmptyList() in struck:
            found = found._replace(objects=[])
        body = lists.body(found, served, form, self.store.clock())
        for fault in struck:
            if isinstance(fault, faults.CutBody):
                return await _cut(request, body, fault)
        if len(body) > GZIP_ABOVE_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers = {"Content-Encoding": "gzip", "Content-Type": _JSON, "Vary": "Accept-Encoding"}
            return web.Response(body=igzip.compress(body, compresslevel=1), headers=headers)
        return _json(body)

    async def _watch(
        self, request: web.Request, at: Address, served: Served, form: Form, struck: list[Fault]
    ) -> web.StreamResponse:
        options = query.options(request.query, watch_list=self.watch_list)
        broadcast = served.resource.group in self.aggregated
        watch_class = reports_server.BroadcastWatch if broadcast else watches.Watch
        watch = watch_class(self.store, served, at.namespace, options, form)
        seconds = options.timeout or watches.DEFAULT_SECONDS
        bookmark_seconds = self.bookmark_seconds if options.bookmarks and not broadcast else 0
        wire = Wire(request, struck)
        still = lambda: self.registry.find(at.group, at.version, at.plural) is not None  # noqa: E731
        try:
            await wire.open()
            async for line in watches.lines(watch, still, seconds, bookmark_seconds):
                await wire.send(line)
        except Ended:
            pass
        return wire.response


def _call(at: Address | None, request: web.Request) -> Call:
    now = asyncio.get_running_loop().time()
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if at is None:
        return Call("", "discover", "", dict(request.query), 1, now, token)
    resource = f"{at.plural}.{at.group}" if at.group else at.plural
    verb = _VERBS.get(request.method, request.method.lower())
    if verb == "get" and not at.name:
        verb = "list"
    if verb == "list" and request.query.get("watch", "").lower() in ("1", "true"):
        verb = "watch"
    page = 1
    if token_text := request.query.get("continue"):
        page = query.Token.decoded(token_text).page
    return Call(resource, verb, at.namespace, dict(request.query), page, now, token)


async def _json_body(request: web.Request) -> bytes:
    if request.content_type not in ("application/json", "application/octet-stream"):
        message = (
            "the body of the request was in an unknown format - "
            "accepted media types include: application/json"
        )
        raise Refusal(415, message, reason="UnsupportedMediaType")
    return await request.read()


async def _befall(fault: Fault, request: web.Request) -> None:
    match fault:
        case faults.Delay(seconds):
            await asyncio.sleep(seconds)
        case faults.Hang():
            await asyncio.Event().wait()
        case faults.Reset():
            abort(request)
            raise Ended
        case _:
            pass


async def _cut(request: web.Request, body: bytes, fault: faults.CutBody) -> web.StreamResponse:
    headers = {"Content-Type": _JSON, "Content-Length": str(len(body))}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(body[: fault.after])
    if fault.reset:
        abort(request)
    elif request.transport:
        request.transport.close()
    return response


def _json(body: bytes, status: int = 200, content_type: str = _JSON) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": content_type})
