"""Whatever moment a crash comes at, the counters that Prometheus saw add up to the truth."""

from pathlib import Path

import pytest

from exporter.model.resource import EVENTS
from tests.apiserver.faults import Answer, Stall
from tests.app.running import BY_HAND, Cluster, Increase, Mortal, living

pytestmark = pytest.mark.tier("simulator")

STEPS = ("before the write", "half written", "before the rename", "after the rename")


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_a_step_of_a_commit_loses_and_repeats_nothing(
    tmp_path: Path, step: str
) -> None:
    seen = Increase()
    async with Cluster() as cluster:
        state = Mortal(tmp_path)
        async with living(cluster, state) as life:
            await life.remembers()
            cluster.block(3)
            seen.scrape(await life.shows(3))
            state.dies = step
            cluster.block(2)
            await life.until(lambda _: state.dead)
            seen.scrape(await life.scrape())
        assert seen.total == 3, "what is not durable is not shown"
        cluster.block(2)
        async with living(cluster, tmp_path) as life:
            seen.scrape(await life.scrape())
            cluster.block(1)
            seen.scrape(await life.shows(8))
            seen.scrape(await life.scrape())
    assert (seen.total, seen.falls) == (8, [])


@pytest.mark.parametrize("scraped", [True, False])
async def test_a_crash_after_a_commit_loses_and_repeats_nothing(
    tmp_path: Path, scraped: bool
) -> None:
    seen = Increase()
    async with Cluster() as cluster:
        state = Mortal(tmp_path)
        async with living(cluster, state, BY_HAND) as life:
            await life.ready()
            await life.commit()
            cluster.block(3)
            await life.until(
                lambda _: sum(life.exporter.state.violation_events.total.rows.values()) == 3
            )
            await life.commit()
            if scraped:
                seen.scrape(await life.scrape())
            state.dies = "before the write"
        async with living(cluster, tmp_path) as life:
            seen.scrape(await life.shows(3))
    assert (seen.total, seen.falls) == (3, [])


async def test_a_commit_while_events_cannot_be_listed_covers_what_it_counts(
    tmp_path: Path,
) -> None:
    """After a 410 the version is gone, and what was counted since the last commit with it."""
    seen = Increase()
    async with Cluster() as cluster:
        state = Mortal(tmp_path)
        async with living(cluster, state, BY_HAND) as life:
            await life.ready()
            await life.commit()
            cluster.block(3)
            await life.counts(3)
            events = next(f for f in life.exporter.reflectors if f.scope.resource == EVENTS)
            cluster.api.faults.add(Answer(503), EVENTS.name, "list", times=100)
            cluster.store.tick()
            cluster.store.compact()
            await life.until(lambda _: not events.version)
            await life.commit()
            state.dies = "before the write"
        cluster.api.faults.clear()
        async with living(cluster, tmp_path) as life:
            await life.remembers()
            cluster.block()
            seen.scrape(await life.shows(4))
    assert seen.total == 4


async def test_a_commit_before_the_watch_has_caught_up_covers_what_it_counts(
    tmp_path: Path,
) -> None:
    """At a start a list counts what is new, ahead of the watch that brings the same again."""
    seen = Increase()
    async with Cluster() as cluster:
        async with living(cluster, tmp_path) as life:
            await life.remembers()
        cluster.block(3)
        cluster.api.faults.add(Stall(), EVENTS.name, "watch")
        state = Mortal(tmp_path)
        async with living(cluster, state, BY_HAND) as life:
            await life.counts(3)
            await life.until(lambda _: all(f.synced for f in life.exporter.reflectors))
            await life.commit()
            state.dies = "before the write"
        async with living(cluster, tmp_path) as life:
            cluster.block()
            seen.scrape(await life.shows(4))
    assert (seen.total, seen.falls) == (4, [])
