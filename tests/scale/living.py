"""The living sample cluster, and exporters that follow it side by side, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final, Self

from exporter.app.exporter import Exporter
from exporter.kube.client import KubeClient
from exporter.kube.credentials import Anonymous
from exporter.kube.source import KubeSource
from exporter.metrics.self_metrics import new_self_metrics
from exporter.settings.file import ConfigFile, LabelSettings, Plan, ReportSettings
from exporter.simulator.registry import Registry
from exporter.simulator.sample import sample
from exporter.simulator.scenario import Scenario, ScenarioClock
from tests.apiserver import Simulator, Store
from tests.app.running import OWN, Samples, body, parse
from tests.watch.cluster import NOON, report

BOOKMARK_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 300.0
LABELS: Final = LabelSettings(namespace_labels=("team", "env"))
FULL: Final = ConfigFile(birth_hold=0.0, labels=LABELS)
SUMMARY: Final = ConfigFile(birth_hold=0.0, labels=LABELS, reports=ReportSettings("summary"))
_NOT_OF_THE_CLUSTER: Final = (OWN, "process_", "python_")


class Living:
    """A cluster in which things happen when a test says so; ``store`` has one clock with it."""

    def __init__(self, registry: Registry | None = None, *, watch_list: bool = True) -> None:
        self.clock = ScenarioClock(NOON)
        self.store = Store(self.clock)
        self.scenario = Scenario(sample(self.store), seed=7, clock=self.clock)
        self.api = Simulator(
            self.store, registry=registry, watch_list=watch_list, bookmark_seconds=BOOKMARK_SECONDS
        )

    async def __aenter__(self) -> Self:
        await self.api.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.api.stop()

    def fill(self, reports: int, namespaces: int) -> None:
        """Write more reports than fit into one page of a list, in namespaces of their own."""
        for number in range(namespaces):
            self.scenario.world.add_namespace(f"ns-{number:03}", {})
        for number in range(reports):
            data = report(f"more-{number:05}", f"ns-{number % namespaces:03}", failed=number % 2)
            self.store.create("policyreports.wgpolicyk8s.io", data)

    @asynccontextmanager
    async def exporter(
        self, config: ConfigFile = FULL, shard: tuple[int, int] = (0, 1)
    ) -> AsyncIterator[Exporter]:
        """Run an exporter until the test has seen enough."""
        self_metrics = new_self_metrics()
        async with KubeClient(Anonymous(self.api.url), self_metrics) as client:
            source = KubeSource(client, self_metrics, summaries=config.reports.detail == "summary")
            exporter = Exporter(Plan(config, shard=shard), source, self_metrics, self.clock)
            task = asyncio.create_task(exporter.follow())
            try:
                yield exporter
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    @asynccontextmanager
    async def shards(self, total: int, config: ConfigFile = FULL) -> AsyncIterator[list[Exporter]]:
        """Run all shards of a number."""
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(self.exporter(config, (index, total)))
                for index in range(total)
            ]

    async def advance(self, seconds: float, *exporters: Exporter) -> None:
        """Let things happen, and wait until every exporter has seen all of it."""
        self.scenario.advance(seconds)
        await self.in_step(*exporters)

    async def in_step(self, *exporters: Exporter) -> None:
        """Wait until bookmarks say that nothing is under way any more."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            for exporter in exporters:
                while not exporter.health.ready()[0] or self._is_behind(exporter):
                    await asyncio.sleep(BOOKMARK_SECONDS)

    def _is_behind(self, exporter: Exporter) -> bool:
        return any(
            int(f.version or 0) < self.store.version for f in exporter.reflectors if f.served
        )


async def scraped(*exporters: Exporter) -> Sequence[Samples]:
    """Scrape what exporters show of the cluster."""
    return [await _scraped(exporter) for exporter in exporters]


async def _scraped(exporter: Exporter) -> Samples:
    samples = parse((await body(exporter)).decode())
    return {s: v for s, v in samples.items() if not s.name.startswith(_NOT_OF_THE_CLUSTER)}
