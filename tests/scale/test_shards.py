"""Shards: what they show adds up to what one exporter shows, and they list only what is theirs."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from operator import add

import pytest

from exporter.app.exporter import options_of
from exporter.model.changes import Scope
from exporter.model.resource import CLUSTER_POLICIES, EVENTS, NAMESPACES, POLICY_REPORTS, Resource
from exporter.settings.file import ConfigFile
from exporter.state.recent import MOST
from exporter.watch.lists import ReflectorOptions
from tests.apiserver import faults
from tests.app.running import Samples, total
from tests.scale.living import Living, scraped
from tests.virtual_time import virtual

pytestmark = pytest.mark.tier("simulator")

NUMBERS = [1, 2, 3, 5]
NEWEST = "policyreport_newest_result_timestamp_seconds"
OLDEST = "policyreport_oldest_result_timestamp_seconds"
RECENT = "policyviolation_recent_block_timestamp_seconds"
JOINS = {NEWEST: max, OLDEST: min}
FAMILIES = {
    "policyreport_results",
    "policyreport_failures_opened_total",
    "policyreport_failures_closed_total",
    "policyreport_resource_results",
    "policyviolation_events_total",
    "policyviolation_live_events",
    "policyreport_policy_info",
    "policyreport_namespace_info",
    RECENT,
}
"""Families that must be there, so that equal does not mean empty."""


def added_up(parts: Sequence[Samples]) -> Samples:
    """Add shards up as the dashboards' and rules' PromQL does."""
    found: Samples = {}
    for samples in parts:
        for series, value in samples.items():
            join = JOINS.get(series.name, add)
            found[series] = join(found[series], value) if series in found else value
    return found


def without(samples: Samples, name: str) -> Samples:
    return {series: value for series, value in samples.items() if series.name != name}


def only(samples: Samples, name: str) -> Samples:
    return {series: value for series, value in samples.items() if series.name == name}


@pytest.mark.parametrize("number", NUMBERS)
@virtual
async def test_shards_add_up_to_the_whole(number: int) -> None:
    async with Living() as cluster, cluster.exporter() as whole, cluster.shards(number) as shards:
        await cluster.in_step(whole, *shards)
        [expected], parts = await scraped(whole), await scraped(*shards)
        assert added_up(parts) == expected
        await cluster.advance(240, whole, *shards)
        [expected], parts = await scraped(whole), await scraped(*shards)
        assert len(only(expected, RECENT)) < MOST
        assert {series.name for series in expected} >= FAMILIES
        assert added_up(parts) == expected


@pytest.mark.parametrize("number", NUMBERS)
@virtual
async def test_after_an_hour_only_the_ring_of_blocks_is_longer(number: int) -> None:
    async with Living() as cluster, cluster.exporter() as whole, cluster.shards(number) as shards:
        await cluster.in_step(whole, *shards)
        for _ in range(12):
            await cluster.advance(300, whole, *shards)
        [expected], parts = await scraped(whole), await scraped(*shards)
        found = added_up(parts)
        assert without(found, RECENT) == without(expected, RECENT)
        assert only(found, RECENT).items() >= only(expected, RECENT).items()
        assert (total(expected, "policyreport_failures_closed_total") or 0) > 0


@virtual
async def test_each_series_and_each_namespace_lives_on_one_shard() -> None:
    async with Living() as cluster, cluster.shards(3) as shards:
        await cluster.advance(240, *shards)
        parts = await scraped(*shards)
    times = Counter(series for samples in parts for series in samples if series.name not in JOINS)
    assert set(times.values()) == {1}
    homes = defaultdict(set)
    for index, samples in enumerate(parts):
        for series in samples:
            if "policy" in dict(series.labels) and "namespace" in dict(series.labels):
                homes[series.label("namespace")].add(index)
    assert all(len(home) == 1 for home in homes.values())
    assert set.union(*homes.values()) == {0, 1, 2}


@virtual
async def test_another_number_of_shards_needs_nothing() -> None:
    async with Living() as cluster:
        async with cluster.shards(2) as shards:
            await cluster.advance(240, *shards)
            before = added_up(await scraped(*shards))
        async with cluster.shards(3) as shards:
            await cluster.in_step(*shards)
            after = added_up(await scraped(*shards))
    for name in ("policyreport_results", "policyreport_summary", "policyviolation_live_events"):
        assert only(after, name) == only(before, name) != {}


@virtual
async def test_a_shard_lists_its_own_namespaces_only() -> None:
    async with Living() as cluster:
        cluster.fill(600, namespaces=40)
        shard = ConfigFile().selection((1, 3)).namespace
        async with cluster.exporter(shard=(1, 3)) as exporter:
            await cluster.in_step(exporter)
            lists = [c for c in cluster.api.faults.calls if c.verb == "list"]
            asked = [c.namespace for c in lists if c.resource == POLICY_REPORTS.name]
            assert "" in asked  # the first page, which says from where to watch
            assert {namespace for namespace in asked if namespace} == {
                each.data["metadata"]["name"]
                for each in cluster.store.all(NAMESPACES.name)
                if shard(each.data["metadata"]["name"])
            }


@pytest.mark.parametrize("resource", [EVENTS, CLUSTER_POLICIES, NAMESPACES], ids=lambda r: r.name)
def test_what_lies_in_other_namespaces_than_it_is_about_is_listed_whole(resource: Resource) -> None:
    assert options_of(Scope(resource), 3, lambda _: False) == ReflectorOptions()
    assert options_of(Scope(POLICY_REPORTS), 3, lambda _: False) != ReflectorOptions()


@virtual
async def test_long_lists_of_shards_add_up() -> None:
    async with Living() as cluster:
        cluster.fill(600, namespaces=40)
        async with cluster.exporter() as whole, cluster.shards(3) as shards:
            await cluster.in_step(whole, *shards)
            await cluster.advance(60, whole, *shards)
            [expected], parts = await scraped(whole), await scraped(*shards)
    assert added_up(parts) == expected


@virtual
async def test_where_namespaces_may_not_be_listed_a_shard_reads_all_and_shows_its_own() -> None:
    async with Living() as cluster:
        cluster.fill(600, namespaces=40)
        config = ConfigFile(birth_hold=0.0)
        for _ in range(10):
            cluster.api.faults.add(faults.Answer(403, reason="Forbidden"), NAMESPACES.name)
        async with (
            cluster.exporter(config, (0, 2)) as first,
            cluster.exporter(config, (1, 2)) as second,
            cluster.exporter(config) as whole,
        ):
            await cluster.in_step(first, second, whole)
            [expected], parts = await scraped(whole), await scraped(first, second)
    assert added_up(parts) == expected
