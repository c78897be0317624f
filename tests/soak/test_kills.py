"""Two hundred kills at random moments, with another seed than each test run has."""

from pathlib import Path

import pytest

from tests.app.test_kill import increase_equals_the_requests_blocked

pytestmark = [pytest.mark.tier("simulator"), pytest.mark.slow]


@pytest.mark.parametrize("seed", range(4))
async def test_fifty_kills_neither_lose_nor_repeat(tmp_path: Path, seed: int) -> None:
    await increase_equals_the_requests_blocked(tmp_path, 50, seed)
