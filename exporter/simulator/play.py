"""The living sample cluster on the wall clock, in real time or faster."""

import asyncio
import time
from typing import NoReturn

from exporter.simulator.sample import sample
from exporter.simulator.scenario import Scenario
from exporter.simulator.store import Store

STEP_SECONDS = 0.25
# Each remembered write holds two versions of an object: this many are some tens of megabytes.
HISTORY = 2_000


def living(seed: int = 0) -> Scenario:
    """Build the sample cluster as of now; serve ``.world.store``, and ``play`` it."""
    store = Store(time.time, seed=seed, history=HISTORY)
    return Scenario(sample(store), seed=seed)


async def play(scenario: Scenario, speed: float = 1.0) -> NoReturn:
    """Advance the scenario by ``speed`` simulated seconds a second, until cancelled."""
    clock = asyncio.get_running_loop().time
    last = clock()
    while True:
        await asyncio.sleep(STEP_SECONDS)
        now = clock()
        scenario.advance((now - last) * speed)
        last = now
