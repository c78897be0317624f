"""kill -9 at random moments of the real command: Prometheus' increase() equals the truth."""

import asyncio
import random
import signal
from pathlib import Path

import pytest

from tests.app.commands import Command, serving
from tests.app.running import EVENTS_TOTAL, Cluster, Increase, total

pytestmark = pytest.mark.tier("simulator")

KILLS = 25
CONFIG = "birth_hold: 0\ncheckpoint_interval: 0.1\n"
STARTED_SECONDS = 60.0


class Chaos:
    """A cluster where requests are blocked at random, and an exporter that is killed at random."""

    def __init__(self, cluster: Cluster, command: Command, seed: int) -> None:
        self.cluster = cluster
        self.command = command
        self.chance = random.Random(seed)
        self.seen = Increase()
        self.scrapes = 0

    async def block_and_scrape(self, seconds: float) -> None:
        """Block and scrape at random for a while."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self.chance.uniform(0, 0.05))
            if self.chance.random() < 0.5:
                self.cluster.block(self.chance.randint(1, 3))
            if self.chance.random() < 0.3:
                await self.scrape()

    async def scrape(self) -> float:
        """Scrape once, if it answers; return what is shown."""
        samples = await asyncio.to_thread(self.command.scrape)
        if not samples:
            return -1.0
        self.scrapes += 1
        self.seen.scrape(samples)
        return total(samples, EVENTS_TOTAL) or 0.0

    async def until_it_answers(self) -> None:
        async with asyncio.timeout(STARTED_SECONDS):
            while await self.scrape() < 0:
                self.cluster.block()
                await asyncio.sleep(0.05)

    async def one_life(self, *, young: bool) -> None:
        """Start it, let it live for a moment, kill it; some die before they have begun."""
        self.command.begin()
        if young:
            await self.block_and_scrape(self.chance.uniform(0, 1.5))
        else:
            await self.until_it_answers()
            await self.block_and_scrape(self.chance.uniform(0, 0.5))
        await asyncio.to_thread(self.command.kill)
        self.cluster.block(self.chance.randint(0, 2))


async def test_increase_equals_the_requests_blocked(tmp_path: Path) -> None:
    await increase_equals_the_requests_blocked(tmp_path, KILLS, seed=7)


async def increase_equals_the_requests_blocked(tmp_path: Path, kills: int, seed: int) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    state = tmp_path / "state"
    async with Cluster() as cluster:
        flags = (f"--state.dir={state}", "--config.file=config.yaml", "--log.level=warn")
        command = serving(tmp_path, cluster.api.url, *flags)
        chaos = Chaos(cluster, command, seed)
        await asyncio.to_thread(command.start)
        await first_checkpoint(state / "checkpoint.json")
        await chaos.block_and_scrape(0.5)
        await asyncio.to_thread(command.kill)
        for number in range(kills):
            await chaos.one_life(young=number % 2 == 1)
        command.begin()
        async with asyncio.timeout(STARTED_SECONDS):
            while await chaos.scrape() < cluster.blocked:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        assert await chaos.scrape() == cluster.blocked
        status = await asyncio.to_thread(command.stop)
    assert (chaos.seen.total, chaos.seen.falls) == (cluster.blocked, [])
    assert chaos.scrapes > kills
    assert status == 128 + signal.SIGTERM
    assert "Traceback" not in command.log


async def first_checkpoint(path: Path) -> None:
    """Wait until it is known how far Events are counted: what came before is not."""
    async with asyncio.timeout(STARTED_SECONDS):
        while not knows_versions(path):
            await asyncio.sleep(0.05)


def knows_versions(path: Path) -> bool:
    return path.exists() and b'"versions":{}' not in path.read_bytes()
