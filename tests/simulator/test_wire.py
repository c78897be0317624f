"""Lists, gets, watches and writes over HTTP, as a real API server answers them."""

import asyncio
import json
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.simulator.world import World
from tests.apiserver import Simulator, Store

Object = dict[str, Any]
pytestmark = pytest.mark.tier("simulator")

PATH = POLICY_REPORTS.path()
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def report(name: str, namespace: str = "carts", **labels: str) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {
        "apiVersion": POLICY_REPORTS.api_version,
        "kind": "PolicyReport",
        "metadata": metadata,
        "summary": {"pass": 1, "fail": 0, "warn": 0, "error": 0, "skip": 0},
    }


def fill(store: Store, count: int, namespace: str = "carts") -> None:
    for number in range(count):
        store.create(POLICY_REPORTS.name, report(f"r{number:03}", namespace))


async def get(client: aiohttp.ClientSession, path: str, status: int = 200, **query: str) -> Object:
    async with client.get(path, params=query) as answer:
        body: Object = await answer.json()
        assert answer.status == status, body
        return body


def names(found: Object) -> list[str]:
    return [item["metadata"]["name"] for item in found["items"]]


async def events(
    client: aiohttp.ClientSession, count: int, path: str = PATH, accept: str = "", **query: str
) -> list[Object]:
    """The first lines of a watch."""
    headers = {"Accept": accept or "application/json"}
    query = {"watch": "1", **query}
    lines: list[Object] = []
    async with asyncio.timeout(5), client.get(path, params=query, headers=headers) as answer:
        assert answer.status == 200
        while len(lines) < count:
            line = await answer.content.readline()
            assert line, f"the watch ended after {lines}"
            lines.append(json.loads(line))
    return lines


async def test_pages_add_up_to_the_list_as_it_was_at_the_first(
    client: aiohttp.ClientSession, store: Store
) -> None:
    fill(store, 10)
    first = await get(client, PATH, limit="4")
    store.delete(POLICY_REPORTS.name, "carts", "r006")
    store.create(POLICY_REPORTS.name, report("r0055"))
    second = await get(client, PATH, limit="4", **{"continue": first["metadata"]["continue"]})
    third = await get(client, PATH, limit="4", **{"continue": second["metadata"]["continue"]})
    assert names(first) + names(second) + names(third) == [f"r{n:03}" for n in range(10)]
    assert first["metadata"]["remainingItemCount"] == 6
    assert third["metadata"]["continue"] == ""
    versions = {page["metadata"]["resourceVersion"] for page in (first, second, third)}
    assert len(versions) == 1


async def test_an_expired_continue_token_gets_410_and_a_token_for_the_rest(
    client: aiohttp.ClientSession, store: Store
) -> None:
    fill(store, 6)
    first = await get(client, PATH, limit="4")
    store.create(POLICY_REPORTS.name, report("r9"))
    store.compact()
    token = first["metadata"]["continue"]
    refused = await get(client, PATH, 410, limit="4", **{"continue": token})
    assert refused["reason"] == "Expired"
    rest = await get(client, PATH, **{"continue": refused["metadata"]["continue"]})
    assert names(rest) == ["r004", "r005", "r9"]


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ({"resourceVersion": "999999"}, 504, "Too large resource version"),
        ({"resourceVersion": "x"}, 400, "resourceVersion"),
        ({"continue": "rubbish"}, 400, "continue"),
        ({"resourceVersionMatch": "Exact"}, 422, "unless resourceVersion is provided"),
        ({"sendInitialEvents": "true"}, 422, "sendInitialEvents is forbidden for list"),
        ({"watch": "1", "sendInitialEvents": "true"}, 422, "NotOlderThan"),
        ({"fieldSelector": "spec.x=1"}, 400, "field label not supported"),
        ({"labelSelector": "a=(b"}, 400, "unable to parse"),
        ({"limit": "many"}, 400, "ParseInt"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_contradictory_query_is_refused_as_a_real_server_does(
    client: aiohttp.ClientSession, query: dict[str, str], status: int, says: str
) -> None:
    refused = await get(client, PATH, status, **query)
    assert (refused["kind"], refused["code"]) == ("Status", status)
    assert says in refused["message"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("team=a", ["one"]),
        ("team!=a", ["none", "two"]),
        ("team in (a,b)", ["one", "two"]),
        ("team notin (a, b)", ["none"]),
        ("team", ["one", "two"]),
        ("!team", ["none"]),
        ("team,env=x", ["two"]),
    ],
)
async def test_label_selectors(
    client: aiohttp.ClientSession, store: Store, selector: str, expected: list[str]
) -> None:
    for each in (report("one", team="a"), report("two", team="b", env="x"), report("none")):
        store.create(POLICY_REPORTS.name, each)
    assert names(await get(client, PATH, labelSelector=selector)) == expected


