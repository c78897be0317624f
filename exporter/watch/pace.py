"""How fast: the delay before the next attempt, and turns that leave the event loop to others."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final, NamedTuple

INITIAL_SECONDS: Final = 0.8
MAXIMUM_SECONDS: Final = 30.0
HEALTHY_SECONDS: Final = 60.0
TURN_SECONDS: Final = 0.003


class WatchClock(NamedTuple):
    """Where time and chance come from; intervals are measured with the event loop's clock.

    ``jitter`` is between 0 and 1.
    """

    wall: Callable[[], float] = time.time
    work: Callable[[], float] = time.perf_counter
    jitter: Callable[[], float] = random.random


class Backoff:
    """Delays that double from one attempt to the next, until an attempt was healthy for long."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._delay = INITIAL_SECONDS

    def after(self, healthy_seconds: float, at_least: float = 0.0) -> float:
        """Return the seconds to wait after an attempt that went well for *healthy_seconds*.

        A delay runs from the moment when things began to go well: a connection that is cut every
        half minute is opened again at once, one that is cut every second is not.
        """
        if healthy_seconds >= HEALTHY_SECONDS:
            self._delay = INITIAL_SECONDS
        delay = self._delay * (0.5 + 0.5 * self._jitter())
        self._delay = min(2 * self._delay, MAXIMUM_SECONDS)
        return max(delay - healthy_seconds, at_least * (1 + 0.1 * self._jitter()), 0.0)


class TimeSlice:
    """Measures turns of *seconds*: ``over`` is True once the caller must yield to the event loop.

    It does not yield itself. Reflectors share one, so that ten of them together hold the loop no
    longer than one.
    """

    def __init__(
        self, work_clock: Callable[[], float] = time.perf_counter, seconds: float = TURN_SECONDS
    ) -> None:
        self._clock = work_clock
        self._seconds = seconds
        self._began: float | None = None

    @property
    def over(self) -> bool:
        """Whether this pass of the event loop has worked long enough."""
        now = self._clock()
        if self._began is None:
            self._began = now
            asyncio.get_running_loop().call_soon(self._renew)
        return now - self._began >= self._seconds

    def _renew(self) -> None:
        self._began = None
