"""Serve a cluster's metrics until told to stop."""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Final

from exporter.app.exporter import Exporter, Keeping, Plan, own_metrics
from exporter.app.pushing import push_alerts
from exporter.app.statefile import StateFile
from exporter.app.status import Status
from exporter.errors import ConfigError
from exporter.kube.access import Credentials
from exporter.kube.client import Client
from exporter.kube.credentials import find_credentials
from exporter.kube.identity import cluster_id
from exporter.kube.source import KubeSource
from exporter.settings.file import ConfigFile, read_config
from exporter.settings.flags import Flags
from exporter.web.page import Link
from exporter.web.routes import Site
from exporter.web.server import serving

PROJECT: Final = "https://github.com/policy-report-exporter/policy-report-exporter"
log = logging.getLogger(__name__)

LINKS: Final = (
    Link("Documentation", PROJECT),
    Link("Runbooks", f"{PROJECT}/tree/main/docs/runbooks"),
)
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve(flags: Flags, credentials: Credentials | None = None) -> int:
    """Serve until a signal and return the exit status that it asks for.

    Raises:
        ConfigError: something that was asked for cannot be done.
    """
    stop = Stop()
    async with AsyncExitStack() as stack:
        exporter = await start(flags, credentials, stack)
        site = site_of(exporter, flags)
        urls = await stack.enter_async_context(serving(site, flags.listen, flags.web_config_file))
        stop.on_hangup(exporter.health.reload)
        for url in urls:
            log.info("serving %s%s", url, flags.telemetry_path)
        return await stop.run(run(exporter, flags))


async def run(exporter: Exporter, flags: Flags) -> None:
    """Follow the cluster and push alerts until cancelled.

    Raises:
        ConfigError: an Alertmanager cannot be told as configured.
    """
    alerting = exporter.plan.config.alerting.plus(flags.alertmanagers)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(push_alerts(exporter, alerting), name="alerts")
        tasks.create_task(exporter.follow(), name="following")


def site_of(exporter: Exporter, flags: Flags) -> Site:
    """Say what an exporter serves."""
    page = exporter.plan.config.status_page
    links = (Link("Grafana", page.grafana_url),) if page.grafana_url else ()
    return Site(
        scraper=exporter.scrapes,
        health=exporter.health,
        telemetry_path=flags.telemetry_path,
        status=Status(exporter) if page.enabled else None,
        links=(*links, *LINKS),
    )


async def start(
    flags: Flags,
    credentials: Credentials | None,
    stack: AsyncExitStack,
    default: ConfigFile | None = None,
) -> Exporter:
    """Join the parts over a client that lives as long as *stack*.

    *default* is the configuration where no file is named.
    """
    _calm_collector()
    config = read_config(flags.config_file) if flags.config_file else default or ConfigFile()
    own = own_metrics()
    credentials = credentials or find_credentials(flags.kubeconfig, flags.context)
    client = await stack.enter_async_context(Client(credentials, own))
    plan = Plan(config, flags.namespaces, flags.shard)
    keeping = None
    if flags.state_dir is not None:
        keeping = Keeping(StateFile(flags.state_dir), lambda: cluster_id(client))
    source = KubeSource(client, own, summaries=config.reports.detail == "summary")
    exporter = Exporter(plan, source, own, keeping=keeping)
    exporter.reload = lambda: _check(flags)
    return exporter


def _calm_collector() -> None:
    """Let the garbage collector pass less often, and never over what was imported.

    Objects that come by the thousand here (reports, results) are never part of a cycle.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _check(flags: Flags) -> str | None:
    """Say what is wrong with the configuration file now."""
    try:
        read_config(flags.config_file)
    except ConfigError as error:
        log.error("configuration not taken, the old one stays: %s", error)  # noqa: TRY400 - no bug
        return str(error)
    return None


class Stop:
    """Ends what runs when a signal comes."""

    def __init__(self) -> None:
        self._signal: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for number in _STOPS:
            asyncio.get_running_loop().add_signal_handler(number, self._stop, number)

    def on_hangup(self, reload: Callable[[], Awaitable[str | None]]) -> None:
        """Read the configuration again on SIGHUP."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: asyncio.ensure_future(reload()))

    async def run(self, work: Coroutine[object, object, None]) -> int:
        """Run *work* until it fails or a signal comes; return 128 plus the signal's number."""
        task: asyncio.Future[None] = asyncio.ensure_future(work)
        waited: set[asyncio.Future[None] | asyncio.Future[int]] = {task, self._signal}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
            return 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return 128 + self._signal.result()

    def _stop(self, number: signal.Signals) -> None:
        if not self._signal.done():
            log.info("stopping on %s", number.name)
            self._signal.set_result(int(number))
