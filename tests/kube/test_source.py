"""Lists and watches of one resource, decoded, with what cannot be used left out."""

import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from exporter.errors import Malformed, Unsupported
from exporter.kube.client import KubeClient
from exporter.kube.credentials import Anonymous
from exporter.kube.source import (
    NAMED,
    NAMED_EACH,
    NAMESPACES_NAMED,
    KubeSource,
    ObjectLog,
)
from exporter.model.resource import EVENTS, NAMESPACES, POLICY_REPORTS
from exporter.wire.codec import WatchLine
from tests.apiserver import Simulator, faults
from tests.kube.serving import json, serving
from tests.virtual_time import virtual
from tests.watch.cluster import report
from tests.watch.recording import Counts

pytestmark = pytest.mark.tier("simulator")


class Here:
    """A simulated server, and a source that reads it."""

    def __init__(self) -> None:
        self.api = Simulator()
        self.counts = Counts()

    async def __aenter__(self) -> KubeSource:
        await self.api.start()
        self.client = KubeClient(Anonymous(self.api.url), self.counts)
        await self.client.__aenter__()
        return KubeSource(self.client, self.counts)

    async def __aexit__(self, *_: object) -> None:
        await self.client.__aexit__(None, None, None)
        await self.api.stop()


async def first_lines(
    source: KubeSource, since: str, count: int, **options: bool
) -> list[WatchLine]:
    """Read that many lines of a watch."""
    found: list[WatchLine] = []
    options = {"initial": False, **options}
    stream = source.watch(POLICY_REPORTS, "", since, seconds=300, **options)
    try:
        async with asyncio.timeout(100):
            async for batch in stream:
                found += [line for line in batch if line is not None]
                if len(found) >= count:
                    break
    finally:
        await stream.aclose()
    return found


@virtual
async def test_only_violations_are_asked_for_among_events() -> None:
    here = Here()
    async with here as source:
        await source.page(EVENTS, "", limit=250, cont="")
        await source.page(POLICY_REPORTS, "", limit=250, cont="")
        events, reports = here.api.faults.calls
        assert events.query["fieldSelector"] == "reason=PolicyViolation"
        assert dict(reports.query) == {"limit": "250"}


@virtual
async def test_a_watch_asks_for_bookmarks_from_its_version() -> None:
    here = Here()
    async with here as source:
        await first_lines(source, "1000", 1)
        assert dict(here.api.faults.calls[0].query) == {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": "300",
            "resourceVersion": "1000",
        }


@virtual
async def test_a_stream_begins_with_all_there_is() -> None:
    here = Here()
    here.api.store.create(POLICY_REPORTS.name, report("a"))
    async with here as source:
        added, end = await first_lines(source, "", 2, initial=True)
    assert (added.type, added.initial_end) == ("ADDED", False)
    assert (end.type, end.initial_end, end.version) == ("BOOKMARK", True, "1001")


@virtual
async def test_a_server_that_cannot_stream_says_so() -> None:
    here = Here()
    here.api.watch_list = False
    async with here as source:
        with pytest.raises(Unsupported, match="WatchList"):
            await first_lines(source, "", 1, initial=True)


@virtual
async def test_a_broken_object_on_a_watch_is_skipped_and_named_and_its_version_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = Here()
    broken = faults.event("ADDED", POLICY_REPORTS, "bad", "team-a", results=[{"policy": 7}])
    here.api.faults.add(faults.Inject((broken, broken)), POLICY_REPORTS.name)
    async with here as source:
        first, second = await first_lines(source, "1000", 2)
    assert (first.object, first.version, first.type) == (None, "1", "ADDED")
    assert first == second
    assert here.counts.skips == {"malformed": 2}
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1
    assert "team-a/bad" in said[0]
    assert "results[0].policy" in said[0]


