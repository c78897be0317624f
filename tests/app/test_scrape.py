"""What an exposition says about itself."""

import pytest

from tests.app.running import body, own, parse
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
    assert own(shown, "exposition_bytes") == len(first)
    assert (own(shown, "render_duration_seconds") or 0) > 0
