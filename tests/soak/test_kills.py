"""Two hundred kills at random moments, with another seed than each test run has."""

from pathlib import Path

import pytest

from tests.app.test_kill import increase_equals_the_requests_blocked
from tests.cluster.gate import gate_to
from tests.cluster.harness import control_plane
from tests.cluster.state import Kept, kill_at_random
from tests.journal.test_kill import lines_equal_counters

pytestmark = pytest.mark.slow


@pytest.mark.tier("simulator")
@pytest.mark.parametrize("seed", range(4))
async def test_fifty_kills_neither_lose_nor_repeat(tmp_path: Path, seed: int) -> None:
    await increase_equals_the_requests_blocked(tmp_path, 50, seed)


@pytest.mark.tier("simulator")
@pytest.mark.parametrize("seed", range(100, 104))
async def test_after_fifty_kills_each_series_has_as_many_lines_as_it_counted(
    tmp_path: Path, seed: int
) -> None:
    await lines_equal_counters(tmp_path, 50, seed)


@pytest.mark.tier("cluster")
def test_two_hundred_kills_with_the_state_in_an_object_neither_lose_nor_repeat() -> None:
    with control_plane() as plane, gate_to(plane) as gate:
        kept = Kept(plane, plane.create_namespace("soak"))
        seen = kill_at_random(kept, gate, 200, seed=11)
    assert (seen.total, seen.falls) == (kept.blocked, [])
