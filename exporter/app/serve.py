"""Serve a cluster's metrics until a signal."""

import asyncio
import logging
import platform
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Final

from exporter import __version__
from exporter.app.composed import Composer
from exporter.app.memory import prepare_for_sync
from exporter.app.reloading import Reloading
from exporter.kube.access import Credentials
from exporter.kube.client import KubeClient
from exporter.kube.credentials import find_credentials
from exporter.metrics.self_metrics import new_self_metrics
from exporter.settings.file import ConfigFile, read_config
from exporter.settings.flags import Flags
from exporter.web.listen import Listeners
from exporter.web.routes import Site
from exporter.web.server import serving

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 1.0
"""How long the end waits for the journal's last lines, which are in the last checkpoint, too."""

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve(
    flags: Flags, credentials: Credentials | None = None, listeners: Listeners | None = None
) -> int:
    """Serve until a signal; return the exit status for it.

    *listeners* have the sockets, where those are open already.

    Raises:
        ConfigError: the flags or the configuration ask for something impossible.
    """
    stop = Stop()
    async with AsyncExitStack() as stack:
        reloading = await start(flags, credentials, stack)
        site = site_of(reloading, flags)
        server = serving(site, flags.listen, flags.web_config_file, listeners=listeners)
        urls = await stack.enter_async_context(server)
        stop.on_hangup(reloading.reload)
        for url in urls:
            log.info("serving %s%s", url, flags.telemetry_path)
        return await stop.run(reloading.run())


def site_of(reloading: Reloading, flags: Flags) -> Site:
    """Join what the web server serves."""
    return Site(reloading, reloading, flags.telemetry_path, reloading.pages)


async def start(
    flags: Flags,
    credentials: Credentials | None,
    stack: AsyncExitStack,
    default: ConfigFile | None = None,
) -> Reloading:
    """Join the parts over a client that is closed with *stack*.

    *default* is the configuration where no file is named.

    Raises:
        ConfigError: the flags or the configuration ask for something impossible.
    """
    prepare_for_sync()

    def read() -> ConfigFile:
        return read_config(flags.config_file) if flags.config_file else default or ConfigFile()

    config = read()
    self_metrics = new_self_metrics()
    credentials = credentials or find_credentials(flags.kubeconfig, flags.context)
    _log_start(flags, config, credentials)
    client = await stack.enter_async_context(KubeClient(credentials, self_metrics))
    composer = Composer(flags, client, self_metrics)
    stack.callback(composer.release)
    stack.callback(composer.journal.close, CLOSE_SECONDS)
    return Reloading(composer, config, read)


def _log_start(flags: Flags, config: ConfigFile, credentials: Credentials) -> None:
    """Log the version, and what was configured: one line to begin every report of a fault with."""
    fields = {
        "version": __version__,
        "python": platform.python_version(),
        "cluster": flags.cluster or config.cluster or credentials.cluster,
        "access": credentials.name,
        "config_file": str(flags.config_file or ""),
        "namespaces": ",".join(flags.namespaces) or "all",
        "shard": "/".join(map(str, flags.shard)),
        "detail": config.reports.detail,
        "sources": ",".join(config.sources),
        "state_dir": str(flags.state_dir or ""),
        "state_configmap": flags.state_configmap,
        "alertmanagers": len(flags.alertmanagers) + len(config.alerting.alertmanagers),
    }
    log.info("starting", extra=fields)


class Stop:
    """Ends the program on SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._signal: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._reloads = set[asyncio.Future[str | None]]()
        for number in _STOPS:
            asyncio.get_running_loop().add_signal_handler(number, self._stop, number)

    def on_hangup(self, reload: Callable[[], Awaitable[str | None]]) -> None:
        """Read the configuration again on SIGHUP."""

        def start() -> None:
            task = asyncio.ensure_future(reload())
            self._reloads.add(task)  # the event loop has only weak references to tasks
            task.add_done_callback(self._reloads.discard)

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, start)

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