@pytest.mark.parametrize(
    ("path", "selector", "count"),
    [
        (EVENTS.path(), "reason=PolicyViolation,regarding.name=baseline-policy", 1),
        (EVENTS.path(), "reportingController=kyverno-admission", 2),
        (EVENTS.path("default"), "type!=Warning", 0),
        ("/api/v1/events", "involvedObject.kind=ClusterPolicy,source=kyverno-admission", 2),
        ("/api/v1/events", "reportingComponent=kyverno-scan", 0),
        (PATH, "metadata.namespace=carts", 8),
    ],
)
async def test_field_selectors(
    client: aiohttp.ClientSession, world: World, path: str, selector: str, count: int
) -> None:
    assert len(names(await get(client, path, fieldSelector=selector))) == count


async def test_one_event_has_both_apis_views(client: aiohttp.ClientSession, world: World) -> None:
    new = (await get(client, EVENTS.path("default")))["items"][0]
    core = (await get(client, "/api/v1/namespaces/default/events"))["items"][0]
    assert (core["message"], core["involvedObject"]) == (new["note"], new["regarding"])
    assert core["reportingComponent"] == new["reportingController"] == "kyverno-admission"
    assert (core["source"], core["firstTimestamp"], core["lastTimestamp"]) == ({}, None, None)
    assert core["metadata"] == new["metadata"]
    assert "kind" not in core
    assert "count" not in core


async def test_a_watch_resumes_exactly_after_its_version(
    client: aiohttp.ClientSession, store: Store
) -> None:
    fill(store, 2)
    version = str(store.version)
    store.replace(POLICY_REPORTS.name, report("r000", team="x"))
    store.delete(POLICY_REPORTS.name, "carts", "r001")
    store.create(POLICY_REPORTS.name, report("r002"))
    lines = await events(client, 3, resourceVersion=version)
    seen = [(line["type"], line["object"]["metadata"]["name"]) for line in lines]
    assert seen == [("MODIFIED", "r000"), ("DELETED", "r001"), ("ADDED", "r002")]
    versions = [int(line["object"]["metadata"]["resourceVersion"]) for line in lines]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)


async def test_a_watch_without_a_version_begins_with_what_is_there(
    client: aiohttp.ClientSession, store: Store
) -> None:
    fill(store, 2)
    lines = await events(client, 2)
    assert [line["type"] for line in lines] == ["ADDED", "ADDED"]


async def test_a_streaming_list_ends_with_the_annotated_bookmark(
    client: aiohttp.ClientSession, store: Store
) -> None:
    fill(store, 1)
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    added, bookmark = await events(client, 2, allowWatchBookmarks="true", **query)
    assert added["type"] == "ADDED"
    metadata = bookmark["object"]["metadata"]
    assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert metadata["resourceVersion"] == str(store.version)


