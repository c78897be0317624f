"""The initial sync: the product against reading and decoding the same bytes, and against dicts."""

import asyncio
from collections.abc import Callable
from functools import partial

from bench import baseline
from bench.api import Api
from bench.measure import Figures, fresh, medians, ratio, rounds, timed
from bench.product import following, reports, until
from bench.reports import Shape
from bench.server import Load, serving
from exporter.model.resource import POLICY_REPORTS
from exporter.watch.lists import NamespaceLists, ReflectorOptions

ENCODE_SECONDS = 70e-6


def compare(shape: Shape, times: int, *, tls: bool = False) -> dict[str, Figures]:
    """Sync over HTTP: bytes only, decoded and discarded, as dicts, and synced, state and all."""
    few = shape.reports // 5
    with serving(Load(shape), tls=tls) as api:
        runs = [partial(fresh, run, api) for run in (baseline.read, baseline.decode, sync)]
        dicts: Callable[[], Figures] = partial(fresh, baseline.dicts, api, few)
        read, decoded, synced, made = rounds(times, *runs, dicts)
    for each in made:
        for name in ("seconds", "cpu_seconds"):
            each[name] *= shape.reports / each["reports"]
    return {
        "read": medians(read),
        "decode": medians(decoded),
        "kubernetes' dicts": medians(made),
        "sync": medians(synced),
        "ratios": {
            "sync / decode": ratio(synced, decoded, "seconds"),
            "sync / decode, cpu": ratio(synced, decoded, "cpu_seconds"),
            "dicts / sync": ratio(made, synced, "seconds"),
            "dicts / sync, cpu": ratio(made, synced, "cpu_seconds"),
        },
    }


def compare_slow(shape: Shape, times: int) -> dict[str, Figures]:
    """Sync against a server that takes as long to encode as a real one: one list, and four."""
    with serving(Load(shape, encode_seconds=ENCODE_SECONDS)) as api:
        one, four = rounds(times, partial(fresh, sync, api), partial(fresh, by_namespace, api))
    return {
        "one list": medians(one),
        "four lists": medians(four),
        "ratios": {"four lists / one list": ratio(four, one, "seconds")},
    }


def sync(api: Api) -> Figures:
    """Follow until the list is complete, as the command does by default."""
    return asyncio.run(_synced(api, None))


def by_namespace(api: Api) -> Figures:
    """Follow likewise, with four namespaces listed at once."""
    return asyncio.run(_synced(api, ReflectorOptions(lists=NamespaceLists, stream=False)))


async def _synced(api: Api, options: ReflectorOptions | None) -> Figures:
    async with following(api, options) as exporter:
        with timed() as figures:
            await until(lambda: reports(exporter).synced)
        known = exporter.state.objects()[POLICY_REPORTS.name]
    return figures | {"reports": known}
