"""Answers the status page and /api/v1 from a view of the state, where there is one."""

import difflib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from aiohttp import hdrs, web

from exporter import __version__
from exporter.view.values import (
    COUNT_CHOICES,
    DEFAULT_COUNT,
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

WORST: Final = 10
MAX_LIMIT: Final = 200
MAX_OFFSET: Final = 10_000_000
MAX_ID: Final = 2**53 - 1
"""The largest whole number that JavaScript keeps exact."""
_TEXT_CHARACTERS: Final = 253
_CHOICES: Final = {"severity": SEVERITIES, "count": tuple(COUNT_CHOICES)}
_TEXTS: Final = ("search", "namespace", "policy", "kind")
_NUMBERS: Final = ("offset", "limit")
_PAGE: Final = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
}


class IndexDocument(msgspec.Struct, frozen=True):
    """The body of /api/v1: what there is."""

    version: str
    cluster: str
    resources: dict[str, str]


class StatusDocument(msgspec.Struct, frozen=True):
    """The body of /api/v1/status."""

    overview: Overview
    query: Query
    failing: FailingPage


class BlocksDocument(msgspec.Struct, frozen=True):
    """The body of /api/v1/blocks, the newest first."""

    blocked: Sequence[BlockedRequest]


class PageSettings(NamedTuple):
    """The configured pages; *status* is None where the status page is turned off."""

    status: StatusView | None = None
    links: tuple[Link, ...] = ()
    grafana_url: str = ""
    cluster: str = ""


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
        app.router.add_get("/api/v1", self._index)
        app.router.add_get("/api/v1/", self._index)
        app.router.add_get("/api/v1/status", self._status)
        app.router.add_get("/api/v1/blocks", self._blocks)
        app.on_shutdown.append(self._live.stop)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        self._view()
        resources = {
            "/api/v1/status": "totals, worst namespaces and policies, failing results",
            "/api/v1/blocks": "blocked requests of the last hour; a stream with text/event-stream",
        }
        document = IndexDocument(__version__, self._pages().cluster, resources)
        return await _json(request, document)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        settings = self._pages()
        view, links = settings.status, (*self._before, *settings.links)
        if view is None:
            page = landing_page(links, self._assets, settings.cluster)
        else:
            query, complaints = _query(request.query)
            failing = await view.failing(query)
            page_model = PageModel(
                view.overview(WORST, query.count),
                query,
                failing,
                view.blocked(),
                time.time(),
                [f"{each}; the filter is ignored." for each in complaints],
                settings.grafana_url,
            )
            page = status_page(page_model, links, self._assets)
        return await answer(request, page, "text/html; charset=utf-8", _PAGE)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        view = self._view()
        query, complaints = _query(request.query)
        if complaints:
            return _bad("; ".join(complaints))
        failing = await view.failing(query)
        overview = view.overview(WORST, query.count)
        return await _json(request, StatusDocument(overview, query, failing))

    async def _blocks(self, request: web.Request) -> web.StreamResponse:
        view = self._view()
        after = _whole(
            request.headers.get("Last-Event-ID") or request.query.get("after", "0"), MAX_ID
        )
        if after is None:
            return _bad("after: expected the id of a blocked request")
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


def _query(given: Mapping[str, str]) -> tuple[Query, list[str]]:
    """Read a query; what cannot be understood is left out of it, with a complaint for each."""
    complaints = [_unknown(key) for key in given if key not in (*_TEXTS, *_NUMBERS, *_CHOICES)]
    words = {key: given.get(key, "") for key in _CHOICES}
    for key, choices in _CHOICES.items():
        if words[key] not in ("", *choices):
            near = difflib.get_close_matches(words[key], choices, n=1, cutoff=0.5)
            hint = f", did you mean {near[0]}?" if near else ""
            known = ", ".join(choices)
            complaints.append(f"{key} {words[key]!r}: expected one of {known}{hint}")
            words[key] = ""
    offset, limit = (
        _whole(given.get("offset", "0"), MAX_OFFSET),
        _whole(given.get("limit", "50"), MAX_LIMIT),
    )
    if offset is None:
        complaints.append(f"offset {given['offset']!r}: expected 0 to {MAX_OFFSET}")
    if not limit:
        complaints.append(f"limit {given['limit']!r}: expected 1 to {MAX_LIMIT}")
    search, namespace, policy, kind = (
        given.get(key, "")[:_TEXT_CHARACTERS].strip() for key in _TEXTS
    )
    query = Query(
        search,
        "" if namespace == CLUSTER else namespace or None,
        policy,
        words["severity"],
        kind,
        words["count"] or DEFAULT_COUNT,
        offset or 0,
        limit or 50,
    )
    return query, complaints


def _unknown(key: str) -> str:
    known = (*_TEXTS, *_CHOICES, *_NUMBERS)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    name = key[:_TEXT_CHARACTERS]
    return f"unknown parameter {name!r}: expected one of {', '.join(known)}{hint}"


def _whole(text: str, most: int) -> int | None:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else most + 1
    return number if number <= most else None


async def _json(
    request: web.Request, value: msgspec.Struct, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    body = msgspec.json.encode(value).decode()
    all_headers = {hdrs.CACHE_CONTROL: "no-store", **(headers or {})}
    return await answer(request, body, "application/json", all_headers)


def _bad(text: str) -> web.Response:
    return web.json_response({"error": text}, status=400)
