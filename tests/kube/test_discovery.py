"""What is served, in both formats of discovery."""

import asyncio
from typing import Any

import msgspec
import pytest
from aiohttp import web

from exporter.errors import Unavailable
from exporter.kube.client import KubeClient
from exporter.kube.credentials import Anonymous
from exporter.kube.discovery import Discovery
from exporter.model.resource import (
    CEL_POLICIES,
    CLUSTER_POLICIES,
    EVENTS,
    NAMESPACES,
    POLICY_REPORTS,
    REPORTS,
    Resource,
)
from tests.apiserver import Simulator, faults
from tests.kube.serving import json, serving
from tests.virtual_time import virtual
from tests.watch.recording import Counts

pytestmark = pytest.mark.tier("simulator")

VERBS = ["get", "list", "watch"]


class Server:
    """Groups as one kube-apiserver has them; ``plain`` knows only the old format.

    ``groups`` maps a group to its versions in the server's order, and these to plural names.
    """

    def __init__(self, groups: dict[str, dict[str, list[str]]], *, plain: bool) -> None:
        self.groups = groups
        self.plain = plain
        self.verbs = VERBS
        self.stale: set[str] = set()
        self.asked: list[str] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/apis":
            return self._json(self._names() if self.plain else self._everything())
        _, _, group, version = request.path.split("/")
        if group in self.stale:
            return json(status=503)
        if version not in self.groups[group]:
            return json(status=404)
        found = [{"name": each, "verbs": self.verbs} for each in self.groups[group][version]]
        return self._json({"kind": "APIResourceList", "resources": found})

    def _names(self) -> dict[str, Any]:
        groups = []
        for name, versions in self.groups.items():
            listed = [{"groupVersion": f"{name}/{each}", "version": each} for each in versions]
            # The preferred version need not come first.
            groups.append({"name": name, "versions": listed[::-1], "preferredVersion": listed[0]})
        return {"kind": "APIGroupList", "groups": groups}

    def _everything(self) -> dict[str, Any]:
        items = [
            {
                "metadata": {"name": name, "creationTimestamp": None},
                "versions": [
                    {
                        "version": version,
                        "freshness": "Stale" if name in self.stale else "Current",
                        "resources": [{"resource": each, "verbs": self.verbs} for each in plurals],
                    }
                    for version, plurals in versions.items()
                ],
            }
            for name, versions in self.groups.items()
        ]
        return {"kind": "APIGroupDiscoveryList", "items": items}

    def _json(self, document: dict[str, Any]) -> web.Response:
        return json(msgspec.json.encode(document).decode())


async def found(server: Server, resource: Resource) -> Resource | None:
    async with serving(server.answer) as url, KubeClient(Anonymous(url), Counts()) as client:
        return await Discovery(client).find(resource)


