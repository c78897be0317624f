"""Silence is measured from what was heard last, and ends a block at the moment that is due."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from exporter.watch.pace import IdleTimeout
from tests.virtual_time import virtual

FOR_EVER = 1e6


async def lasted(
    until: Callable[[float], float], block: Callable[[IdleTimeout], Awaitable[object]]
) -> tuple[float, bool]:
    """Say how many seconds a block lasted, and whether silence ended it."""
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        async with IdleTimeout(until) as silence:
            await block(silence)
    except TimeoutError:
        return round(clock() - began, 3), True
    return round(clock() - began, 3), False


@virtual
async def test_it_ends_a_block_so_long_after_something_was_heard() -> None:
    async def block(silence: IdleTimeout) -> None:
        for _ in range(5):
            await asyncio.sleep(7)
            silence.hear()
        await asyncio.sleep(FOR_EVER)

    assert await lasted(lambda heard: heard + 10, block) == (45.0, True)


@virtual
async def test_a_moment_that_comes_nearer_is_kept() -> None:
    patience = [100.0]

    async def block(silence: IdleTimeout) -> None:
        await asyncio.sleep(5)
        patience[0] = 10.0
        silence.hear()
        await asyncio.sleep(FOR_EVER)

    assert await lasted(lambda heard: heard + patience[0], block) == (15.0, True)


@virtual
async def test_what_ends_in_time_is_left_alone() -> None:
    assert await lasted(lambda heard: heard + 10, lambda _: asyncio.sleep(9)) == (
        9.0,
        False,
    )
    await asyncio.sleep(FOR_EVER)


@virtual
async def test_a_moment_that_has_passed_ends_it_at_the_next_wait() -> None:
    found = await lasted(lambda _: 0.0, lambda _: asyncio.sleep(FOR_EVER))
    assert found == (0.0, True)


@virtual
async def test_that_it_is_cancelled_from_outside_stays_that() -> None:
    waiting = lasted(lambda heard: heard + 10, lambda _: asyncio.sleep(FOR_EVER))
    task = asyncio.ensure_future(waiting)
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
