"""Initial sync and rescans: the product against reading and decoding the same bytes."""

import asyncio
import time
from collections.abc import Callable

import aiohttp

from bench.measure import Figures, fresh, rounds
from bench.reports import NOW, Shape, line, pages
from bench.server import Load, serving
from exporter.app.exporter import Exporter, Plan, own_metrics
from exporter.kube.client import Client
from exporter.kube.credentials import Anonymous
from exporter.kube.source import KubeSource
from exporter.model.changes import Applied, Listed, Listing, Scope
from exporter.model.resource import POLICY_REPORTS
from exporter.model.wire import codec_for
from exporter.settings.file import ConfigFile, EventSettings, PolicySettings
from exporter.state.cluster import ClusterState
from exporter.state.selection import Selection

SCOPE = Scope(POLICY_REPORTS)
CONFIG = ConfigFile(policies=PolicySettings(watch=False), events=EventSettings(watch=False))


def compare_sync(shape: Shape, times: int) -> list[tuple[str, Figures]]:
    """Sync over HTTP: bytes only, decoded and discarded, and the product, state and all."""
    with serving(Load(shape)) as url:
        names = ("read only", "decode, discard", "sync")
        runs = [_in_fresh(run, url) for run in (_read, _decode, _sync)]
        return list(zip(names, rounds(times, *runs), strict=True))


def compare_parallel(shape: Shape, encode_seconds: float) -> Figures:
    """Sync against a server that takes as long to encode as a real one."""
    with serving(Load(shape, encode_seconds=encode_seconds)) as url:
        return fresh(_sync, url)


def compare_rescan(shape: Shape, changes: int) -> Figures:
    """Apply updates that change timestamps only, against decoding them."""
    return fresh(_rescan, shape, changes)


def _in_fresh(run: Callable[[str], Figures], url: str) -> Callable[[], Figures]:
    return lambda: fresh(run, url)


def _read(url: str) -> Figures:
    return asyncio.run(_paged(url, lambda _: None))


def _decode(url: str) -> Figures:
    page = codec_for(POLICY_REPORTS).page
    return asyncio.run(_paged(url, page))


async def _paged(url: str, take: Callable[[bytes], object]) -> Figures:
    began, cont, size = time.perf_counter(), "0", 0
    codec = codec_for(POLICY_REPORTS)
    async with aiohttp.ClientSession(read_bufsize=2**18) as session:
        while cont:
            query = f"?limit=250&continue={cont}"
            async with session.get(url + POLICY_REPORTS.path() + query) as response:
                body = await response.read()
            size += len(body)
            take(body)
            cont = _continue(body, codec.page)
    return {"seconds": time.perf_counter() - began, "megabytes": size / 1e6}


def _continue(body: bytes, _: object) -> str:
    """Read the continue token off the tail, where the server writes it."""
    at = body.rfind(b'"continue":"') + len(b'"continue":"')
    return body[at : body.index(b'"', at)].decode()


def _sync(url: str) -> Figures:
    return asyncio.run(_synced(url))


async def _synced(url: str) -> Figures:
    own = own_metrics()
    async with Client(Anonymous(url), own) as client:
        exporter = Exporter(Plan(CONFIG), KubeSource(client, own), own)
        began = time.perf_counter()
        task = asyncio.ensure_future(exporter.follow())
        reports = next(f for f in exporter.followers if f.scope == SCOPE)
        await _until(lambda: reports.synced)
        took = time.perf_counter() - began
        known = exporter.state.objects()[POLICY_REPORTS.name]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return {"seconds": took, "reports": known}


async def _until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.005)


def _rescan(shape: Shape, changes: int) -> Figures:
    state = ClusterState(Selection(), time.time)
    codec = codec_for(POLICY_REPORTS)
    state.apply(Listing(SCOPE))
    for body in pages(shape):
        for item in codec.page(body).objects:
            state.apply(Applied(SCOPE, item))
    state.apply(Listed(SCOPE))
    state.ledger.settle()
    lines = [line(shape, n, NOW + 3600, shape.reports + n) for n in range(changes)]
    decode, apply = 0.0, 0.0
    for first in range(0, changes, 500):
        part = lines[first : first + 500]
        began = time.perf_counter()
        for raw in part:
            codec.line(raw)
        between = time.perf_counter()
        for raw in part:
            changed = codec.line(raw).object
            if changed is not None:
                state.apply(Applied(SCOPE, changed))
        decode, apply = decode + between - began, apply + time.perf_counter() - between
    return {"decode_us": decode / changes * 1e6, "applied_us": apply / changes * 1e6}
