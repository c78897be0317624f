"""One ConfigMap: its binary content, read, and replaced only if no one else has changed it."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from exporter.errors import Malformed, Unavailable, explain
from exporter.kube.client import JSON, KubeClient, Request
from exporter.wire.codec import BROKEN

_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
REQUEST_SECONDS: Final = 15.0
_KEY: Final = "checkpoint"


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str
    annotations: dict[str, str] | None = None


class _ConfigMap(msgspec.Struct, rename="camel"):
    metadata: _Metadata
    data: dict[str, str] | None = None
    binary_data: dict[str, bytes] | None = None


class ConfigMapState(NamedTuple):
    """What a ConfigMap held at a resourceVersion; *content* is empty where it was not read."""

    version: str
    annotations: Mapping[str, str]
    content: bytes = b""


class ConfigMap:
    """A ConfigMap that exists already; its content is in ``binaryData``, under one key.

    Content that a person put into ``data`` under that key is read as well.
    """

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self.name = f"{namespace}/{name}"
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"

    async def head(self) -> ConfigMapState:
        """Read the version and the annotations alone.

        Raises:
            ApiError: by what is to be done next.
            Malformed: the answer is no object.
        """
        return await self._asked(self._request("get", accept=f"{_METADATA_ONLY},{JSON}"))

    async def get(self) -> ConfigMapState:
        """Read the whole object; errors as of ``head``."""
        return await self._asked(self._request("get"))

    async def replace(
        self, version: str, annotations: Mapping[str, str], content: bytes | None = None
    ) -> ConfigMapState:
        """Write the content and annotations, or annotations alone; the rest of the object stays.

        Raises:
            ApiError: by what is to be done next; of status 409 if the object is no longer at
                *version*.
            Malformed: the answer is no object.
        """
        change: dict[str, object] = {
            "metadata": {"resourceVersion": version, "annotations": annotations}
        }
        if content is not None:
            change["binaryData"] = {_KEY: b64encode(content).decode()}
            change["data"] = {_KEY: None}
        body = msgspec.json.encode(change)
        accept = f"{_METADATA_ONLY},{JSON}"
        return await self._asked(self._request("patch", accept=accept, body=body))

    def _request(self, verb: str, accept: str = JSON, body: bytes = b"") -> Request:
        return Request(
            self._path, accept=accept, resource="configmaps", verb=verb, merge_patch=body
        )

    async def _asked(self, request: Request) -> ConfigMapState:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                body = await self._client.get(request)
        except TimeoutError as error:
            raise Unavailable(f"no response within {REQUEST_SECONDS:.0f} seconds") from error
        try:
            found = msgspec.json.decode(body, type=_ConfigMap)
        except BROKEN as error:
            raise Malformed(explain(request.path, error)) from error
        content = (found.binary_data or {}).get(_KEY) or (found.data or {}).get(_KEY, "").encode()
        metadata = found.metadata
        return ConfigMapState(metadata.resource_version, metadata.annotations or {}, content)
