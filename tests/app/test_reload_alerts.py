"""What is pushed over a reload: what stands goes on, what is not wanted any more is resolved."""

from pathlib import Path

import pytest

from tests.app.reloads import LABELS, PLAIN, alertmanager, fail, pushing, reloaded
from tests.app.running import Cluster, self_metrics

pytestmark = pytest.mark.tier("simulator")


async def test_alerting_that_is_added_tells_what_stands(tmp_path: Path) -> None:
    async with Cluster() as cluster, alertmanager() as told:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            await served.ready()
            await served.reload(pushing(told.url))
            await told.hears(lambda: told.of(policy=LABELS))


async def test_what_stands_is_neither_resolved_nor_another_incident(tmp_path: Path) -> None:
    async with Cluster() as cluster, alertmanager() as told:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path, pushing(told.url)) as served:
            await served.ready()
            await told.hears(lambda: told.of(policy=LABELS))
            cluster.world.rescan()
            cluster.block()
            await told.hears(lambda: len({tuple(t.labels.items()) for t in told.told}) == 2)
            before = len(told.told)
            await served.reload(pushing(told.url, ", annotations: {team: a}"))
            await told.hears(lambda: len(told.told) >= before + 6)
    assert all(each.fires for each in told.told)
    starts = {(tuple(each.labels.items()), each.starts_at) for each in told.told}
    assert len(starts) == 2, "each alert has the start it had"


async def test_what_the_new_configuration_leaves_out_is_resolved(tmp_path: Path) -> None:
    async with Cluster() as cluster, alertmanager() as told:
        fail(cluster, "team-a", "web", LABELS)
        fail(cluster, "default", "web", LABELS)
        async with reloaded(cluster, tmp_path, pushing(told.url)) as served:
            await served.ready()
            await told.hears(lambda: told.of(namespace="team-a") and told.of(namespace="default"))
            left_out = "filters: {namespaces: {exclude: [team-a]}}\n"
            await served.reload(pushing(told.url) + left_out)
            await told.hears(lambda: not told.of(namespace="team-a")[-1].fires)
            assert told.of(namespace="default")[-1].fires


async def test_alerting_that_is_taken_away_resolves_everything(tmp_path: Path) -> None:
    async with Cluster() as cluster, alertmanager() as told:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path, pushing(told.url)) as served:
            await served.ready()
            await told.hears(lambda: told.of(policy=LABELS))
            samples = await served.reload(PLAIN)
            assert self_metrics(samples, "alerts_active") == 0
            await told.hears(lambda: not told.of(policy=LABELS)[-1].fires)
            await served.until(lambda s: self_metrics(s, "alertmanager_up") is None)


async def test_an_alertmanager_under_another_address_goes_on_with_the_same_alerts(
    tmp_path: Path,
) -> None:
    async with Cluster() as cluster, alertmanager() as told:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path, pushing(told.url)) as served:
            await served.ready()
            await told.hears(lambda: told.of(policy=LABELS))
            other = told.url.replace("127.0.0.1", "localhost")
            before = len(told.told)
            await served.reload(pushing(other))
            await told.hears(lambda: len(told.told) >= before + 3)
            await served.until(lambda s: self_metrics(s, "alertmanager_up") == 1)
    assert all(each.fires for each in told.told)
    assert len({each.starts_at for each in told.told}) == 1


async def test_an_alertmanager_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    async with Cluster() as cluster, alertmanager() as told:
        fail(cluster, "team-a", "web", LABELS)
        async with reloaded(cluster, tmp_path) as served:
            await served.ready()
            twice = f"alerting: {{alertmanagers: [{{url: '{told.url}'}}, {{url: '{told.url}'}}]}}\n"
            status, text = await served.post(twice)
            assert (status, "one url is listed twice" in text) == (500, True)
