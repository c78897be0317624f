"""The embedded API server with access control, ordered faults, and groups of a reports-server."""

import asyncio
import ssl
from collections.abc import Iterable

from aiohttp import web

from exporter.simulator import lists, query, watches
from exporter.simulator import server as simulated
from exporter.simulator.query import Address, Form, ListOptions
from exporter.simulator.registry import Registry, Served
from exporter.simulator.server import JSON, verb_of
from exporter.simulator.store import Store, StoredObject
from tests.apiserver import faults, reports_server
from tests.apiserver.access import Access
from tests.apiserver.faults import Call, Fault, Faults
from tests.apiserver.wire import Ended, Wire, abort

STRUCK: web.RequestKey[list[Fault]] = web.RequestKey("struck", list)
USER = web.RequestKey("user", str)


class Simulator(simulated.Simulator):
    """An API server that refuses and fails to order; use as an async context manager.

    ``aggregated`` names the API groups that a reports-server answers for.
    """

    def __init__(
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
        super().__init__(
            store,
            registry=registry,
            watch_list=watch_list,
            bookmark_seconds=bookmark_seconds,
            tls=tls,
        )
        self.access = access or Access()
        self.faults = Faults()
        self.aggregated = frozenset(aggregated)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await super()._answer(request)
        except Ended:
            # The client was meant to see a break: there is nobody to answer.
            return web.Response(status=500)

    async def _routed(self, request: web.Request) -> web.StreamResponse:
        struck = request[STRUCK] = self.faults.strike(_call(query.address(request.path), request))
        for fault in struck:
            await _befall(fault, request)
            if isinstance(fault, faults.Answer):
                body = fault.content()
                headers = {"Content-Type": fault.content_type, **fault.headers}
                return web.Response(status=fault.status, body=body, headers=headers)
        return await super()._routed(request)

    def _authenticate(self, request: web.Request) -> None:
        request[USER] = self.access.user(request.headers.get("Authorization", ""))

    def _authorize(self, request: web.Request, verb: str, served: Served, namespace: str) -> None:
        self.access.check(request[USER], verb, served.resource, namespace)

    def _form(self, request: web.Request) -> Form:
        return Form("Table") if faults.AsTable() in request[STRUCK] else super()._form(request)

    def _shown(self, served: Served, stored: StoredObject) -> StoredObject:
        return reports_server.marked(stored) if self._is_aggregated(served) else stored

    def _page(
        self, request: web.Request, served: Served, namespace: str, options: ListOptions
    ) -> lists.SimulatedPage:
        if self._is_aggregated(served):
            found = reports_server.page(self.store, served, namespace)
        else:
            found = super()._page(request, served, namespace, options)
        return found._replace(objects=[]) if faults.EmptyList() in request[STRUCK] else found

    async def _list(
        self, request: web.Request, at: Address, served: Served, form: Form
    ) -> web.StreamResponse:
        for fault in request[STRUCK]:
            if isinstance(fault, faults.CutBody):
                options = query.options(request.query, watch_list=self.watch_list)
                found = self._page(request, served, at.namespace, options)
                return await _cut(
                    request, lists.body(found, served, form, self.store.clock()), fault
                )
        return await super()._list(request, at, served, form)

    def _watch_of(
        self, served: Served, namespace: str, options: ListOptions, form: Form
    ) -> tuple[watches.Watch, float]:
        if self._is_aggregated(served):
            return reports_server.BroadcastWatch(self.store, served, namespace, options, form), 0
        return super()._watch_of(served, namespace, options, form)

    async def _watch(
        self, request: web.Request, at: Address, served: Served, form: Form
    ) -> web.StreamResponse:
        options = query.options(request.query, watch_list=self.watch_list)
        watch, bookmark_seconds = self._watch_of(served, at.namespace, options, form)
        seconds = options.timeout or watches.DEFAULT_SECONDS
        still = lambda: self.registry.find(at.group, at.version, at.plural) is not None  # noqa: E731
        struck = request[STRUCK]
        wire = Wire(request, struck)
        try:
            await wire.open()
            async for line in watches.lines(watch, still, seconds, bookmark_seconds):
                await wire.send(line)
        except Ended:
            pass
        return wire.response

    def _is_aggregated(self, served: Served) -> bool:
        return served.resource.group in self.aggregated


def _call(at: Address | None, request: web.Request) -> Call:
    now = asyncio.get_running_loop().time()
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if at is None:
        return Call("", "discover", "", dict(request.query), 1, now, token)
    resource = f"{at.plural}.{at.group}" if at.group else at.plural
    page = 1
    if token_text := request.query.get("continue"):
        page = query.Token.decoded(token_text).page
    verb = verb_of(at, request)
    return Call(resource, verb, at.namespace, dict(request.query), page, now, token)


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
    headers = {"Content-Type": JSON, "Content-Length": str(len(body))}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(body[: fault.after])
    if fault.reset:
        abort(request)
    elif request.transport:
        request.transport.close()
    return response
