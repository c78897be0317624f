"""How long to wait, and for how long to work."""

import asyncio
from itertools import count

import pytest

from exporter.watch.pace import MAXIMUM_SECONDS, Backoff, TimeSlice


def test_delays_double_up_to_half_a_minute() -> None:
    delays = Backoff(lambda: 1.0)
    assert [delays.after(0) for _ in range(8)] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]


def test_chance_takes_at_most_half_of_a_delay() -> None:
    delays = Backoff(lambda: 0.0)
    assert [delays.after(0) for _ in range(3)] == [0.4, 0.8, 1.6]


def test_a_healthy_minute_starts_over() -> None:
    delays = Backoff(lambda: 1.0)
    for _ in range(10):
        delays.after(0)
    delays.after(60)
    assert delays.after(0) == 1.6


def test_a_delay_runs_from_the_beginning_of_the_healthy_time() -> None:
    delays = Backoff(lambda: 1.0)
    waits = [delays.after(20) for _ in range(8)]
    assert waits[:5] == [0, 0, 0, 0, 0], "what is cut every 20 s is opened again at once"
    assert waits[-1] == MAXIMUM_SECONDS - 20


def test_what_the_server_asks_for_is_the_least() -> None:
    delays = Backoff(lambda: 1.0)
    assert delays.after(100, at_least=7) == pytest.approx(7.7)
    assert Backoff(lambda: 0.0).after(0, at_least=7) == 7


async def test_a_turn_is_over_after_three_milliseconds_of_work_and_anew_in_the_next() -> None:
    checkpointer = iter([0, 0.0029, 0.0031, 1, 1.001])
    turns = TimeSlice(checkpointer.__next__)
    assert [turns.over for _ in range(3)] == [False, False, True]
    await asyncio.sleep(0)
    assert [turns.over for _ in range(2)] == [False, False]


async def test_followers_that_share_turns_hold_the_loop_no_longer_than_one() -> None:
    turns = TimeSlice(count(step=0.001).__next__)
    done: list[int] = []

    async def work(number: int) -> None:
        for _ in range(10):
            done.append(number)
            if turns.over:
                await asyncio.sleep(0)

    tasks = [asyncio.create_task(work(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert len(done) <= 3 + len(tasks), "three milliseconds of work, and one object each"
    await asyncio.gather(*tasks)
    assert len(done) == 30
