"""Rows as a real kube-apiserver prints them, streamed and by pages."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from exporter.app.exporter import Exporter
from exporter.kube.client import KubeClient
from exporter.kube.credentials import find_credentials
from exporter.kube.source import KubeSource
from exporter.metrics.self_metrics import new_self_metrics
from exporter.model.resource import POLICY_REPORTS
from exporter.settings.file import FROM_RESULTS, ConfigFile, Plan
from tests.app.running import Samples, total
from tests.cluster.harness import ControlPlane, control_plane
from tests.scale.living import FULL, SUMMARY, scraped
from tests.watch.cluster import report

pytestmark = pytest.mark.tier("cluster")

NAMESPACE = "team-a"
PATH = POLICY_REPORTS.path(NAMESPACE)
WITHIN_SECONDS = 60.0
# From servers before 1.34 long lists are streamed where the feature is on, else read by pages.
OLD = "--emulated-version=1.33"
FLAGS = {
    "streamed": [OLD, "--feature-gates=WatchList=true"],
    "by pages": [OLD, "--feature-gates=WatchList=false"],
    "by pages from memory": [],
}


@pytest.fixture(scope="module", params=FLAGS)
def plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    with control_plane(FLAGS[request.param]) as running:
        running.create_namespace(NAMESPACE)
        yield running


@asynccontextmanager
async def exporter(plane: ControlPlane, config: ConfigFile) -> AsyncIterator[Exporter]:
    self_metrics = new_self_metrics()
    async with KubeClient(find_credentials(str(plane.kubeconfig), ""), self_metrics) as client:
        source = KubeSource(client, self_metrics, summaries=config.reports.detail == "summary")
        running = Exporter(Plan(config), source, self_metrics)
        task = asyncio.create_task(running.follow())
        try:
            yield running
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def agree(reports: int, full: Exporter, summary: Exporter) -> None:
    """Wait until both know that many reports, and see that they say the same of them."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            ready = full.health.ready()[0] and summary.health.ready()[0]
            whole, rows = await scraped(full, summary)
            if ready and known(whole) == known(rows) == reports:
                break
            await asyncio.sleep(0.05)
    assert rows == {s: v for s, v in whole.items() if s.name not in FROM_RESULTS}


def known(samples: Samples) -> float:
    return total(samples, "policyreport_reports", namespace=NAMESPACE) or 0.0


async def test_rows_say_what_whole_reports_say(plane: ControlPlane) -> None:
    made = [report(f"r{n:04}", NAMESPACE, failed=n % 2) for n in range(600)]
    await plane.create_all(PATH, made)
    async with AsyncExitStack() as stack:
        full = await stack.enter_async_context(exporter(plane, FULL))
        summary = await stack.enter_async_context(exporter(plane, SUMMARY))
        await agree(600, full, summary)
        await plane.create_all(PATH, [report(f"s{n}", NAMESPACE, failed=1) for n in range(20)])
        await agree(620, full, summary)
        await plane.delete_all(PATH, [f"r{n:04}" for n in range(30)])
        await agree(590, full, summary)
