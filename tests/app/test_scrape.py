"""What an exposition says about itself."""

from asyncio import sleep
from itertools import count

import pytest

from exporter.app import scrape
from exporter.app.exporter import SETTLE_SECONDS
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
