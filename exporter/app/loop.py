"""The event loop: what streams bring gathers for some milliseconds before it is woken."""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

GATHER_SECONDS: Final = 0.005
"""How long what streams bring may gather."""

BUSY_SECONDS: Final = 0.003
"""The same while the loop has other work: each turn of that delays what was read as well."""

CALM_SECONDS: Final = 0.02
"""How long nothing but streams must have been heard for that: requests come in rows."""


class Gathering(selectors.DefaultSelector):
    """A selector that reports streams seldom, and all that came meanwhile at once.

    A busy cluster's watch brings some thousand lines a second, each by itself. To be woken for a
    line costs more than the line, since what it needs has left the processor's caches by then.

    ``streams`` are the file descriptors of streams; whoever reads them adds them. The first that
    comes after silence is reported at once.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.streams: set[int] = set()
        self._clock = clock
        self._sleep = sleep
        self._streamed_at = self._asked_at = clock() - CALM_SECONDS

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for sockets; see selectors.BaseSelector.select. With streams a little longer."""
        if not self.streams:
            return super().select(timeout)
        if timeout == 0:
            ready = super().select(0)
            if ready and self._clock() < self._streamed_at + BUSY_SECONDS:
                ready = [each for each in ready if each[0].fd not in self.streams]
        else:
            ready = super().select(self._gather(timeout))
        if ready:
            self._note(ready)
        return ready

    def _gather(self, timeout: float | None) -> float | None:
        """Sleep for as long as streams may gather; return what is left of the timeout."""
        now = self._clock()
        wait = self._streamed_at + GATHER_SECONDS - now
        if wait <= 0 or now < self._asked_at + CALM_SECONDS:
            return timeout
        if timeout is not None:
            wait = min(wait, timeout)
            timeout -= wait
        self._sleep(wait)
        return timeout

    def _note(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        now = self._clock()
        for key, _ in ready:
            if key.fd in self.streams:
                self._streamed_at = now
            else:
                self._asked_at = now


class Loop(asyncio.SelectorEventLoop):
    """An event loop in which streams gather. ``streams`` are their file descriptors."""

    def __init__(self) -> None:
        selector = Gathering()
        self.streams = selector.streams
        super().__init__(selector)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* to its end in a loop of its own, as asyncio.run does."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)


def streams() -> set[int]:
    """Give the running loop's streams; where they do not gather, a set that nobody looks at."""
    loop = asyncio.get_running_loop()
    return loop.streams if isinstance(loop, Loop) else set()
