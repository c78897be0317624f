"""A day of everything that can fail, twenty times over: the numbers hold, memory does too."""

import gc
import logging
from pathlib import Path

import pytest

from tests.virtual_time import run
from tests.watch.chaos import Chaos, numbers
from tests.watch.test_chaos import IN_PARALLEL, STREAM_OR_PAGES

pytestmark = [pytest.mark.tier("simulator"), pytest.mark.slow]

DAY_SECONDS = 24 * 3600
STALL_SECONDS = 0.1  # the work of the server is in it, too
PAGE_BYTES = 4096


def resident_bytes() -> int:
    gc.collect()
    return PAGE_BYTES * int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.parametrize("seed", range(100, 120))
def test_after_hours_of_chaos_the_numbers_are_the_cluster_s(seed: int) -> None:
    chaos = Chaos(seed, stretch=6 * 3600, options=IN_PARALLEL if seed % 3 else STREAM_OR_PAGES)
    gc.disable()  # the simulated cluster is a heap of dicts; to walk it is not our work
    chaos.hourly = gc.collect
    try:
        run(chaos.run(), chaos.stalls)
    finally:
        gc.enable()
    assert numbers(chaos.seen) == numbers(chaos.account)
    assert chaos.crowded == []
    assert chaos.stalls.longest < STALL_SECONDS


def test_a_day_of_chaos_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    chaos = Chaos(7, stretch=DAY_SECONDS, options=STREAM_OR_PAGES)
    marks: list[int] = []
    chaos.hourly = lambda: marks.append(resident_bytes())
    with caplog.at_level(logging.CRITICAL, "exporter"):  # pytest keeps every line
        run(chaos.run())
    assert len(marks) == 23
    # Until then the tombstones of Events fill up, of which there may be 20,000.
    settled, last = marks[15], max(marks[-3:])
    assert last - settled < 8 * 2**20, [mark // 2**20 for mark in marks]