@pytest.fixture(params=[True, False], ids=["plain", "aggregated"])
def plain(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


REPORT_GROUP = POLICY_REPORTS.group
VPOL = CEL_POLICIES[0]


async def test_the_version_that_is_known_is_used_where_it_is_served(*, plain: bool) -> None:
    versions = {"v2": ["policyreports"], "v1alpha2": ["policyreports"]}
    server = Server({"apps": {"v1": ["deployments"]}, REPORT_GROUP: versions}, plain=plain)
    assert await found(server, POLICY_REPORTS) == POLICY_REPORTS


async def test_else_the_version_is_used_that_the_server_prefers(*, plain: bool) -> None:
    versions = {"v1beta1": [VPOL.plural], "v1alpha1": [VPOL.plural]}
    server = Server({VPOL.group: versions}, plain=plain)
    assert await found(server, VPOL) == VPOL._replace(version="v1beta1")


async def test_another_kind_of_the_group_is_not_enough(*, plain: bool) -> None:
    server = Server({REPORT_GROUP: {"v1alpha2": ["clusterpolicyreports"]}}, plain=plain)
    assert await found(server, POLICY_REPORTS) is None
    assert await found(server, REPORTS) is None


async def test_what_cannot_be_watched_is_not_served(*, plain: bool) -> None:
    server = Server({REPORT_GROUP: {"v1alpha2": ["policyreports"]}}, plain=plain)
    server.verbs = ["get", "list"]
    assert await found(server, POLICY_REPORTS) is None


async def test_of_an_aggregated_server_that_does_not_answer_nothing_is_known(
    *, plain: bool
) -> None:
    server = Server({REPORT_GROUP: {"v1alpha2": []}}, plain=plain)
    server.stale.add(REPORT_GROUP)
    with pytest.raises(Unavailable, match=r"behind the API group wgpolicyk8s\.io"):
        await found(server, POLICY_REPORTS)


async def test_the_core_group_is_always_served(*, plain: bool) -> None:
    server = Server({}, plain=plain)
    assert await found(server, NAMESPACES) == NAMESPACES
    assert server.asked == []


async def test_a_version_that_vanishes_while_it_is_asked_for_is_not_served() -> None:
    server = Server({REPORT_GROUP: {"v1alpha2": ["policyreports"]}}, plain=True)
    answer = server.answer

    async def forgetful(request: web.BaseRequest) -> web.StreamResponse:
        response = await answer(request)
        server.groups[REPORT_GROUP] = {}
        return response

    async with serving(forgetful) as url, KubeClient(Anonymous(url), Counts()) as client:
        assert await Discovery(client).find(POLICY_REPORTS) is None


@virtual
async def test_followers_that_begin_together_share_one_answer_for_two_seconds() -> None:
    async with Simulator() as api, KubeClient(Anonymous(api.url), Counts()) as client:
        discovery = Discovery(client)
        async with asyncio.TaskGroup() as group:
            for resource in (POLICY_REPORTS, EVENTS, CLUSTER_POLICIES, *CEL_POLICIES):
                group.create_task(discovery.find(resource))
        assert api.faults.count(verb="discover") == 1
        await asyncio.sleep(2.1)
        await discovery.find(EVENTS)
        assert api.faults.count(verb="discover") == 2


@virtual
async def test_where_discovery_is_not_permitted_a_resource_is_taken_to_be_served() -> None:
    async with Simulator() as api, KubeClient(Anonymous(api.url), Counts()) as client:
        api.faults.add(faults.Answer(403), verb="discover")
        assert await Discovery(client).find(POLICY_REPORTS) == POLICY_REPORTS


@virtual
async def test_nonsense_is_not_taken_for_an_answer() -> None:
    async with Simulator() as api, KubeClient(Anonymous(api.url), Counts()) as client:
        api.faults.add(faults.Answer(200, body=b'{"items":7}'), verb="discover")
        with pytest.raises(Unavailable, match="/apis: not a discovery document"):
            await Discovery(client).find(POLICY_REPORTS)


@virtual
@pytest.mark.parametrize(
    ("answer", "known"),
    [
        pytest.param(b'{"major":"1","minor":"34"}', True, id="1.34"),
        pytest.param(b'{"major":"1","minor":"35+"}', True, id="of a provider"),
        pytest.param(b'{"major":"2","minor":"0"}', True, id="2.0"),
        pytest.param(b'{"major":"1","minor":"33"}', False, id="1.33"),
        pytest.param(
            b'{"major":"1","minor":"34","emulationMajor":"1","emulationMinor":"33"}',
            False,
            id="1.34 with the features of 1.33",
        ),
        pytest.param(b'{"major":"1","minor":""}', False, id="none"),
        pytest.param(b"[]", False, id="nonsense"),
    ],
)
async def test_servers_from_1_34_on_read_pages_from_memory(answer: bytes, *, known: bool) -> None:
    async with Simulator() as api, KubeClient(Anonymous(api.url), Counts()) as client:
        api.faults.add(faults.Answer(200, body=answer), verb="discover")
        assert await Discovery(client).pages_from_memory() is known


@virtual
async def test_a_server_that_does_not_give_its_version_may_read_pages_from_etcd() -> None:
    async with Simulator() as api, KubeClient(Anonymous(api.url), Counts()) as client:
        api.faults.add(faults.Answer(403), verb="discover")
        assert not await Discovery(client).pages_from_memory()
