"""The simulator and a real kube-apiserver, given the same objects, answer alike."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import aiohttp
import pytest

from exporter.model.resource import CLUSTER_POLICIES, EVENTS, NAMESPACES, POLICY_REPORTS
from exporter.simulator.sample import sample
from tests.apiserver import Simulator, Store
from tests.cluster.harness import ControlPlane, control_plane

pytestmark = pytest.mark.tier("cluster")

Object = dict[str, Any]
JSON, TABLE = "application/json", "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
REPORTS, NEW_EVENTS, CORE_EVENTS = POLICY_REPORTS.path(), EVENTS.path("default"), "/api/v1/events"
INITIAL = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
# What no two servers have in common.
OWN = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "continue")


class Call(NamedTuple):
    """One request to both."""

    path: str
    query: dict[str, str]
    accept: str = JSON
    method: str = "GET"


class Both(NamedTuple):
    """A client of each server."""

    real: aiohttp.ClientSession
    simulated: aiohttp.ClientSession


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with control_plane() as running:
        asyncio.run(_load_real(running))
        yield running


async def _load_real(plane: ControlPlane) -> None:
    connector = aiohttp.TCPConnector(ssl=plane.tls())
    async with aiohttp.ClientSession(plane.server, connector=connector) as client:
        await load(client)


@pytest.fixture
async def both(plane: ControlPlane) -> AsyncIterator[Both]:
    connector = aiohttp.TCPConnector(ssl=plane.tls())
    async with (
        Simulator() as api,
        aiohttp.ClientSession(api.url) as simulated,
        aiohttp.ClientSession(plane.server, connector=connector) as real,
    ):
        await load(simulated)
        yield Both(real, simulated)


def objects() -> Iterator[tuple[str, Object]]:
    """What is written to both: the workshop's reports and Events, and policies."""
    store = Store(lambda: 1_795_435_200.0)
    sample(store)
    for resource in (NAMESPACES, POLICY_REPORTS, EVENTS, CLUSTER_POLICIES):
        for stored in store.all(resource.name):
            if {stored.namespace, stored.key} & {"", "carts", "default"}:
                data = json.loads(stored.raw)
                data["metadata"] = {k: v for k, v in data["metadata"].items() if k not in OWN}
                yield resource.path(stored.namespace), data


async def load(client: aiohttp.ClientSession) -> None:
    for path, data in objects():
        async with client.post(path, json=data) as answer:
            # The real server has made default and kube-system itself.
            assert answer.status in (201, 409), await answer.text()


async def answer_of(client: aiohttp.ClientSession, call: Call) -> tuple[int, str, str]:
    headers = {"Accept": call.accept}
    async with client.request(call.method, call.path, params=call.query, headers=headers) as got:
        return got.status, got.content_type, await got.text()


