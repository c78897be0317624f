"""The exporter's own parts, joined in this process over the benchmark's API server."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from bench.api import Api, Trusting
from exporter.app.exporter import Exporter
from exporter.app.memory import prepare_for_sync
from exporter.app.status import About, BlockFeed, LiveStatus
from exporter.kube.client import KubeClient
from exporter.kube.source import KubeSource
from exporter.metrics.self_metrics import new_self_metrics
from exporter.model.changes import Change, Scope
from exporter.model.resource import POLICY_REPORTS
from exporter.settings.file import ConfigFile, EventSettings, Plan, PolicySettings
from exporter.watch.lists import ReflectorOptions
from exporter.watch.reflector import Reflector
from exporter.web.page.handlers import PageSettings
from exporter.web.routes import Site
from exporter.web.server import serving

SCOPE: Final = Scope(POLICY_REPORTS)
CONFIG: Final = ConfigFile(
    policies=PolicySettings(watch=False), events=EventSettings(watch=False), birth_hold=0
)
_LOOK_SECONDS: Final = 0.005


@asynccontextmanager
async def following(
    api: Api,
    options: ReflectorOptions | None = None,
    note: Callable[[Change], None] | None = None,
) -> AsyncIterator[Exporter]:
    """Begin to follow policy reports; *note* is told of each change once it is applied."""
    prepare_for_sync()
    self_metrics = new_self_metrics()
    async with KubeClient(Trusting(api), self_metrics) as client:
        source = KubeSource(client, self_metrics)
        exporter = Exporter(Plan(CONFIG), source, self_metrics)
        if options or note:
            sink = _noting(exporter.state.apply, note) if note else exporter.state.apply
            exporter.reflectors[:] = [
                Reflector(SCOPE, source, sink, self_metrics, options=options or ReflectorOptions())
            ]
        task = asyncio.ensure_future(exporter.follow())
        try:
            yield exporter
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _noting(
    apply: Callable[[Change], None], note: Callable[[Change], None]
) -> Callable[[Change], None]:
    def sink(change: Change) -> None:
        apply(change)
        note(change)

    return sink


def reports(exporter: Exporter) -> Reflector:
    """Give the follower of policy reports."""
    return next(each for each in exporter.reflectors if each.scope == SCOPE)


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that no event announces."""
    while not true():
        await asyncio.sleep(_LOOK_SECONDS)


class _Fixed:
    """The health of an exporter whose configuration cannot change."""

    def __init__(self, exporter: Exporter) -> None:
        self.ready = exporter.health.ready

    async def reload(self) -> str | None:
        return "the benchmark's configuration stays"


@asynccontextmanager
async def served(exporter: Exporter) -> AsyncIterator[str]:
    """Serve its endpoints, and give the address."""
    pages = PageSettings(LiveStatus(exporter, BlockFeed(), About("bench", time.time())))
    site = Site(exporter.scrapes, _Fixed(exporter), pages=lambda: pages)
    async with serving(site, ["127.0.0.1:0"], None) as (url,):
        yield url.rstrip("/")
