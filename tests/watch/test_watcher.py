"""A watch that ends in the middle of what it brought has still brought what came before."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from itertools import pairwise

import pytest

from exporter.errors import Gone
from exporter.model.changes import Change, Scope
from exporter.model.metadata import Metadata
from exporter.model.report import Report
from exporter.model.resource import POLICY_REPORTS, Resource
from exporter.watch.cursor import VersionCursor
from exporter.watch.feed import SinkAdapter
from exporter.watch.lists import ReflectorOptions
from exporter.watch.pace import TimeSlice, WatchClock
from exporter.watch.watcher import Watcher
from exporter.wire.codec import ListPage, WatchError, WatchLine
from tests.watch.recording import Counts, Mirror

SCOPE = Scope(POLICY_REPORTS)


class Broken:
    """A source whose watch brings one batch, which ends with an error."""

    async def watch(
        self, resource: Resource, namespace: str, since: str, *, initial: bool, seconds: int
    ) -> AsyncGenerator[Iterable[WatchLine], None]:
        yield []
        yield [
            line("ADDED", "4"),
            line("MODIFIED", "5"),
            WatchLine("BOOKMARK", None, "6", False, None),
            line("MODIFIED", "7"),
            WatchLine("ERROR", None, "", False, WatchError(410, "Expired", "too old", 0)),
            line("MODIFIED", "8"),
        ]

    async def resolve(self, resource: Resource) -> Resource | None:
        raise NotImplementedError

    async def page(self, resource: Resource, namespace: str, *, limit: int, cont: str) -> ListPage:
        raise NotImplementedError

    async def pages_from_memory(self) -> bool:
        return False

    async def namespaces(self) -> list[str]:
        raise NotImplementedError


def line(kind: str, version: str) -> WatchLine:
    report = Report.of(Metadata(name="a", namespace="n", resource_version=version))
    return WatchLine(kind, report, version, False, None)


async def test_what_came_before_an_error_is_taken_and_counted() -> None:
    counts, mirror, clock = Counts(), Mirror(), WatchClock()
    feed = SinkAdapter(SCOPE, mirror, counts, clock, TimeSlice())
    watcher = Watcher(SCOPE, Broken(), feed, ReflectorOptions(), clock)
    watcher.position = VersionCursor("3")
    with pytest.raises(Gone):
        await watcher.run(POLICY_REPORTS, None, lambda: None)
    assert counts.changes == {"added": 1, "modified": 2, "bookmark": 1}
    assert len(mirror.changes) == 3
    assert (watcher.position.version, watcher.lines) == ("7", 5)


class Lines(Broken):
    """A source whose watch brings one batch of ten lines."""

    async def watch(
        self, resource: Resource, namespace: str, since: str, *, initial: bool, seconds: int
    ) -> AsyncGenerator[Iterable[WatchLine], None]:
        yield [line("ADDED", str(version)) for version in range(4, 14)]


async def test_listed_objects_that_take_long_leave_the_loop_to_others_between_them() -> None:
    worked, given, seen = 0.0, 0, list[int]()

    def take(change: Change) -> None:
        nonlocal worked, given
        worked, given = worked + 0.02, given + 1

    async def look() -> None:
        while True:
            seen.append(given)
            await asyncio.sleep(0)

    clock = WatchClock(work=lambda: worked)
    feed = SinkAdapter(SCOPE, take, Counts(), clock, TimeSlice(clock.work))
    looking = asyncio.create_task(look())
    objects = [line("ADDED", str(version)).object for version in range(10)]
    await feed.apply([each for each in objects if each is not None])
    looking.cancel()
    assert given == 10
    assert max(after - before for before, after in pairwise(seen)) == 1


async def test_lines_that_take_long_leave_the_loop_to_others_between_them() -> None:
    worked = 0.0
    turns: list[int] = []

    def take(change: Change) -> None:
        nonlocal worked
        worked += 0.02
        asyncio.get_running_loop().call_soon(turns.append, len(turns))

    clock = WatchClock(work=lambda: worked)
    feed = SinkAdapter(SCOPE, take, Counts(), clock, TimeSlice(clock.work))
    watcher = Watcher(SCOPE, Lines(), feed, ReflectorOptions(), clock)
    watcher.position = VersionCursor("3")
    await watcher.run(POLICY_REPORTS, None, lambda: None)
    assert len(turns) == 10
