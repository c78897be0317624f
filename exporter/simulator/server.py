"""The HTTP server: a request in, the cluster's answer out."""

import ssl
import time
from typing import Any, Self

import msgspec
from aiohttp import web
from isal import igzip

from exporter.model.resource import Resource
from exporter.simulator import discovery, lists, query, tables, watches, writes
from exporter.simulator.query import Address, Form, ListOptions
from exporter.simulator.registry import Registry, Served
from exporter.simulator.status import PathNotFound, Refusal, not_found
from exporter.simulator.store import Store, StoredObject
from exporter.simulator.views import data_as, partial, raw_as
from exporter.simulator.watches import Watch

Object = dict[str, Any]

GZIP_ABOVE_BYTES = 128 * 1024
JSON = "application/json"
_HEALTH = ("livez", "readyz", "healthz")
_VERBS = {"POST": "create", "PUT": "update", "DELETE": "delete"}


class Simulator:
    """An API server over a store, on loopback; use as an async context manager.

    ``watch_list`` False refuses sendInitialEvents, as servers before 1.32 do. Methods from
    ``_authenticate`` on are hooks: the API server of the tests overrides them to refuse and break.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        registry: Registry | None = None,
        watch_list: bool = True,
        bookmark_seconds: float = 60,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.store = store or Store(time.time)
        self.registry = registry or Registry()
        self.watch_list = watch_list
        self.bookmark_seconds = bookmark_seconds
        self.url = ""
        self._tls = tls
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; ``url`` is where. Raises OSError where the address is in use."""
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
            return json_response(refusal.body, refusal.code)
        except PathNotFound:
            return web.Response(status=404, text="404 page not found\n")
        except ConnectionResetError:
            # The client is gone: there is nobody to answer.
            return web.Response(status=500)

    async def _routed(self, request: web.Request) -> web.StreamResponse:
        at = query.address(request.path)
        first = request.path.strip("/").partition("/")[0]
        if first in _HEALTH:
            return web.Response(text="ok")
        self._authenticate(request)
        if at is None:
            accept = request.headers.get("Accept", "")
            body, content_type = discovery.answer(self.registry, request.path, accept)
            return json_response(body, content_type=content_type)
        served = self.registry.find(at.group, at.version, at.plural)
        if served is None or (at.namespace and not served.resource.namespaced):
            raise PathNotFound
        verb = verb_of(at, request)
        self._authorize(request, verb, served, at.namespace)
        return await self._served(request, at, served, verb)

    async def _served(
        self, request: web.Request, at: Address, served: Served, verb: str
    ) -> web.StreamResponse:
        form = self._form(request)
        manager = request.headers.get("User-Agent", "unknown").partition("/")[0]
        match verb:
            case "watch":
                return await self._watch(request, at, served, form)
            case "list":
                return await self._list(request, at, served, form)
            case "get":
                return self._get(at, served, form)
            case "create":
                body = await _json_body(request)
                stored = writes.create(self.store, served, at, body, manager)
                return json_response(raw_as(stored, served), 201)
            case "update":
                body = await _json_body(request)
                stored = writes.replace(self.store, served, at, body, manager)
                return json_response(raw_as(stored, served))
            case "delete" if at.name:
                return json_response(msgspec.json.encode(writes.delete(self.store, served, at)))
            case _:
                raise Refusal(
                    405, "the server does not allow this method on the requested resource"
                )

    def _get(self, at: Address, served: Served, form: Form) -> web.Response:
        stored = self.store.get(served.storage, at.namespace, at.name)
        if stored is None:
            raise not_found(served.resource, at.name)
        stored = self._shown(served, stored)
        if form.name == "Table":
            row = tables.row(data_as(stored, served), served, self.store.clock(), form.include)
            metadata = {"resourceVersion": str(stored.version)}
            return json_response(msgspec.json.encode(tables.table(served, [row], metadata)))
        if form.name == "Partial":
            return json_response(msgspec.json.encode(partial(stored.data)))
        return json_response(raw_as(stored, served) + b"\n")

    async def _list(
        self, request: web.Request, at: Address, served: Served, form: Form
    ) -> web.StreamResponse:
        options = query.options(request.query, watch_list=self.watch_list)
        page = self._page(request, served, at.namespace, options)
        body = lists.body(page, served, form, self.store.clock())
        if len(body) > GZIP_ABOVE_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers = {"Content-Encoding": "gzip", "Content-Type": JSON, "Vary": "Accept-Encoding"}
            return web.Response(body=igzip.compress(body, compresslevel=1), headers=headers)
        return json_response(body)

    async def _watch(
        self, request: web.Request, at: Address, served: Served, form: Form
    ) -> web.StreamResponse:
        options = query.options(request.query, watch_list=self.watch_list)
        watch, bookmark_seconds = self._watch_of(served, at.namespace, options, form)
        seconds = options.timeout or watches.DEFAULT_SECONDS
        still = lambda: self.registry.find(at.group, at.version, at.plural) is not None  # noqa: E731
        response = web.StreamResponse(headers={"Content-Type": JSON})
        await response.prepare(request)
        # A client must see that the watch is open although nothing happens.
        await response.write(b"")
        async for line in watches.lines(watch, still, seconds, bookmark_seconds):
            await response.write(line.raw)
        return response

    def _authenticate(self, request: web.Request) -> None:
        """Raise Refusal 401 for a client that is nobody."""

    def _authorize(self, request: web.Request, verb: str, served: Served, namespace: str) -> None:
        """Raise Refusal 403 for what a client may not do."""

    def _form(self, request: web.Request) -> Form:
        """Choose the form of the answer: whole objects, metadata or a Table."""
        return query.form(request.headers.get("Accept", ""), request.query.get("includeObject", ""))

    def _shown(self, _served: Served, stored: StoredObject) -> StoredObject:
        """Give an object as this server shows it."""
        return stored

    def _page(
        self, _request: web.Request, served: Served, namespace: str, options: ListOptions
    ) -> lists.SimulatedPage:
        """Give one page of a list."""
        return lists.page(self.store, served, namespace, options)

    def _watch_of(
        self, served: Served, namespace: str, options: ListOptions, form: Form
    ) -> tuple[Watch, float]:
        """Begin a watch; the second value is the pause between bookmarks in seconds, 0 for none."""
        watch = Watch(self.store, served, namespace, options, form)
        return watch, self.bookmark_seconds if options.bookmarks else 0


def verb_of(at: Address, request: web.Request) -> str:
    """Name what a request does: list, watch, get, create, update or delete."""
    verb = _VERBS.get(request.method, request.method.lower())
    if verb == "get" and not at.name:
        verb = "list"
    if verb == "list" and request.query.get("watch", "").lower() in ("1", "true"):
        verb = "watch"
    return verb


async def _json_body(request: web.Request) -> bytes:
    if request.content_type not in ("application/json", "application/octet-stream"):
        message = (
            "the body of the request was in an unknown format - "
            "accepted media types include: application/json"
        )
        raise Refusal(415, message, reason="UnsupportedMediaType")
    return await request.read()


def json_response(body: bytes, status: int = 200, content_type: str = JSON) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=body, status=status, headers={"Content-Type": content_type})
