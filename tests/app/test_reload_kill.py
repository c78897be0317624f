"""The real command: reloads by SIGHUP between blocked requests, and kill -9 around them."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

import pytest

from tests.app.commands import Command, serving
from tests.app.running import EVENTS_TOTAL, Cluster, Increase, Samples, total
from tests.app.test_kill import first_checkpoint

pytestmark = pytest.mark.tier("simulator")

CONFIGS: Final = (
    "birth_hold: 0\ncheckpoint_interval: 0.1\n",
    "birth_hold: 0\ncheckpoint_interval: 0.2\nfilters: {namespaces: {exclude: [nowhere]}}\n",
)
MOMENTS: Final = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0)
"""When the process is killed, in seconds after the signal to reload: the switch is among them."""


async def test_a_kill_around_a_reload_loses_and_repeats_nothing(tmp_path: Path) -> None:
    config, state, seen = tmp_path / "config.yaml", tmp_path / "state", Increase()
    config.write_text(CONFIGS[0])
    async with Cluster() as cluster:
        command = serving(
            tmp_path, cluster.api.url, f"--state.dir={state}", f"--config.file={config}"
        )

        async def until(count: int) -> None:
            async with asyncio.timeout(60):
                shown = -1.0
                while shown < count:
                    samples = await scraped(command)
                    seen.scrape(samples)
                    shown = total(samples, EVENTS_TOTAL) or 0
                    await asyncio.sleep(0.02)

        await asyncio.to_thread(command.start)
        await first_checkpoint(state / "checkpoint.json")
        for turn, moment in enumerate(MOMENTS, 1):
            cluster.block(2)
            await until(cluster.blocked)
            config.write_text(CONFIGS[turn % 2])
            os.kill(command.pid, signal.SIGHUP)
            cluster.block()
            seen.scrape(await scraped(command))
            await asyncio.sleep(moment)
            cluster.block()
            seen.scrape(await scraped(command))
            await asyncio.to_thread(command.kill)
            cluster.block()
            command.begin()
            await until(cluster.blocked)
        os.kill(command.pid, signal.SIGHUP)
        await until(cluster.blocked)
        assert await asyncio.to_thread(command.stop) == 128 + signal.SIGTERM
    assert (seen.total, seen.falls) == (cluster.blocked, [])
    assert "the new configuration is in force" in command.log
    assert "Traceback" not in command.log


async def scraped(command: Command) -> Samples:
    """Scrape as Prometheus does; nothing where nobody answers."""
    return await asyncio.to_thread(command.scrape) or Samples()
