"""An event loop whose clock jumps to the next timer instead of waiting for it.

Real sockets work in it too, as long as both ends live in this loop: what one end sends over
loopback has arrived at the other before the clock may jump. Threads and processes do not: it jumps
over them.
"""

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

STUCK_SECONDS = 5.0


class Stalls:
    """The most CPU seconds that one pass of the loop took; other processes do not count."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._forgiven = False

    def forgive(self) -> None:
        """Leave the present pass out: the test itself works in it."""
        self._forgiven = True

    def note(self, seconds: float) -> None:
        """Take in a pass that has ended."""
        self.longest = max(self.longest, 0.0 if self._forgiven else seconds)
        self._forgiven = False


class _Jump(selectors.DefaultSelector):
    def __init__(self, stalls: Stalls) -> None:
        super().__init__()
        self.now = 0.0
        self._stalls = stalls
        self._woke = time.thread_time()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._stalls.note(time.thread_time() - self._woke)
        try:
            return self._select(timeout)
        finally:
            self._woke = time.thread_time()

    def _select(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(STUCK_SECONDS)
            if not ready:
                raise RuntimeError("every task waits for something that will never happen")
            return ready
        ready = super().select(0)
        if not ready:
            self.now += max(timeout, 0.0)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, stalls: Stalls | None = None) -> None:
        self._jump = _Jump(stalls or Stalls())
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


def run(main: Coroutine[Any, Any, T], stalls: Stalls | None = None) -> T:
    """Run *main* to its end, however many hours of sleep are in it."""
    with asyncio.Runner(loop_factory=lambda: _Loop(stalls)) as runner:
        return runner.run(main)


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an asynchronous test in virtual time."""

    @functools.wraps(test)
    def timeless(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return timeless
