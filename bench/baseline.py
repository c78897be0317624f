"""What the product is compared with: read the bytes, decode them and nothing else, make dicts."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

from bench.api import Api
from bench.measure import Figures, timed
from exporter.app.memory import prepare_for_sync
from exporter.kube.transport import accepted_encoding
from exporter.model.resource import POLICY_REPORTS

PAGE: Final = 250


class _Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str = ""


class _Scope(msgspec.Struct, frozen=True, gc=False):
    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""


class _Instant(msgspec.Struct, frozen=True, gc=False):
    seconds: int = 0


class _Result(msgspec.Struct, frozen=True, gc=False):
    policy: str
    rule: str = ""
    result: str = ""
    severity: str = ""
    category: str = ""
    source: str = ""
    message: str = ""
    timestamp: _Instant | None = None


class _Summary(msgspec.Struct, frozen=True, gc=False, rename={"pass_": "pass"}):
    pass_: int = 0
    fail: int = 0
    warn: int = 0
    error: int = 0
    skip: int = 0


class TypedReport(msgspec.Struct, gc=False):
    """All that an exporter uses of a report."""

    metadata: _Metadata
    scope: _Scope | None = None
    summary: _Summary | None = None
    results: list[_Result] | None = None


class _ListMetadata(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str = ""


class _Page(msgspec.Struct, gc=False):
    items: list[TypedReport]
    metadata: _ListMetadata


class _Line(msgspec.Struct, gc=False):
    type: str
    object: TypedReport


decode_page: Final = msgspec.json.Decoder(_Page).decode
decode_line: Final = msgspec.json.Decoder(_Line).decode
"""Typed decoding of all that an exporter uses; the product's own decoder may well do less."""


def read(api: Api) -> Figures:
    """Read all pages, and leave them as they are."""
    return asyncio.run(_paged(api, lambda _: None))


def decode(api: Api) -> Figures:
    """Read all pages, decode them, and discard that."""
    return asyncio.run(_paged(api, decode_page))


async def _paged(api: Api, take: Callable[[bytes], object]) -> Figures:
    prepare_for_sync()  # as the product does: what is compared is the work
    cont, size = "0", 0
    headers, tls = {"Accept-Encoding": accepted_encoding()}, api.trust() or True
    async with aiohttp.ClientSession(read_bufsize=2**18) as session:
        with timed() as figures:
            while cont:
                url = f"{api.url}{POLICY_REPORTS.path()}?limit={PAGE}&continue={cont}"
                async with session.get(url, headers=headers, ssl=tls) as response:
                    body = await response.read()
                size += len(body)
                take(body)
                cont = _continue(body)
    return figures | {"megabytes": size / 1e6}


def follow(api: Api, rate: int, count: int) -> Figures:
    """Read a watch's lines as they come, decode them, and discard that."""
    return asyncio.run(_followed(api, rate, count))


async def _followed(api: Api, rate: int, count: int) -> Figures:
    prepare_for_sync()
    url = f"{api.url}{POLICY_REPORTS.path()}?watch=true"
    async with aiohttp.ClientSession(read_bufsize=2**18) as session, session.get(url) as answer:
        reading = asyncio.ensure_future(_decoded(answer.content, count))
        spent, began = time.process_time(), time.monotonic()
        await asyncio.to_thread(api.flow, POLICY_REPORTS.plural, count, rate)
        await reading
        spent, seconds = time.process_time() - spent, time.monotonic() - began
        answer.close()
    return {"cpu_percent": spent / seconds * 100, "changes": count}


async def _decoded(stream: aiohttp.StreamReader, count: int) -> None:
    rest = b""
    while count:
        *lines, rest = (rest + await stream.readany()).split(b"\n")
        for line in lines:
            decode_line(line)
        count -= len(lines)


def _continue(body: bytes) -> str:
    """Read the continue token off the tail, where the server writes it."""
    at = body.rfind(b'"continue":"') + len(b'"continue":"')
    return body[at : body.index(b'"', at)].decode()


def dicts(api: Api, most: int) -> Figures:
    """List up to *most* reports by the official client: dicts, nothing kept."""
    from kubernetes import client  # noqa: PLC0415 - its import is not what is measured

    configuration = client.Configuration(host=api.url)
    configuration.ssl_ca_cert = api.ca or None
    found, cont = 0, ""
    with client.ApiClient(configuration) as session, timed() as figures:
        objects = client.CustomObjectsApi(session)
        while found < most:
            listed = objects.list_cluster_custom_object(
                POLICY_REPORTS.group,
                POLICY_REPORTS.version,
                POLICY_REPORTS.plural,
                limit=PAGE,
                **({"_continue": cont} if cont else {}),
            )
            found, cont = found + len(listed["items"]), listed["metadata"]["continue"]
            if not cont:
                break
    return figures | {"reports": found}