REFUSED = {
    "version in the future": Call(REPORTS, {"resourceVersion": "99999999"}),
    "version not a number": Call(REPORTS, {"resourceVersion": "x"}),
    "watch from no number": Call(REPORTS, {"resourceVersion": "x", "watch": "1"}),
    "match without version": Call(REPORTS, {"resourceVersionMatch": "Exact"}),
    "match unknown": Call(REPORTS, {"resourceVersionMatch": "Foo", "resourceVersion": "1"}),
    "exactly 0": Call(REPORTS, {"resourceVersionMatch": "Exact", "resourceVersion": "0"}),
    "match for watch": Call(
        REPORTS, {"watch": "1", "resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"}
    ),
    "initial events for list": Call(REPORTS, {"sendInitialEvents": "true"}),
    "initial events alone": Call(REPORTS, {"watch": "1", "sendInitialEvents": "true"}),
    "field of custom object": Call(REPORTS, {"fieldSelector": "spec.x=1"}),
    "field of event": Call("/apis/events.k8s.io/v1/events", {"fieldSelector": "note=1"}),
    "core field of new event": Call(NEW_EVENTS, {"fieldSelector": "involvedObject.name=x"}),
    "new field of core event": Call(CORE_EVENTS, {"fieldSelector": "reportingController=x"}),
    "limit": Call(REPORTS, {"limit": "many"}),
    "no such object": Call(POLICY_REPORTS.path("carts") + "/nope", {}),
    "delete no such object": Call(POLICY_REPORTS.path("carts") + "/nope", {}, method="DELETE"),
    "no such version": Call("/apis/wgpolicyk8s.io/v9/policyreports", {}),
    "no such group": Call("/apis/nothing.example/v1", {}),
    "namespace of cluster resource": Call(
        "/apis/wgpolicyk8s.io/v1alpha2/namespaces/carts/clusterpolicyreports", {}
    ),
    "watch from before history": Call(
        REPORTS, {"watch": "1", "resourceVersion": "1", "timeoutSeconds": "1"}
    ),
    "watch of initial events in the future": Call(
        REPORTS, {"watch": "1", "resourceVersion": "99999999", "timeoutSeconds": "1", **INITIAL}
    ),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
async def test_refusals_are_equal_to_the_word(both: Both, call: Call) -> None:
    real, simulated = [await answer_of(client, call) for client in both]
    assert masked(simulated) == masked(real)


def masked(answer: tuple[int, str, str]) -> tuple[int, str, object]:
    """An answer without the versions that each server counts for itself."""
    status, kind, text = answer
    body = re.sub(r"current: \d+|\(\d+\)", "N", text)
    return status, kind, json.loads(body) if kind == JSON else body


LISTED = {
    "reports": Call(REPORTS, {}),
    "reports of a namespace": Call(POLICY_REPORTS.path("carts"), {}),
    "first page": Call(REPORTS, {"limit": "3"}),
    "any version ignores the limit": Call(REPORTS, {"limit": "3", "resourceVersion": "0"}),
    "by label": Call(REPORTS, {"labelSelector": "app.kubernetes.io/managed-by=kyverno"}),
    "by no label": Call(REPORTS, {"labelSelector": "!app.kubernetes.io/managed-by"}),
    "by name": Call(
        REPORTS, {"fieldSelector": "metadata.name=ea02cd57-8684-43ad-8e8f-c0140beeec2b"}
    ),
    "events": Call(NEW_EVENTS, {}),
    "core events": Call("/api/v1/namespaces/default/events", {}),
    "events by reason": Call(NEW_EVENTS, {"fieldSelector": "reason=PolicyViolation"}),
    "events by controller": Call(
        NEW_EVENTS, {"fieldSelector": "reportingController=kyverno-admission"}
    ),
    "events by regarding": Call(NEW_EVENTS, {"fieldSelector": "regarding.name=baseline-policy"}),
    "core events by source": Call(CORE_EVENTS, {"fieldSelector": "source=kyverno-admission"}),
    "core events by component": Call(
        CORE_EVENTS, {"fieldSelector": "reportingComponent!=kyverno-admission"}
    ),
    "metadata": Call(REPORTS, {"limit": "2"}, PARTIAL),
}


@pytest.mark.parametrize("call", LISTED.values(), ids=LISTED)
async def test_lists_hold_the_same_objects(both: Both, call: Call) -> None:
    real, simulated = [json.loads((await answer_of(client, call))[2]) for client in both]
    assert list(simulated)[-1] == list(real)[-1]
    assert without_own(simulated) == without_own(real)


def without_own(value: object) -> object:
    """An object as far as its writer decides, and whether there is more."""
    if isinstance(value, dict):
        kept = {key: without_own(inner) for key, inner in value.items() if key not in OWN}
        return kept | {"continues": "continue" in value}
    return [without_own(each) for each in value] if isinstance(value, list) else value


TABLES = {
    "reports": Call(REPORTS, {}, TABLE),
    "core events": Call("/api/v1/namespaces/default/events", {}, TABLE),
    "new events": Call(NEW_EVENTS, {}, TABLE),
    "namespaces": Call("/api/v1/namespaces/carts", {}, TABLE),
}


@pytest.mark.parametrize("call", TABLES.values(), ids=TABLES)
async def test_tables_have_the_same_columns_and_cells(both: Both, call: Call) -> None:
    real, simulated = [json.loads((await answer_of(client, call))[2]) for client in both]
    for table in (real, simulated):
        for column in table["columnDefinitions"]:
            column["description"] = ""
    assert simulated["columnDefinitions"] == real["columnDefinitions"]
    assert [ageless(row) for row in simulated["rows"]] == [ageless(row) for row in real["rows"]]


def ageless(row: Object) -> tuple[list[object], object]:
    cells = ["AGE" if re.fullmatch(r"(\d+[smhdy])+", str(c)) else c for c in row["cells"]]
    return cells, without_own(row["object"])


@pytest.mark.parametrize(
    "query",
    [{}, {"resourceVersion": "0"}, {**INITIAL, "allowWatchBookmarks": "true"}],
    ids=["no version", "version 0", "initial events"],
)
@pytest.mark.parametrize("accept", [JSON, TABLE], ids=["objects", "tables"])
async def test_a_watch_begins_with_the_same_lines(
    both: Both, query: dict[str, str], accept: str
) -> None:
    call = Call(REPORTS, {"watch": "1", "timeoutSeconds": "4", **query}, accept)
    answers = await asyncio.gather(*(answer_of(client, call) for client in both))
    real, simulated = [_begun(text) for *_, text in answers]
    assert [line["type"] for line in simulated] == [line["type"] for line in real]
    if accept == JSON:
        told = [without_own(sorted(map(_text, lines))) for lines in (real, simulated)]
        assert told[1] == told[0]
    else:
        assert [_headed(line) for line in simulated] == [_headed(line) for line in real]


def _begun(text: str) -> list[Object]:
    """The lines up to the first bookmark; before a watch times out, more may come."""
    lines = [json.loads(line) for line in text.splitlines()]
    ends = [number for number, line in enumerate(lines, 1) if line["type"] == "BOOKMARK"]
    return lines[: ends[0]] if ends else lines


def _headed(line: Object) -> tuple[str, bool]:
    return line["object"]["kind"], bool(line["object"].get("columnDefinitions"))


def _text(line: Object) -> str:
    return json.dumps(without_own(line), sort_keys=True)


@pytest.mark.parametrize("path", ["/apis/wgpolicyk8s.io/v1alpha2", "/apis/wgpolicyk8s.io"])
async def test_discovery_names_the_same(both: Both, path: str) -> None:
    real, simulated = [json.loads((await answer_of(client, Call(path, {})))[2]) for client in both]
    for resource in real.get("resources", []):
        del resource["storageVersionHash"]
    for document in (real, simulated):
        for resource in document.get("resources", []):
            resource["verbs"] = set(resource["verbs"]) - {"patch", "deletecollection"}
        document.get("resources", []).sort(key=lambda each: each["name"])
    assert simulated == real