async def test_without_watch_list_a_streaming_list_is_invalid(
    api: Simulator, client: aiohttp.ClientSession
) -> None:
    api.watch_list = False
    query = {"watch": "1", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    refused = await get(client, PATH, 422, **query)
    assert "WatchList feature gate" in refused["message"]


async def test_a_watch_from_before_the_floor_gets_an_error_event(
    client: aiohttp.ClientSession, store: Store
) -> None:
    version = str(store.version)
    fill(store, 1)
    store.compact()
    (line,) = await events(client, 1, resourceVersion=version)
    assert (line["type"], line["object"]["code"]) == ("ERROR", 410)
    assert line["object"]["reason"] == "Expired"


async def test_an_object_that_leaves_the_selection_is_deleted_for_its_watch(
    client: aiohttp.ClientSession, store: Store
) -> None:
    store.create(POLICY_REPORTS.name, report("r", team="a"))
    version = str(store.version)
    store.replace(POLICY_REPORTS.name, report("r", team="b"))
    store.replace(POLICY_REPORTS.name, report("r", team="a"))
    lines = await events(client, 2, resourceVersion=version, labelSelector="team=a")
    assert [line["type"] for line in lines] == ["DELETED", "ADDED"]


async def test_bookmarks_carry_a_quiet_watch_forward(
    api: Simulator, client: aiohttp.ClientSession, store: Store
) -> None:
    api.bookmark_seconds = 0.02
    version = str(store.version)
    store.tick()
    lines = await events(client, 1, resourceVersion=version, allowWatchBookmarks="1")
    assert lines[0]["type"] == "BOOKMARK"
    assert lines[0]["object"]["metadata"]["resourceVersion"] == str(store.version)
    assert lines[0]["object"]["kind"] == "PolicyReport"


async def test_a_watch_ends_after_its_timeout(client: aiohttp.ClientSession) -> None:
    query = {"watch": "1", "resourceVersion": "1000", "timeoutSeconds": "1"}
    async with asyncio.timeout(5), client.get(PATH, params=query) as answer:
        assert await answer.read() == b""


async def test_a_deleted_crd_deletes_its_objects_ends_watches_and_is_not_found(
    api: Simulator, client: aiohttp.ClientSession, store: Store
) -> None:
    fill(store, 2)
    query = {"watch": "1", "resourceVersion": str(store.version)}
    async with asyncio.timeout(5), client.get(PATH, params=query) as answer:
        api.unserve(POLICY_REPORTS)
        lines = (await answer.read()).splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["DELETED", "DELETED"]
    for path in (PATH, POLICY_REPORTS.path("carts") + "/x"):
        async with client.get(path) as answer:
            assert (answer.status, await answer.text()) == (404, "404 page not found\n")
    api.serve(POLICY_REPORTS)
    assert names(await get(client, PATH)) == []


async def test_another_version_of_a_resource_serves_the_same_objects(
    api: Simulator, client: aiohttp.ClientSession, store: Store
) -> None:
    fill(store, 1)
    newer = POLICY_REPORTS._replace(version="v1beta1")
    api.serve(newer)
    api.unserve(POLICY_REPORTS)
    (item,) = (await get(client, newer.path()))["items"]
    assert item["apiVersion"] == "wgpolicyk8s.io/v1beta1"
    async with client.get(PATH) as answer:
        assert answer.status == 404


async def test_tables_have_the_columns_that_kubectl_prints(
    client: aiohttp.ClientSession, world: World
) -> None:
    async with client.get(PATH, headers={"Accept": TABLE}) as answer:
        table = await answer.json()
    columns = [column["name"] for column in table["columnDefinitions"]]
    assert columns == ["Name", "Kind", "Name", "Pass", "Fail", "Warn", "Error", "Skip", "Age"]
    assert len(table["rows"]) == len(world.store.all(POLICY_REPORTS.name))
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


@pytest.mark.parametrize(
    ("include", "kind"), [("None", None), ("Object", "PolicyReport")], ids=["None", "Object"]
)
async def test_table_rows_include_what_is_asked_for(
    client: aiohttp.ClientSession, world: World, include: str, kind: str | None
) -> None:
    path, headers = POLICY_REPORTS.path("default"), {"Accept": TABLE}
    async with client.get(path, params={"includeObject": include}, headers=headers) as answer:
        shown = (await answer.json())["rows"][0]["object"]
    assert (shown and shown["kind"]) == kind


async def test_a_watch_as_tables_names_its_columns_once(
    client: aiohttp.ClientSession, store: Store
) -> None:
    fill(store, 2)
    first, second = await events(client, 2, accept=TABLE)
    assert first["object"]["columnDefinitions"]
    assert not second["object"]["columnDefinitions"]
    assert second["object"]["rows"][0]["cells"][0] == "r001"


async def test_metadata_alone_can_be_listed(client: aiohttp.ClientSession, store: Store) -> None:
    fill(store, 1)
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    async with client.get(PATH, headers={"Accept": accept}) as answer:
        found = await answer.json()
    assert found["kind"] == "PartialObjectMetadataList"
    assert set(found["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_only_protobuf_is_not_acceptable(client: aiohttp.ClientSession) -> None:
    headers = {"Accept": "application/vnd.kubernetes.protobuf"}
    async with client.get(PATH, headers=headers) as answer:
        assert answer.status == 406


@pytest.mark.parametrize(("count", "encoding"), [(2, None), (400, "gzip")])
async def test_a_large_list_is_compressed_and_a_small_one_is_not(
    client: aiohttp.ClientSession, store: Store, count: int, encoding: str | None
) -> None:
    fill(store, count)
    async with client.get(PATH, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers.get("Content-Encoding") == encoding
        assert len(names(await answer.json())) == count


async def test_writes_over_http_show_in_a_watch(
    client: aiohttp.ClientSession, store: Store
) -> None:
    version = str(store.version)
    path = POLICY_REPORTS.path("carts")
    async with client.post(path, json=report("r")) as answer:
        assert answer.status == 201
        made = await answer.json()
    async with client.post(path, json=report("r")) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (409, "AlreadyExists")
    made["summary"]["fail"] = 1
    async with client.put(f"{path}/r", json=made) as answer:
        changed = (await answer.json())["metadata"]
        assert (answer.status, changed["generation"]) == (200, 2)
    async with client.put(f"{path}/r", json=made) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (409, "Conflict")
    async with client.delete(f"{path}/r") as answer:
        assert (answer.status, (await answer.json())["status"]) == (200, "Success")
    async with client.delete(f"{path}/r") as answer:
        assert answer.status == 404
    lines = await events(client, 3, resourceVersion=version)
    assert [line["type"] for line in lines] == ["ADDED", "MODIFIED", "DELETED"]
    assert lines[0]["object"]["metadata"]["managedFields"][0]["manager"] == "Python"


async def test_an_update_that_changes_nothing_writes_nothing(store: Store) -> None:
    fill(store, 1)
    version = store.version
    store.replace(POLICY_REPORTS.name, report("r000"))
    assert store.version == version


async def test_discovery_in_both_formats_names_the_same_resources(
    client: aiohttp.ClientSession,
) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    async with client.get("/apis", headers={"Accept": accept}) as answer:
        assert "APIGroupDiscoveryList" in answer.headers["Content-Type"]
        aggregated = await answer.json()
    for group in (await get(client, "/apis"))["groups"]:
        items = aggregated["items"]
        twin = next(each for each in items if each["metadata"]["name"] == group["name"])
        for version in twin["versions"]:
            plain = await get(client, f"/apis/{group['name']}/{version['version']}")
            assert [each["name"] for each in plain["resources"]] == [
                each["resource"] for each in version["resources"]
            ]
    policies = next(
        g for g in aggregated["items"] if g["metadata"]["name"] == "policies.kyverno.io"
    )
    assert [each["version"] for each in policies["versions"]] == ["v1", "v1beta1"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
async def test_health_endpoints_answer(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        assert (answer.status, await answer.text()) == (200, "ok")


async def test_a_body_that_is_not_json_is_an_unsupported_media_type(
    client: aiohttp.ClientSession,
) -> None:
    headers = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    async with client.post(POLICY_REPORTS.path("carts"), data=b"k8s", headers=headers) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", POLICY_REPORTS.path("carts") + "/r000", 405),
        ("DELETE", POLICY_REPORTS.path("carts"), 405),
        ("GET", "/apis/wgpolicyk8s.io/v1alpha2/namespaces/carts/clusterpolicyreports", 404),
        ("GET", "/apis/nothing.example", 404),
        ("GET", "/apis/wgpolicyk8s.io/v9", 404),
        ("GET", "/metrics", 404),
    ],
)
async def test_what_is_not_served_is_refused(
    client: aiohttp.ClientSession, store: Store, method: str, path: str, status: int
) -> None:
    fill(store, 1)
    async with client.request(method, path) as answer:
        assert answer.status == status
        # Where nothing is served, a real server says so in words.
        kind = "text/plain" if status == 404 else "application/json"
        assert answer.content_type == kind


async def test_it_serves_over_tls(store: Store, tmp_path: Path) -> None:
    certificate, context = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with Simulator(store, tls=context) as api, aiohttp.ClientSession(api.url) as client:
        assert api.url.startswith("https://127.0.0.1:")
        async with client.get("/version", ssl=trusting) as answer:
            assert (await answer.json())["major"] == "1"


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simulator")])
    now = datetime.now(UTC)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(addresses, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "key.pem").write_bytes(private)
    (folder / "cert.pem").write_bytes(public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


@pytest.mark.parametrize(
    ("accept", "kind"),
    [(TABLE, "Table"), ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "Partial")],
)
async def test_one_object_comes_in_every_form(
    client: aiohttp.ClientSession, store: Store, accept: str, kind: str
) -> None:
    fill(store, 1)
    path, headers = POLICY_REPORTS.path("carts") + "/r000", {"Accept": accept}
    async with client.get(path, headers=headers) as answer:
        assert (await answer.json())["kind"].startswith(kind)


def written(**metadata: str) -> bytes:
    return json.dumps({**report("x"), "metadata": metadata}).encode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"kind":"Pod","apiVersion":"v1"}', 400),
        (written(), 422),
        (written(name="x", namespace="other"), 400),
        (written(generateName="x-"), 201),
    ],
    ids=["no JSON", "another kind", "no name", "another namespace", "a name to be made"],
)
async def test_what_is_written_must_be_an_object_of_its_place(
    client: aiohttp.ClientSession, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    path = POLICY_REPORTS.path("carts")
    async with client.post(path, data=body, headers=headers) as answer:
        assert answer.status == status
    async with client.put(f"{path}/nope", data=body, headers=headers) as answer:
        assert answer.status == (404 if status in (201, 422) else 400)


async def test_a_core_event_that_is_written_is_kept_in_both_views(
    client: aiohttp.ClientSession,
) -> None:
    event: Object = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "a"},
    }
    event |= {"message": "Pod a/b: fail", "source": {"component": "kyverno-admission"}, "count": 3}
    async with client.post("/api/v1/namespaces/a/events", json=event) as answer:
        assert answer.status == 201
    (core,) = (await get(client, "/api/v1/events", fieldSelector="source=kyverno-admission"))[
        "items"
    ]
    (new,) = (await get(client, EVENTS.path()))["items"]
    assert (core["count"], new["deprecatedCount"]) == (3, 3)
    assert new["note"] == core["message"] == event["message"]


async def test_an_exact_version_is_shown_as_it_was(
    client: aiohttp.ClientSession, store: Store
) -> None:
    fill(store, 2)
    then = str(store.version)
    store.delete(POLICY_REPORTS.name, "carts", "r000")
    query = {"resourceVersion": then, "resourceVersionMatch": "Exact"}
    assert names(await get(client, PATH, 200, **query)) == ["r000", "r001"]
    assert names(await get(client, PATH, resourceVersion=then, limit="9")) == ["r000", "r001"]
    assert names(await get(client, PATH, resourceVersion=then)) == ["r001"]
    store.compact()
    async with client.get(PATH, params=query) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (410, "Expired")
