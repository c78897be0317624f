"""Ready means that there is something true to show."""

from asyncio import sleep

import pytest

from exporter.model.resource import CLUSTER_POLICIES
from tests.apiserver.faults import Answer
from tests.scale.living import Living
from tests.virtual_time import virtual

pytestmark = pytest.mark.tier("simulator")
PATIENCE_SECONDS = 120


@pytest.mark.parametrize("status", [401, 403])
@virtual
async def test_an_exporter_that_may_read_nothing_is_not_ready_until_it_may(status: int) -> None:
    async with Living() as cluster:
        cluster.api.faults.add(Answer(status, reason="no"), times=None)
        async with cluster.exporter() as exporter:
            await sleep(PATIENCE_SECONDS)
            ready, said = exporter.health.ready()
            assert not ready
            assert "policyreports.wgpolicyk8s.io: refused" in said
            assert not exporter.health.complete("reports")
            cluster.api.faults.clear()
            await cluster.in_step(exporter)
            assert exporter.health.complete("reports")


@virtual
async def test_one_kind_that_may_not_be_read_holds_nobody_up() -> None:
    async with Living() as cluster:
        cluster.api.faults.add(Answer(403, reason="no"), CLUSTER_POLICIES.name, times=None)
        async with cluster.exporter() as exporter:
            await sleep(PATIENCE_SECONDS)
            assert exporter.health.ready()[0]
            assert exporter.health.complete("policies")


@virtual
async def test_what_is_not_served_is_reported_once_and_holds_nobody_up() -> None:
    async with Living() as cluster:
        cluster.api.unserve(CLUSTER_POLICIES)
        async with cluster.exporter() as exporter:
            await sleep(PATIENCE_SECONDS)
            ready, lines = exporter.health.ready()
    assert ready
    assert "\nclusterpolicies.kyverno.io: not served\n" in lines
