"""W28 of the failure matrix: one report, served by both API groups."""

from typing import Any

import aiohttp
import pytest

from tests.app.running import Cluster, Samples, living, summaries, total

pytestmark = pytest.mark.tier("simulator")

OLD = "/apis/wgpolicyk8s.io/v1alpha2/namespaces/team-a/policyreports"
NEW = "/apis/openreports.io/v1alpha1/namespaces/team-a/reports"


async def test_w28_the_same_report_in_both_groups_counts_once() -> None:
    async with Cluster() as cluster, living(cluster) as life:
        cluster.report("web", "baseline-policy")
        await life.until(_one_failure)
        before = summaries(await life.scrape())
        async with aiohttp.ClientSession(cluster.api.url) as api:
            old = await _only(api, OLD)
            await _create(api, NEW, _moved(old))
            both = await life.until(lambda s: _reports(s, "openreports.io") == 1)
            assert summaries(both) == before
            assert _one_failure(both)
            async with api.delete(f"{OLD}/{old['metadata']['name']}") as response:
                assert response.status == 200
        after = await life.until(lambda s: _reports(s, "wgpolicyk8s.io") is None)
        assert summaries(after) == before
        assert _one_failure(after)


def _one_failure(samples: Samples) -> bool:
    return total(samples, "policyreport_resource_results", namespace="team-a") == 1


def _reports(samples: Samples, group: str) -> float | None:
    return total(samples, "policyreport_reports", namespace="team-a", group=group)


async def _only(api: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with api.get(path) as response:
        [item] = (await response.json())["items"]
        found: dict[str, Any] = item
        return found


async def _create(api: aiohttp.ClientSession, path: str, item: dict[str, Any]) -> None:
    async with api.post(path, json=item) as response:
        assert response.status == 201, await response.text()


def _moved(old: dict[str, Any]) -> dict[str, Any]:
    """Write a report as Kyverno does with --openreportsEnabled: the same in another group."""
    metadata = {"name": old["metadata"]["name"], "namespace": "team-a"}
    kept = {key: old[key] for key in ("scope", "summary", "results")}
    return kept | {"apiVersion": "openreports.io/v1alpha1", "kind": "Report", "metadata": metadata}
