"""A ConfigMap is read, and replaced only at the version that was read."""

import json
from base64 import b64decode, b64encode

import pytest
from aiohttp import web

from exporter.errors import ApiError, Malformed, Unavailable
from exporter.kube.client import KubeClient
from exporter.kube.configmap import ConfigMap
from exporter.kube.credentials import Anonymous
from exporter.metrics.self_metrics import new_self_metrics
from tests.kube.serving import json as answer
from tests.kube.serving import never, serving
from tests.virtual_time import virtual

PATH = "/api/v1/namespaces/ns/configmaps/state"
NOTE = {"policy-report-exporter/writer": "pod-a"}


def stored(**fields: object) -> str:
    return json.dumps({"metadata": {"resourceVersion": "7", "annotations": NOTE}, **fields})


class Server:
    """Answers each request with one body, and keeps what was asked."""

    def __init__(self, body: str, status: int = 200) -> None:
        self.asked: list[tuple[str, str, str, str]] = []
        self.body = ""
        self._body = body
        self._status = status

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = request.headers
        kind = headers.get("Content-Type", "")
        self.asked.append((request.method, request.path, kind, headers["Accept"]))
        self.body = (await request.read()).decode()
        return answer(self._body, self._status)


def configmap(client: KubeClient) -> ConfigMap:
    return ConfigMap(client, "ns", "state")


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"binaryData": {"checkpoint": b64encode(b"\x1f\x8b").decode()}}, b"\x1f\x8b"),
        ({"data": {"checkpoint": "{}"}}, b"{}"),
        ({"data": {"other": "x"}}, b""),
        ({}, b""),
    ],
    ids=["as it is written", "as a person puts it there", "of others", "empty"],
)
async def test_its_content_is_read(fields: dict[str, object], content: bytes) -> None:
    async with (
        serving(Server(stored(**fields))) as url,
        KubeClient(Anonymous(url), new_self_metrics()) as client,
    ):
        found = await configmap(client).get()
    assert (found.version, found.annotations, found.content) == ("7", NOTE, content)


async def test_a_write_names_the_version_it_is_based_on() -> None:
    server = Server(stored())
    async with (
        serving(server) as url,
        KubeClient(Anonymous(url), new_self_metrics()) as client,
    ):
        written = await configmap(client).replace("6", NOTE, b"content")
        patch = json.loads(server.body)
        await configmap(client).replace("7", NOTE)
        alone = json.loads(server.body)
    assert written.version == "7"
    method, path, kind, accept = server.asked[0]
    assert (method, path, kind) == ("PATCH", PATH, "application/merge-patch+json")
    assert "PartialObjectMetadata" in accept
    assert patch["metadata"] == {"resourceVersion": "6", "annotations": NOTE}
    assert b64decode(patch["binaryData"]["checkpoint"]) == b"content"
    assert alone.keys() == {"metadata"}


async def test_a_conflict_is_told_by_its_status() -> None:
    async with (
        serving(Server('{"kind": "Status", "message": "modified"}', 409)) as url,
        KubeClient(Anonymous(url), new_self_metrics()) as client,
    ):
        with pytest.raises(ApiError) as raised:
            await configmap(client).replace("6", NOTE, b"content")
    assert raised.value.status == 409


async def test_an_answer_that_is_no_object_is_malformed() -> None:
    async with (
        serving(Server('{"kind": "ConfigMap"}')) as url,
        KubeClient(Anonymous(url), new_self_metrics()) as client,
    ):
        with pytest.raises(Malformed, match="configmaps/state"):
            await configmap(client).head()


@virtual
async def test_a_server_that_does_not_answer_is_given_up_within_15_seconds() -> None:
    async def silent(_: web.BaseRequest) -> web.StreamResponse:
        await never()
        raise AssertionError

    async with (
        serving(silent) as url,
        KubeClient(Anonymous(url), new_self_metrics()) as client,
    ):
        with pytest.raises(Unavailable, match="no response within 15 seconds"):
            await configmap(client).get()
