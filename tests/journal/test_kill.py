"""kill -9 at random moments: the journal has one line for each thing that the counters count."""

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator.checks import CHECKS
from tests.app.commands import Command, serving
from tests.app.running import EVENTS_TOTAL, Cluster, Samples, total
from tests.app.test_kill import first_checkpoint
from tests.journal.reading import CLOSED, OPENED, durable, read_lines, rows_of

pytestmark = pytest.mark.tier("simulator")

KILLS: Final = 8
CONFIGS: Final = tuple(
    f"birth_hold: 0\ncheckpoint_interval: {seconds}\nlabels: {{namespace_labels: [team]}}\n"
    for seconds in (0.1, 0.2)
)
PODS: Final = tuple(f"web-{number}" for number in range(8))
POLICIES: Final = tuple(check.reported_policy for check in CHECKS[:3])


class Unrest:
    """A cluster in which requests are blocked and Pods fail and pass, at random."""

    def __init__(self, cluster: Cluster, command: Command, seed: int) -> None:
        self.cluster = cluster
        self.command = command
        self.chance = random.Random(seed)

    async def live(self, seconds: float) -> None:
        """Block requests and change reports for a while, now and then several times at once."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self.chance.uniform(0, 0.03))
            self.step()

    def step(self) -> None:
        chance = self.chance
        if chance.random() < 0.4:
            self.cluster.block(chance.randint(1, 3))
        for _ in range(chance.randint(0, 4)):
            failing = [policy for policy in POLICIES if chance.random() < 0.4]
            self.cluster.report(chance.choice(PODS), *failing)

    async def one_life(self, *, young: bool) -> None:
        """Start it, let it live for a moment, kill it; some die before they have begun."""
        self.command.begin()
        if not young:
            await self.until_it_counts()
            if self.chance.random() < 0.5:
                self.reload()
        await self.live(self.chance.uniform(0, 1.2))
        await asyncio.to_thread(self.command.kill)
        self.step()

    def reload(self) -> None:
        """Let it read another configuration: for a while, two exporters count beside each other."""
        config = self.command.cwd / "config.yaml"
        config.write_text(CONFIGS[config.read_text() == CONFIGS[0]])
        os.kill(self.command.pid, signal.SIGHUP)

    async def until_it_counts(self) -> None:
        """Wait until Events and reports were listed, while the cluster changes."""
        async with asyncio.timeout(120):
            while True:
                samples = await asyncio.to_thread(self.command.scrape) or {}
                if total(samples, EVENTS_TOTAL) is not None and total(samples, OPENED) is not None:
                    return
                self.step()
                await asyncio.sleep(0.2)

    async def until_it_rests(self) -> None:
        """Scrape until all blocked requests are counted and nothing changes any more."""
        before: Samples = {}
        async with asyncio.timeout(60):
            while True:
                await asyncio.sleep(0.7)
                samples = await asyncio.to_thread(self.command.scrape) or {}
                known = {
                    s: v for s, v in samples.items() if s.name in (EVENTS_TOTAL, OPENED, CLOSED)
                }
                if total(known, EVENTS_TOTAL) == self.cluster.blocked and known == before:
                    return
                before = known


async def test_after_kills_each_series_has_as_many_lines_as_it_counted(tmp_path: Path) -> None:
    await lines_equal_counters(tmp_path, KILLS, seed=3)


async def lines_equal_counters(tmp_path: Path, kills: int, seed: int) -> None:
    (tmp_path / "config.yaml").write_text(CONFIGS[0])
    state, journal = tmp_path / "state", tmp_path / "journal.jsonl"
    flags = (f"--state.dir={state}", f"--journal={journal}", "--config.file=config.yaml")
    async with Cluster() as cluster:
        command = serving(tmp_path, cluster.api.url, *flags, "--log.level=warn")
        unrest = Unrest(cluster, command, seed)
        await asyncio.to_thread(command.start)
        await first_checkpoint(state / "checkpoint.json")
        await unrest.live(0.5)
        await asyncio.to_thread(command.kill)
        for number in range(kills):
            await unrest.one_life(young=number % 2 == 1)
        command.begin()
        await unrest.until_it_counts()
        await unrest.until_it_rests()
        status = await asyncio.to_thread(command.stop)
    counters = durable(state / "checkpoint.json")
    assert rows_of(read_lines(journal)) == counters
    assert {name for name, _ in counters} == {EVENTS_TOTAL, OPENED, CLOSED}
    assert status == 128 + signal.SIGTERM
    assert "Traceback" not in command.log
