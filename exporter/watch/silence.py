"""Notice that nothing was heard for too long."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Silence:
    """A block that ends with TimeoutError once nothing was heard for too long.

    *until* says when that will be, given when something was last heard, both in the event loop's
    time. A timer looks then whether something was: to hear costs no timer of its own.
    """

    def __init__(self, until: Callable[[float], float]) -> None:
        self._until = until
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._limit = asyncio.timeout(None)
        self._timer = self._loop.call_at(until(self._heard), self._look)

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def hear(self) -> None:
        """Note that something was heard now."""
        self._heard = self._loop.time()
        if self._until(self._heard) < self._timer.when():
            self._timer.cancel()
            self._look()

    def _look(self) -> None:
        due = self._until(self._heard)
        if due > self._loop.time():
            self._timer = self._loop.call_at(due, self._look)
        else:
            self._limit.reschedule(due)
