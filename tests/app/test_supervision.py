"""A part that fails is restarted, and takes nothing else with it."""

import asyncio
import logging
from collections.abc import Mapping

import pytest

from exporter.alerting.ports import PostAnswer
from exporter.app.supervision import Supervisor
from exporter.metrics.self_metrics import new_self_metrics
from tests.alerting.alertmanagers import FakeAlertmanager, Site
from tests.alerting.cluster import failing
from tests.virtual_time import virtual


class Broken(FakeAlertmanager):
    """Fails as a library does whose errors nobody expected."""

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> PostAnswer:
        raise UnicodeError("label empty or too long")


@virtual
async def test_a_part_that_fails_is_run_again_and_that_is_counted() -> None:
    self_metrics = new_self_metrics()
    runs: list[float] = []

    async def part() -> None:
        runs.append(asyncio.get_running_loop().time())
        if len(runs) < 4:
            raise RuntimeError("of a library")

    await Supervisor(self_metrics)("alerts", part)
    assert len(runs) == 4
    assert runs[3] > 1.0, "each pause is longer than the one before"
    assert self_metrics.counter("part_restarts_total", "alerts").value == 3.0


@virtual
async def test_a_part_is_cancelled_as_any_other() -> None:
    task = asyncio.create_task(Supervisor(new_self_metrics())("alerts", asyncio.Event().wait))  # type: ignore[arg-type]  # its value is not looked at
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@virtual
async def test_an_alertmanager_that_fails_unexpectedly_takes_nothing_from_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    self_metrics = new_self_metrics()
    site = Site(Broken(), FakeAlertmanager())
    site.cluster.report("web", failing())
    task = asyncio.create_task(site.push.run(Supervisor(self_metrics)))
    await asyncio.sleep(300)
    assert not task.done()
    assert site.fakes[1].names() == {"PolicyViolation"}
    part = "alerts to http://a:9093"
    assert self_metrics.counter("part_restarts_total", part).value > 3
    assert f"{part} failed" in caplog.text
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
