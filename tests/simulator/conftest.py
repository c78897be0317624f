"""A running API server over an empty store or the sample cluster, and a client for it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from exporter.simulator.sample import sample
from exporter.simulator.world import World
from tests.apiserver import Simulator, Store

NOON = 1_795_435_200.0


@pytest.fixture
def store() -> Store:
    return Store(lambda: NOON)


@pytest.fixture
def world(store: Store) -> World:
    return sample(store)


@pytest.fixture
async def api(store: Store) -> AsyncIterator[Simulator]:
    async with Simulator(store) as running:
        yield running


@pytest.fixture
async def client(api: Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=api.url) as session:
        yield session
