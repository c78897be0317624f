"""Serve a living sample cluster on this machine."""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

from exporter.app.serve import Stop, site_of, start
from exporter.errors import ConfigError, ExporterError
from exporter.journal.writer import STANDARD_OUTPUT
from exporter.kube.credentials import Anonymous
from exporter.settings.file import ConfigFile, LabelSettings
from exporter.settings.flags import Flags
from exporter.simulator.scenario import living, play
from exporter.simulator.server import Simulator
from exporter.web.listen import Listeners, bind_failure
from exporter.web.server import serving

LAST_PORT: Final = 65_535
OWNED: Final = ConfigFile(labels=LabelSettings(namespace_labels=("team", "env")))
"""The sample cluster's namespaces carry their owner in labels, so the demo shows it."""


class Demo(NamedTuple):
    """How the sample cluster runs; ``speed`` is simulated seconds a second, 0 changes nothing."""

    api_address: str = "127.0.0.1:0"
    speed: float = 1.0
    seed: int = 0


async def demo(flags: Flags, how: Demo, listeners: Listeners | None = None) -> int:
    """Start the sample cluster, serve on it until a signal, return the exit status."""
    stop = Stop()
    scenario = living(how.seed)
    async with AsyncExitStack() as stack:
        simulator = Simulator(scenario.world.store)
        await _listen(simulator, how.api_address)
        stack.push_async_callback(simulator.stop)
        credentials = Anonymous(simulator.url)
        credentials.cluster = "demo"
        reloading = await start(flags, credentials, stack, OWNED)
        site = site_of(reloading, flags)
        server = serving(site, flags.listen, flags.web_config_file, listeners=listeners)
        urls = await stack.enter_async_context(server)
        stop.on_hangup(reloading.reload)
        journal = flags.journal or reloading.present.config.journal.file
        out = sys.stderr if journal == STANDARD_OUTPUT else sys.stdout
        print(_welcome(urls, simulator.url, flags.telemetry_path), file=out, flush=True)
        return await stop.run(_both(reloading.run(), play(scenario, how.speed)))


async def _both(*works: "asyncio._CoroutineLike[None]") -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work)
    except ExceptionGroup as group:
        # An error for the user needs no traceback.
        said, accidents = group.split(ExporterError)
        if accidents or said is None:
            raise
        raise said.exceptions[0] from group


async def _listen(simulator: Simulator, address: str) -> None:
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) <= LAST_PORT):
        raise ConfigError(f"--demo.api-address {address}: expected HOST:PORT")
    try:
        await simulator.start(host or "127.0.0.1", int(port))
    except OSError as error:
        raise ConfigError(f"--demo.api-address {address}: {bind_failure(error)}") from error


def _welcome(urls: list[str], api: str, telemetry_path: str) -> str:
    lines = [
        "Serving a sample cluster in which violations appear and requests are blocked.",
        *(f"  metrics      {url}{telemetry_path}" for url in urls),
        *(f"  status page  {url}/" for url in urls[:1]),
        f"  the cluster  kubectl --server={api} get policyreports -A",
        "Stop with Ctrl-C.",
    ]
    return "\n".join(lines)
