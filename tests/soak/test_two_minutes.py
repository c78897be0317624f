"""Two minutes of the demo as it is shipped, scraped by a real Prometheus."""

from pathlib import Path

import pytest

from tests.app.test_prometheus import increase_equals_what_was_blocked

pytestmark = [pytest.mark.tier("monitoring"), pytest.mark.slow]


async def test_the_increase_is_what_was_blocked(tmp_path: Path) -> None:
    await increase_equals_what_was_blocked(
        tmp_path, interval=5, hold=35.0, seconds=120.0, speed=1.0
    )
