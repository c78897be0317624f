"""One scrape: take changes up in slices, take one moment, render it segment by segment."""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from time import monotonic, perf_counter
from typing import Final

from exporter.metrics.exposition import Exposition, FamilySnapshot, render
from exporter.metrics.self_metrics import Row, SelfMetrics
from exporter.watch.pace import TimeSlice

LAG_SECONDS: Final = 10
"""How far back LoopLag looks."""


class LoopLag:
    """The longest delays of an event loop, by the second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._longest: deque[tuple[int, float]] = deque(maxlen=LAG_SECONDS + 1)

    def note(self, now: float, seconds: float) -> None:
        """Note a delay that is over *now*."""
        second = int(now)
        if not self._longest or self._longest[-1][0] != second:
            self._longest.append((second, seconds))
        elif seconds > self._longest[-1][1]:
            self._longest[-1] = second, seconds

    @property
    def longest(self) -> float:
        """The longest in the last ten seconds, in seconds."""
        since = self._clock() - LAG_SECONDS
        return max((seconds for at, seconds in self._longest if at >= since - 1), default=0.0)


class TimingSelector(selectors.DefaultSelector):
    """A selector that times what its event loop does between two waits, and how late a wait ends.

    Both delay a timer that becomes due meanwhile. Nothing has to wake up to measure that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lag = LoopLag(monotonic)
        self._woken = monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as the base class does."""
        asleep = monotonic()
        self.lag.note(asleep, asleep - self._woken)
        ready = super().select(timeout)
        self._woken = monotonic()
        if timeout is not None and timeout > 0 and not ready:
            self.lag.note(self._woken, max(self._woken - asleep - timeout, 0.0))
        return ready


class TimedLoop(asyncio.SelectorEventLoop):
    """An event loop that knows its delays."""

    def __init__(self) -> None:
        selector = TimingSelector()
        super().__init__(selector)
        self.lag = selector.lag


def run_timed(work: Coroutine[object, object, int]) -> int:
    """Run *work* as ``asyncio.run`` does, in a loop that knows its delays."""
    with asyncio.Runner(loop_factory=TimedLoop) as runner:
        return runner.run(work)


def loop_lag() -> list[Row]:
    """Give the delay of the running loop; nothing where it does not know."""
    loop = asyncio.get_running_loop()
    return [((), loop.lag.longest)] if isinstance(loop, TimedLoop) else []


TURN_SECONDS: Final = 0.001
"""How long changes are taken up before others get a turn of the loop."""

LONG_TURN_SECONDS: Final = 0.01
"""The same under a flood of changes: more is taken up than arrives in between."""

UNIT: Final = 100
"""Changes that are taken up between two checks of the clock: a tenth to half of a millisecond."""

_PATIENCE_SECONDS: Final = 10.0


class ScrapeRenderer:
    """Renders /metrics. Updates of the series hold the event loop for TURN_SECONDS at a time.

    After ten seconds of updates, that is LONG_TURN_SECONDS at a time. Scrapes at the same time
    share these turns, as their work is the same.
    """

    def __init__(
        self,
        exposition: Exposition,
        self_metrics: SelfMetrics,
        complete: Callable[[str], bool],
        clock: Callable[[], float],
        work_clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._exposition = exposition
        self._self_metrics = self_metrics
        self._complete = complete
        self._clock = clock
        self._turns = TimeSlice(work_clock, TURN_SECONDS)
        self._long_turns = TimeSlice(work_clock, LONG_TURN_SECONDS)

    async def scrape(self, openmetrics: bool, names: frozenset[str]) -> Iterable[bytes]:  # noqa: FBT001 - the web's port
        """Take one moment of all families, or of those named; render it segment by segment."""
        if self._complete("reports"):
            await self.settle()
        snapshots = self._exposition.take(self._clock(), self._complete, names)
        rendered = self._rendered(snapshots, names, openmetrics=openmetrics)
        return self._timed(rendered, whole=not names)

    def _timed(self, segments: Iterable[bytes], *, whole: bool) -> Iterator[bytes]:
        """Measure what rendering takes; the next exposition shows it."""
        spent, size, began = 0.0, 0, perf_counter()
        for segment in segments:
            spent, size = spent + perf_counter() - began, size + len(segment)
            yield segment
            began = perf_counter()
        if whole:
            self._self_metrics.gauge("render_duration_seconds").set(spent)
            self._self_metrics.gauge("exposition_bytes").set(size)

    def _rendered(
        self, snapshots: list[FamilySnapshot], names: frozenset[str], *, openmetrics: bool
    ) -> Iterator[bytes]:
        yield from render(snapshots, openmetrics=openmetrics)
        yield self._self_metrics.render(openmetrics=openmetrics, names=names)
        if openmetrics:
            yield b"# EOF\n"

    async def settle(self, *, sums: bool = False) -> None:
        """Update the series, a slice at a time, and with *sums* the page's sums as well.

        Leaves nothing to update, because ``Exposition.take`` would update that in a single turn.
        Therefore turns are longer once changes have arrived for ten seconds without a pause.
        """
        patient_until = self._clock() + _PATIENCE_SECONDS
        while True:
            turns = self._turns if self._clock() < patient_until else self._long_turns
            if turns.over:
                await asyncio.sleep(0)
            elif not self._exposition.settle(UNIT, sums=sums):
                return
