"""Answers the status page and /api/v1 from a view of the state, where there is one."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from aiohttp import hdrs, web

from exporter.view.values import (
    SEVERITIES,
    BlockedRequest,
    FailingPage,
    Overview,
    Query,
    StatusView,
)
from exporter.web.live import Live
from exporter.web.negotiate import prefers
from exporter.web.page.assets import Assets
from exporter.web.page.document import (
    CONTENT_SECURITY_POLICY,
    Link,
    PageModel,
    landing_page,
    status_page,
)
from exporter.web.page.panels import CLUSTER
from exporter.web.respond import answer, header

WORST = 10
MAX_LIMIT = 200
MAX_OFFSET = 10_000_000
MAX_ID = 2**53 - 1
"""The largest whole number that JavaScript keeps exact."""
_TEXT_CHARACTERS = 253
_PAGE = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
}


class StatusDocument(msgspec.Struct, frozen=True):
    """What /api/v1/status says."""

    overview: Overview
    query: Query
    failing: FailingPage


class BlocksDocument(msgspec.Struct, frozen=True):
    """What /api/v1/blocks says, the newest first."""

    blocked: Sequence[BlockedRequest]


class PageSettings(NamedTuple):
    """What the configuration has of pages: None for a status page that is turned off."""

    status: StatusView | None = None
    links: tuple[Link, ...] = ()


class StatusPages:
    """The handlers of the pages that there are at the time; the links *before* always are."""

    def __init__(
        self, pages: Callable[[], PageSettings], before: tuple[Link, ...], assets: Assets
    ) -> None:
        self._pages = pages
        self._before = before
        self._assets = assets
        self._live = Live()

    def add_to(self, app: web.Application) -> None:
        """Add the routes; streams end before the server waits for its last requests."""
        app.router.add_get("/", self._page)
        app.router.add_get("/api/v1/status", self._status)
        app.router.add_get("/api/v1/blocks", self._blocks)
        app.on_shutdown.append(self._live.stop)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        view, links = self._pages()
        links = (*self._before, *links)
        if view is None:
            page = landing_page(links, self._assets)
        else:
            query = _query(request.query) or Query()
            failing = await view.failing(query)
            page_model = PageModel(
                view.overview(WORST), query, failing, view.blocked(), time.time()
            )
            page = status_page(page_model, links, self._assets)
        return await answer(request, page, "text/html; charset=utf-8", _PAGE)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        view, query = self._view(), _query(request.query)
        if query is None:
            return _bad(f"expected offset 0 to {MAX_OFFSET}, limit 1 to {MAX_LIMIT}, severity one "
                        f"of {', '.join(SEVERITIES)}")  # fmt: skip
        failing = await view.failing(query)
        return await _json(request, StatusDocument(view.overview(WORST), query, failing))

    async def _blocks(self, request: web.Request) -> web.StreamResponse:
        view = self._view()
        after = _whole(
            request.headers.get("Last-Event-ID") or request.query.get("after", "0"), MAX_ID
        )
        if after is None:
            return _bad("expected after to be the id of a blocked request")
        if prefers(header(request, hdrs.ACCEPT), "text/event-stream"):
            return await self._live.stream(request, view, after)
        newer = [each for each in view.blocked() if each.id > after]
        return await _json(request, BlocksDocument(newer), {hdrs.VARY: _VARY})

    def _view(self) -> StatusView:
        view = self._pages().status
        if view is None:
            raise web.HTTPNotFound
        return view


_VARY = f"{hdrs.ACCEPT}, {hdrs.ACCEPT_ENCODING}"


def _query(said: Mapping[str, str]) -> Query | None:
    """Read a query; None when a number is none, or out of range."""
    offset = _whole(said.get("offset", "0"), MAX_OFFSET)
    limit = _whole(said.get("limit", "50"), MAX_LIMIT)
    severity = said.get("severity", "")
    if offset is None or not limit or severity not in {"", *SEVERITIES}:
        return None
    search, namespace, policy = (
        said.get(key, "")[:_TEXT_CHARACTERS].strip() for key in ("search", "namespace", "policy")
    )
    wanted = "" if namespace == CLUSTER else namespace or None
    return Query(search, wanted, policy, severity, offset, limit)


def _whole(text: str, most: int) -> int | None:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else most + 1
    return number if number <= most else None


async def _json(
    request: web.Request, value: msgspec.Struct, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    body = msgspec.json.encode(value).decode()
    said = {hdrs.CACHE_CONTROL: "no-store", **(headers or {})}
    return await answer(request, body, "application/json", said)


def _bad(text: str) -> web.Response:
    return web.json_response({"error": text}, status=400)
