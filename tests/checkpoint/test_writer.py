"""A writer whose store fails, to which nothing happens, and which has too little room."""

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import NoReturn

import pytest

from exporter.checkpoint.capture import Checkpointer
from exporter.checkpoint.filters import CountingFilters
from exporter.checkpoint.format import Checkpoint, decode
from exporter.checkpoint.object import REFRESH_SECONDS, ObjectStore
from exporter.checkpoint.writer import CheckpointWriter, survey
from exporter.metrics.self_metrics import SelfMetrics, new_self_metrics
from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.event import Event
from exporter.model.resource import EVENTS, Resource
from exporter.state.cluster import ClusterState
from exporter.state.memory import COMPARED_AT_ONCE
from exporter.state.selection import Selection
from exporter.watch.pace import TimeSlice
from exporter.wire.codec import ListPage
from tests.checkpoint.objects import MemoryObject
from tests.checkpoint.test_capture import failing
from tests.metrics.clusters import NOW, REPORTS
from tests.state.violations import event
from tests.virtual_time import virtual

SMALL_BYTES = 2_000


class Breaking(ObjectStore):
    """Fails now and then as nobody expected."""

    breaks = False

    async def save(self, checkpoint: Checkpoint) -> Checkpoint:
        if self.breaks:
            raise RuntimeError("of a library")
        return await super().save(checkpoint)


class Written:
    """A state with failing reports, and a writer of its checkpoints to an object in memory."""

    def __init__(
        self,
        limit_bytes: int = 900_000,
        *,
        beside: MemoryObject | None = None,
        name: str = "pod-a",
        now: float = NOW,
    ) -> None:
        self.api = beside or MemoryObject()
        self.self_metrics: SelfMetrics = new_self_metrics()
        loop = asyncio.get_running_loop()
        self.state = ClusterState(Selection(), lambda: now)
        self.state.apply(Init(REPORTS))
        self.state.apply(InitDone(REPORTS))
        self.store = Breaking(self.api, name, limit_bytes=limit_bytes)
        checkpointer = Checkpointer(self.state, [], CountingFilters(), loop.time)
        self.writer = CheckpointWriter(self.store, self.state, checkpointer, self.self_metrics)

    def fail(self, *names: str, namespace: str = "team-a") -> None:
        for name in names:
            self.state.apply(Applied(REPORTS, failing(name, namespace)))

    @property
    def opened(self) -> int:
        return sum(self.state.ledger.failures.opened.shown.values())

    @property
    def closed(self) -> int:
        return sum(self.state.ledger.failures.closed.shown.values())

    def stored(self) -> Checkpoint:
        return decode(self.api.stored.content)

    def value(self, name: str, *labels: str) -> float:
        return float(self.self_metrics.gauge(name, *labels).value)


@virtual
async def test_an_unexpected_error_leaves_nothing_out_of_the_next_checkpoint() -> None:
    it = Written()
    await it.writer.open("c")
    it.fail("a")
    await it.writer.commit()
    it.fail("b")
    it.store.breaks = True
    with pytest.raises(RuntimeError):
        await it.writer.commit()
    assert it.opened == 1, "what is not durable is not shown"
    it.store.breaks = False
    await it.writer.commit()
    assert it.opened == 2
    assert len(it.stored().failures) == 2


@virtual
async def test_a_commit_that_is_cancelled_is_made_up_for() -> None:
    it = Written()
    await it.writer.open("c")
    it.fail("a")
    task = asyncio.create_task(it.writer.commit())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await it.writer.commit()
    assert (it.opened, len(it.stored().failures)) == (1, 1)


@virtual
async def test_without_news_it_is_written_every_ten_minutes() -> None:
    it = Written()
    await it.writer.open("c")
    it.fail("a")
    writes: list[int] = []
    for ten_seconds in range(int(2.5 * REFRESH_SECONDS / 10)):
        if ten_seconds == 40:
            it.fail("b")
        await it.writer.commit()
        if len(it.api.writes) > len(writes):
            writes.append(10 * ten_seconds)
        await asyncio.sleep(10)
    assert writes == [0, 400, 400 + REFRESH_SECONDS]


@virtual
async def test_what_has_no_room_is_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    it = Written(SMALL_BYTES)
    await it.writer.open("c")
    it.fail(*(f"r{n}" for n in range(300)))
    await it.writer.commit()
    it.fail("another")
    await it.writer.commit()
    kept = it.stored()
    assert len(it.api.stored.content) <= SMALL_BYTES
    assert it.value("checkpoint_left_out", "failures") == 301 - len(kept.failures) > 0
    assert it.value("checkpoint_left_out", "counters") == 0
    assert it.writer.left_out == {"failures": 301 - len(kept.failures)}
    assert caplog.text.count("not everything fits into the checkpoint") == 1


