"""A watch that ends in the middle of what it brought has still brought what came before."""

from collections.abc import AsyncGenerator, Iterable

import pytest

from exporter.errors import Gone
from exporter.model.changes import Scope
from exporter.model.metadata import Metadata
from exporter.model.report import Report
from exporter.model.resource import POLICY_REPORTS, Resource
from exporter.model.wire import Line, Page, Status
from exporter.watch.feed import Feed
from exporter.watch.options import Options
from exporter.watch.pace import Clock, Turns
from exporter.watch.position import Position
from exporter.watch.watching import Watcher
from tests.watch.recording import Counts, Mirror

SCOPE = Scope(POLICY_REPORTS)


class Broken:
    """A source whose watch brings one batch, which ends with an error."""

    async def watch(
        self, resource: Resource, namespace: str, since: str, *, initial: bool, seconds: int
    ) -> AsyncGenerator[Iterable[Line], None]:
        yield []
        yield [
            line("ADDED", "4"),
            line("MODIFIED", "5"),
            Line("BOOKMARK", None, "6", False, None),
            line("MODIFIED", "7"),
            Line("ERROR", None, "", False, Status(410, "Expired", "too old", 0)),
            line("MODIFIED", "8"),
        ]

    async def resolve(self, resource: Resource) -> Resource | None:
        raise NotImplementedError

    async def page(self, resource: Resource, namespace: str, *, limit: int, cont: str) -> Page:
        raise NotImplementedError

    async def namespaces(self) -> list[str]:
        raise NotImplementedError


def line(kind: str, version: str) -> Line:
    report = Report.of(Metadata(name="a", namespace="n", resource_version=version))
    return Line(kind, report, version, False, None)


async def test_what_came_before_an_error_is_taken_and_counted() -> None:
    counts, mirror, clock = Counts(), Mirror(), Clock()
    feed = Feed(SCOPE, mirror, counts, clock, Turns())
    watcher = Watcher(SCOPE, Broken(), feed, Options(), clock)
    watcher.position = Position("3")
    with pytest.raises(Gone):
        await watcher.run(POLICY_REPORTS, None, lambda: None)
    assert counts.changes == {"added": 1, "modified": 2, "bookmark": 1}
    assert len(mirror.changes) == 3
    assert (watcher.position.version, watcher.lines) == ("7", 5)
