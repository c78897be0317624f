"""A real Prometheus that scrapes the living cluster counts exactly what its server blocked."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from exporter.app.serve import site_of, start
from exporter.kube.credentials import Anonymous
from exporter.settings.flags import Flags
from exporter.simulator.scenario import Scenario, living, play
from exporter.web.server import serving
from tests.apiserver import Simulator
from tests.app.running import recount
from tests.servers import Prometheus, prometheus
from tests.tools import eventually

pytestmark = pytest.mark.tier("monitoring")

SCRAPES: Final = """\
global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}
scrape_configs:
  - job_name: demo
    static_configs: [targets: ["{target}"]]
"""
BLOCKED: Final = 'policyviolation_events_total{outcome="blocked"}'


async def test_the_increase_of_all_series_is_what_was_blocked(tmp_path: Path) -> None:
    await increase_equals_what_was_blocked(tmp_path, interval=1, hold=4.0, seconds=15.0, speed=10.0)


async def increase_equals_what_was_blocked(
    directory: Path, *, interval: int, hold: float, seconds: float, speed: float
) -> None:
    """Let the cluster live while Prometheus scrapes; then compare, once all births are over."""
    config = directory / "config.yaml"
    config.write_text(f"birth_hold: {hold}\n")
    scenario = living(seed=5)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Simulator(scenario.world.store))
        flags = Flags(config_file=config, listen=("127.0.0.1:0",))
        reloading = await start(flags, Anonymous(api.url), stack)
        urls = await stack.enter_async_context(serving(site_of(reloading, flags), flags.listen))
        following = asyncio.create_task(reloading.run())
        target = urls[0].removeprefix("http://")
        scraped = SCRAPES.format(interval=interval, target=target)
        server = await asyncio.to_thread(stack.enter_context, prometheus(scraped))
        await asyncio.to_thread(eventually, lambda: ready(server), what="a complete scrape")
        before = scenario.world.blocked.total()
        await live(scenario, speed, seconds)
        blocked = scenario.world.blocked.total() - before
        await asyncio.sleep(hold + 3 * interval)
        await asyncio.to_thread(compare, server, scenario, blocked, int(seconds + hold) + 120)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def live(scenario: Scenario, speed: float, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await play(scenario, speed)
    except TimeoutError:
        pass


def ready(server: Prometheus) -> bool:
    return server.value('policyreport_exporter_synced{resource="events.events.k8s.io"}') == 1


def compare(server: Prometheus, scenario: Scenario, blocked: int, seconds: int) -> None:
    """Hold what Prometheus has against the embedded server's own books."""
    series = server.raw(BLOCKED, seconds)
    assert blocked > 10
    assert sum(each.values[-1][1] - each.values[0][1] for each in series) == blocked
    assert all(each.values[0][1] == 0 for each in series), "each series is born at 0"
    summary = {
        tuple(each.metric.get(name, "") for name in ("namespace", "kind", "result")): each.value[1]
        for each in server.query("sum by (namespace, kind, result) (policyreport_summary) > 0")
    }
    assert summary == recount(scenario.world)
