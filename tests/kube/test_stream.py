"""Watches that bring little at a time are named to whoever lets that gather."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
from aiohttp import web

from exporter.kube.client import KubeClient, Request
from exporter.kube.credentials import Anonymous
from exporter.kube.stream import CALM, MUCH, Stream
from tests.kube.serving import serving
from tests.watch.recording import Counts

DESCRIPTOR = 7
REQUEST = Request("/apis/things", {}, resource="things", verb="watch")


def answer(**connection: Any) -> aiohttp.ClientResponse:
    made = SimpleNamespace(**connection) if connection else None
    return cast(aiohttp.ClientResponse, SimpleNamespace(connection=made))


def of_socket(fileno: int | None) -> aiohttp.ClientResponse:
    sock = None if fileno is None else SimpleNamespace(fileno=lambda: fileno)
    return answer(transport=SimpleNamespace(get_extra_info={"socket": sock}.get))


def test_a_stream_is_one_once_it_brought_little_for_long() -> None:
    streams = {99}
    stream = Stream(of_socket(DESCRIPTOR), streams)
    for _ in range(CALM):
        stream.brought(MUCH - 1)
    assert streams == {99}, "a list may still follow"
    stream.brought(MUCH - 1)
    assert streams == {99, DESCRIPTOR}
    stream.end()
    assert streams == {99}


def test_a_stream_that_brings_much_at_once_is_none_until_it_is_calm_again() -> None:
    streams = set[int]()
    stream = Stream(of_socket(DESCRIPTOR), streams)
    for _ in range(CALM + 1):
        stream.brought(1)
    stream.brought(MUCH)
    assert streams == set()
    for _ in range(CALM):
        stream.brought(1)
    assert streams == set()
    stream.brought(1)
    assert streams == {DESCRIPTOR}


def test_what_has_no_socket_is_none() -> None:
    streams = set[int]()
    for response in (answer(), answer(transport=None), of_socket(None)):
        stream = Stream(response, streams)
        for _ in range(CALM + 1):
            stream.brought(1)
        stream.end()
    assert streams == set()


async def test_a_watch_is_a_stream_for_as_long_as_it_is_read() -> None:
    async def lines(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        for number in range(2 * CALM):
            await response.write(b'{"line":%d}\n' % number)
            await asyncio.wait_for(read[number].wait(), 10)
        return response

    read = [asyncio.Event() for _ in range(2 * CALM)]
    streams, found, seen = set[int](), list[bytes](), list[int]()
    async with (
        serving(lines) as url,
        KubeClient(Anonymous(url), Counts(), streams=streams) as client,
    ):
        async for batch in client.lines(REQUEST):
            for line in batch:
                read[len(found)].set()
                found.append(line)
            seen.append(len(streams))
    assert found == [b'{"line":%d}' % number for number in range(2 * CALM)]
    assert (seen[0], max(seen)) == (0, 1)
    assert streams == set()
