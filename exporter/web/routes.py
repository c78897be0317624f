"""Which path answers what."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from aiohttp import web

from exporter.errors import ConfigError
from exporter.web.page.assets import Assets
from exporter.web.page.document import Link
from exporter.web.page.handlers import PageSettings, StatusPages
from exporter.web.ports import Health, Scraper
from exporter.web.respond import ScrapeHandler

_OWN_PREFIXES: Final = ("/-/", "/api/", "/static/")
_OWN_PATHS: Final = frozenset({"/", "/livez", "/readyz"})


class Site(NamedTuple):
    """What is served; *pages* is asked each time."""

    scraper: Scraper
    health: Health
    telemetry_path: str = "/metrics"
    pages: Callable[[], PageSettings] = PageSettings


def add_routes(app: web.Application, site: Site) -> None:
    """Add every route; ConfigError when the telemetry path hides another one."""
    path = site.telemetry_path
    if (
        not path.startswith("/")
        or "{" in path
        or path in _OWN_PATHS
        or path.startswith(_OWN_PREFIXES)
    ):
        raise ConfigError(f"--web.telemetry-path {path}: expected /PATH, not used otherwise")
    app.router.add_get(path, ScrapeHandler(site.scraper).answer)
    for path in ("/-/healthy", "/livez"):
        app.router.add_get(path, _healthy)
    for path in ("/-/ready", "/readyz"):
        app.router.add_get(path, _readiness(site.health))
    app.router.add_post("/-/reload", _reload(site.health))
    _add_pages(app, site)


def _add_pages(app: web.Application, site: Site) -> None:
    assets = Assets()
    app.router.add_get("/static/{name}", assets.serve)
    StatusPages(site.pages, (Link("Metrics", site.telemetry_path),), assets).add_to(app)


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _readiness(health: Health) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def ready(_: web.Request) -> web.Response:
        complete, text = health.ready()
        return web.Response(status=200 if complete else 503, text=f"{text}\n")

    return ready


def _reload(health: Health) -> Callable[[web.Request], Awaitable[web.Response]]:
    running = set[asyncio.Task[str | None]]()

    async def reload(request: web.Request) -> web.Response:
        # A page elsewhere may post here with the browser's remembered password.
        if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            return web.Response(status=403, text="requests from other sites are refused\n")
        task = asyncio.create_task(health.reload(), name="reload")
        running.add(task)
        task.add_done_callback(running.discard)
        complaint = await asyncio.shield(task)  # a client that hangs up does not stop it half-way
        if complaint is None:
            return web.Response(text="configuration accepted\n")
        return web.Response(status=500, text=f"not reloaded: {complaint}\n")

    return reload
