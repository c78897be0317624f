"""What an exposition says about itself."""

import asyncio
import re
from asyncio import sleep
from itertools import count
from time import monotonic

import pytest

from exporter.app import scrape
from exporter.app.exporter import SETTLE_SECONDS
from exporter.app.scrape import (
    LAG_SECONDS,
    LONG_TURN_SECONDS,
    TURN_SECONDS,
    LoopLag,
    ScrapeRenderer,
    loop_lag,
    run_timed,
)
from exporter.metrics.exposition import Exposition
from exporter.metrics.self_metrics import new_self_metrics
from exporter.model.resource import EVENTS, POLICY_REPORTS
from tests.app.running import body, parse, self_metrics
from tests.scale.living import Living
from tests.virtual_time import virtual

pytestmark = pytest.mark.tier("simulator")


@virtual
async def test_its_size_is_that_of_the_whole_body() -> None:
    async with Living() as cluster, cluster.exporter() as exporter:
        await cluster.in_step(exporter)
        first = await body(exporter)
        await exporter.scrapes.scrape(openmetrics=False, names=frozenset({"process_open_fds"}))
        second = await body(exporter)
    shown = parse(second.decode())
    assert self_metrics(shown, "exposition_bytes") == len(first)
    assert (self_metrics(shown, "render_duration_seconds") or 0) > 0


@virtual
async def test_rendering_takes_as_long_as_values_are_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Living() as cluster, cluster.exporter() as exporter:
        await cluster.in_step(exporter)
        monkeypatch.setattr(scrape, "perf_counter", count().__next__)
        parts = list(await exporter.scrapes.scrape(openmetrics=False, names=frozenset()))
        shown = parse((await body(exporter)).decode())
    assert len(parts) <= (self_metrics(shown, "render_duration_seconds") or 0) < len(parts) + 1


@virtual
async def test_what_changes_does_not_wait_for_a_scrape_for_ever() -> None:
    async with Living() as cluster, cluster.exporter() as exporter:
        await cluster.in_step(exporter)
        sources = [projection.source for projection in exporter.exposition.projections]
        await cluster.advance(600, exporter)
        assert any(source.changed for source in sources)
        await sleep(SETTLE_SECONDS)
        assert not any(source.changed for source in sources)


class Flooded(Exposition):
    """Work that arrives in each turn of the loop; ``most`` was done in one."""

    def __init__(self, arriving: int) -> None:
        self.left = self._arriving = arriving
        self.done = self.most = 0

    def settle(self, most: int, *, sums: bool = False) -> bool:
        self.left -= 1
        self.done += 1
        return self.left > 0

    async def arrive(self) -> None:
        for _ in range(1_000):
            await sleep(0)
            self.most = max(self.most, self.done)
            self.done, self.left = 0, self.left + self._arriving


@virtual
async def test_a_flood_of_changes_is_kept_up_with_in_longer_turns() -> None:
    flood = Flooded(arriving=50)
    renderer = ScrapeRenderer(
        flood, new_self_metrics(), lambda _: True, count().__next__, count(step=0.0001).__next__
    )
    arriving = asyncio.create_task(flood.arrive())
    await renderer.settle()
    assert arriving.cancel(), "it had no end by itself"
    assert flood.left <= 0, "nothing is left to be taken up at once"
    assert flood.most <= LONG_TURN_SECONDS / 0.0001 + 1


@virtual
async def test_scrapes_at_the_same_time_share_the_turns_of_one() -> None:
    work = Flooded(arriving=100)
    renderer = ScrapeRenderer(
        work, new_self_metrics(), lambda _: True, lambda: 0.0, count(step=0.0001).__next__
    )
    looking = asyncio.create_task(work.arrive())
    settling = [asyncio.create_task(renderer.settle()) for _ in range(5)]
    for _ in range(10):
        await sleep(0)
    for task in (looking, *settling):
        task.cancel()
    assert 0 < work.most <= TURN_SECONDS / 0.0001 + 1


def test_the_longest_delay_is_that_of_the_last_ten_seconds() -> None:
    now = [100.0]
    lag = LoopLag(lambda: now[0])
    lag.note(100.0, 0.5)
    lag.note(100.5, 0.2)
    lag.note(104.0, 0.3)
    assert lag.longest == 0.5
    now[0] += LAG_SECONDS + 3
    assert lag.longest == 0.3
    now[0] += LAG_SECONDS
    assert lag.longest == 0.0


def test_a_loop_that_is_held_knows_for_how_long() -> None:
    async def hold() -> int:
        end = monotonic() + 0.02
        while monotonic() < end:
            pass
        await sleep(0)
        [(_, longest)] = loop_lag()
        assert longest >= 0.02
        return 7

    assert run_timed(hold()) == 7


def test_the_delay_of_another_loop_is_not_known() -> None:
    async def rows() -> int:
        return len(loop_lag())

    assert asyncio.run(rows()) == 0


@virtual
async def test_of_a_resource_that_is_not_served_there_is_only_that() -> None:
    async with Living() as cluster, cluster.exporter() as exporter:
        cluster.api.unserve(POLICY_REPORTS)
        await cluster.in_step(exporter)
        shown = parse((await body(exporter)).decode())
    name = POLICY_REPORTS.name
    assert self_metrics(shown, "served", resource=name) == 0
    for family in ("watch_up", "synced", "last_sync_timestamp_seconds"):
        assert self_metrics(shown, family, resource=EVENTS.name)
        assert self_metrics(shown, family, resource=name) is None


@virtual
async def test_an_exporter_of_twenty_reports_shows_little_of_itself() -> None:
    async with Living() as cluster, cluster.exporter() as exporter:
        cluster.fill(20, 2)
        await cluster.in_step(exporter)
        lines = (await body(exporter)).splitlines(keepends=True)
    about = re.compile(rb"(# (HELP|TYPE) )?(policyreport_exporter|process|python)_")
    own = [*filter(about.match, lines)]
    assert sum(not each.startswith(b"#") for each in own) <= 260
    assert sum(map(len, own)) <= 27_000
