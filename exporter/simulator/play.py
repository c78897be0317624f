"""Plays a scenario in real time, or faster."""

import asyncio
from typing import NoReturn

from exporter.simulator.scenario import Scenario

STEP_SECONDS = 0.25


async def play(scenario: Scenario, speed: float = 1.0) -> NoReturn:
    """Advance the scenario by ``speed`` simulated seconds a second, until cancelled."""
    clock = asyncio.get_running_loop().time
    last = clock()
    while True:
        await asyncio.sleep(STEP_SECONDS)
        now = clock()
        scenario.advance((now - last) * speed)
        last = now