@virtual
async def test_failures_that_had_no_room_are_not_opened_by_a_restart() -> None:
    it = Written(SMALL_BYTES)
    await it.writer.open("c")
    names = [f"r{n}" for n in range(300)]
    it.fail(*names)
    it.fail("other", namespace="team-b")
    await it.writer.commit()
    again = Written(SMALL_BYTES)
    again.api.stored = it.api.stored
    await again.writer.open("c")
    again.state.apply(Init(REPORTS))
    again.fail(*names)
    again.fail("other", "new", namespace="team-b")
    again.state.apply(InitDone(REPORTS))
    again.state.ledger.restore.finish()
    opened = {labels[0]: n for labels, n in again.state.ledger.failures.opened.rows.items()}
    assert opened == {"team-a": 300, "team-b": 2}


@virtual
async def test_a_follower_shows_what_another_makes_durable() -> None:
    leader = Written()
    await leader.writer.open("c")
    leader.fail("a")
    await leader.writer.commit()
    follower = Written(beside=leader.api, name="pod-b")
    await follower.writer.open("c")
    follower.fail("a", "b")
    follower.state.ledger.restore.finish()
    await follower.writer.commit()
    assert (follower.opened, follower.value("checkpoint_writer")) == (1, 0)
    leader.fail("b")
    await leader.writer.commit()
    await follower.writer.commit()
    assert follower.opened == 2
    assert len(leader.api.writes) == 2
    await leader.writer.close()
    await follower.writer.commit()
    assert follower.value("checkpoint_writer") == 1
    assert follower.opened == 2


@virtual
async def test_who_takes_over_keeps_the_older_start_of_a_failure() -> None:
    leader = Written()
    await leader.writer.open("c")
    await leader.writer.commit()
    follower = Written(beside=leader.api, name="pod-b", now=NOW + 100)
    await follower.writer.open("c")
    follower.state.ledger.restore.finish()
    leader.fail("a")
    follower.fail("a", "b")
    await leader.writer.commit()
    await leader.writer.close()
    await follower.writer.commit()
    assert follower.value("checkpoint_writer") == 1
    assert sorted(row.since for row in follower.stored().failures.rows()) == [NOW, NOW + 100]
    assert [*follower.state.ledger.failures.oldest.least.rows.values()] == [NOW]


async def about_to_take_over(number: int) -> Written:
    """A replica with failures, of which the one that has ended knew the first thousand."""
    leader = Written()
    await leader.writer.open("c")
    await leader.writer.commit()
    follower = Written(beside=leader.api, name="pod-b")
    await follower.writer.open("c")
    follower.state.ledger.restore.finish()
    names = [f"r{n}" for n in range(number)]
    leader.fail(*names[:1_000], "ended")
    follower.fail(*names)
    await leader.writer.commit()
    await leader.writer.close()
    return follower


@virtual
async def test_a_take_over_compares_a_few_hundred_failures_a_turn() -> None:
    follower = await about_to_take_over(3_000)
    opened = follower.state.ledger.failures.opened
    taking, counts = asyncio.create_task(follower.writer.commit()), list[int]()
    while not taking.done():
        await asyncio.sleep(0)
        counts.append(sum(opened.rows.values()))
    assert follower.value("checkpoint_writer") == 1
    assert (follower.opened, follower.closed) == (3_001, 1)
    assert max(after - before for before, after in itertools.pairwise(counts)) <= COMPARED_AT_ONCE


@virtual
async def test_a_take_over_that_is_cut_short_is_exact() -> None:
    follower = await about_to_take_over(2_000)
    taking = asyncio.create_task(follower.writer.commit())
    while follower.state.ledger.restore.is_over:
        await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait([taking])
    await follower.writer.close()
    assert (follower.opened, follower.closed) == (2_001, 1)


@virtual
async def test_a_store_that_cannot_be_used_at_the_start_keeps_counting_as_failed() -> None:
    it = Written()
    it.api.missing = True
    assert not await it.writer.open("c")
    it.fail("a")
    for _ in range(3):
        await it.writer.commit()
    assert it.opened == 1, "counters are shown as they are"
    failures = it.self_metrics.counter("checkpoint_failures_total")
    assert failures.value == 4, "one for the start, so that an increase is seen later"


class OnePage:
    """A source whose list is one page."""

    def __init__(self, objects: Sequence[Event]) -> None:
        self._page = ListPage(objects, (), "", "9000")

    async def resolve(self, resource: Resource) -> Resource:
        return resource

    async def pages_from_memory(self) -> NoReturn:
        raise AssertionError

    async def page(self, resource: Resource, namespace: str, *, limit: int, cont: str) -> ListPage:
        return self._page

    def watch(self, *_: object, **__: object) -> NoReturn:
        raise AssertionError

    async def namespaces(self) -> NoReturn:
        raise AssertionError


@virtual
async def test_a_survey_leaves_the_loop_to_others_between_objects() -> None:
    state, seen = ClusterState(Selection(), lambda: NOW), [0]

    async def look() -> None:
        while True:
            seen.append(state.violation_events.live_objects)
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    source = OnePage([event(f"p.{n}") for n in range(250)])
    turns = TimeSlice(itertools.count(step=0.001).__next__)
    assert await survey(source, Scope(EVENTS), state, turns) == "9000"
    looking.cancel()
    assert state.violation_events.live_objects == 250
    assert max(after - before for before, after in itertools.pairwise(seen)) < 10
