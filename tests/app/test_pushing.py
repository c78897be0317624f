"""When alerts are pushed: once what they are about is known, whatever else may not be read."""

from pathlib import Path

import pytest

from exporter.model.resource import POLICY_RESOURCES
from tests.apiserver.faults import Answer
from tests.app.reloads import LABELS, alertmanager, fail, pushing, reloaded
from tests.app.running import Cluster

pytestmark = pytest.mark.tier("simulator")


async def test_violations_are_pushed_where_no_policy_may_be_read(tmp_path: Path) -> None:
    async with Cluster() as cluster, alertmanager() as told:
        fail(cluster, "team-a", "web", LABELS)
        for resource in POLICY_RESOURCES:
            cluster.api.faults.add(Answer(403, reason="no"), resource.name, times=None)
        async with reloaded(cluster, tmp_path, pushing(told.url)) as served:
            await served.ready()
            await told.hears(lambda: told.of(policy=LABELS))


async def test_pushed_alerts_carry_the_name_that_the_cluster_is_given(tmp_path: Path) -> None:
    async with Cluster() as cluster, alertmanager() as told:
        fail(cluster, "team-a", "web", LABELS)
        config = f"cluster: east\n{pushing(told.url)}"
        async with reloaded(cluster, tmp_path, config) as served:
            await served.ready()
            await told.hears(lambda: told.of(policy=LABELS, cluster="east"))


async def test_a_cluster_without_a_configured_name_adds_no_label(tmp_path: Path) -> None:
    async with Cluster() as cluster, alertmanager() as told:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path, pushing(told.url)) as served:
            await served.ready()
            await told.hears(lambda: told.of(policy=LABELS))
            assert not [each for each in told.of(policy=LABELS) if "cluster" in each.labels]