@virtual
async def test_a_line_that_names_no_object_is_malformed() -> None:
    here = Here()
    here.api.faults.add(faults.Inject((faults.GARBAGE,)), POLICY_REPORTS.name)
    async with here as source:
        with pytest.raises(Malformed):
            await first_lines(source, "1000", 1)


@pytest.fixture
async def broken_list() -> AsyncIterator[str]:
    """Serve a list with one broken item among 1,000."""
    good = report("good") | {"metadata": {"name": "good", "namespace": "a"}}
    bad = report("bad") | {"results": "none"}
    items = [good] * 500 + [bad] + [good] * 499
    document = {"kind": "List", "metadata": {"resourceVersion": "7"}, "items": items}

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return json(msgspec.json.encode(document).decode())

    async with serving(answer) as url:
        yield url


async def test_one_broken_item_among_a_thousand_costs_one(
    broken_list: str, caplog: pytest.LogCaptureFixture
) -> None:
    counts = Counts()
    async with KubeClient(Anonymous(broken_list), counts) as client:
        page = await KubeSource(client, counts).page(POLICY_REPORTS, "", limit=250, cont="")
    assert len(page.objects) == 999
    assert counts.skips == {"malformed": 1}
    assert "team-a/bad" in caplog.text


@pytest.mark.parametrize("body", ['{"metadata":{"resourceVersion":"7"},"rows":[]}', "[]", "{"])
async def test_what_is_no_list_is_not_taken_for_an_empty_one(body: str) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return json(body)

    async with serving(answer) as url, KubeClient(Anonymous(url), Counts()) as client:
        with pytest.raises(Malformed):
            await KubeSource(client, Counts()).page(POLICY_REPORTS, "", limit=250, cont="")


@pytest.mark.parametrize("items", ["[]", "null"])
async def test_an_empty_list_is_one(items: str) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return json(f'{{"metadata":{{"resourceVersion":"7"}},"items":{items}}}')

    async with serving(answer) as url, KubeClient(Anonymous(url), Counts()) as client:
        page = await KubeSource(client, Counts()).page(POLICY_REPORTS, "", limit=250, cont="")
    assert (list(page.objects), page.version) == ([], "7")


@virtual
async def test_all_namespaces_are_named_however_many_there_are() -> None:
    here = Here()
    names = [f"ns-{i:04}" for i in range(1_100)]
    for name in names:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        here.api.store.create(NAMESPACES.name, namespace)
    async with here as source:
        assert await source.namespaces() == names


@virtual
async def test_nonsense_instead_of_namespaces_is_malformed() -> None:
    here = Here()
    # A page that is no list is asked for again, with fewer objects.
    here.api.faults.add(faults.Answer(200, body=b'{"items":7}'), times=None)
    async with here as source:
        with pytest.raises(Malformed):
            await source.namespaces()


def test_whoever_makes_many_broken_objects_cannot_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    skipped = ObjectLog("skipped")
    with caplog.at_level(logging.WARNING):
        for i in range(3 * NAMED):
            skipped.note("things", f"ns/{i}", f"Thing ns/{i}: broken")
    assert len(caplog.records) == NAMED_EACH + 1
    assert caplog.records[-1].getMessage() == (
        "skipped: 50 objects of namespace ns were logged; further ones are only counted"
    )


def test_the_first_broken_object_of_a_namespace_is_named_whatever_others_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    skipped = ObjectLog("skipped")
    for i in range(3 * NAMED):
        skipped.note("things", f"evil-{i % 100}/{i}", "broken")
    before = len(caplog.records)
    assert before <= NAMED + 100
    for _ in range(2):
        skipped.note("things", "team-a/x", "Thing team-a/x: broken")
    said = [record.getMessage() for record in caplog.records[before:]]
    assert said == ["skipped: Thing team-a/x: broken"]


def test_namespaces_without_end_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    skipped = ObjectLog("skipped")
    for i in range(NAMESPACES_NAMED + 10):
        skipped.note("things", f"evil-{i}/x", "broken")
    assert len(caplog.records) == NAMESPACES_NAMED
