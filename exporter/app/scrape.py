"""One scrape: take changes up in slices, take one moment, render it segment by segment."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Final, NoReturn

from exporter.metrics.exposition import Exposition, Shot, render
from exporter.metrics.self_metrics import SelfMetrics

_EVERY_SECONDS: Final = 0.1
_KEPT: Final = 100


class LoopLag:
    """The longest delay of the loop in the last ten seconds."""

    def __init__(self) -> None:
        self._delays: deque[float] = deque([0.0], maxlen=_KEPT)

    @property
    def longest(self) -> float:
        """Seconds."""
        return max(self._delays)

    async def run(self) -> NoReturn:
        """Measure until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + _EVERY_SECONDS
            await asyncio.sleep(_EVERY_SECONDS)
            self._delays.append(max(clock() - due, 0.0))


TURN_SECONDS: Final = 0.001
"""How long changes are taken up before others get a turn of the loop."""

UNIT: Final = 100
"""Changes that are taken up before the clock is looked at: a tenth to half of a millisecond."""

_PATIENCE_SECONDS: Final = 30.0


class ScrapeRenderer:
    """Renders /metrics. Taking changes up holds the event loop for TURN_SECONDS at a time."""

    def __init__(
        self,
        exposition: Exposition,
        self_metrics: SelfMetrics,
        complete: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        self._exposition = exposition
        self._self_metrics = self_metrics
        self._complete = complete
        self._clock = clock

    async def scrape(self, openmetrics: bool, names: frozenset[str]) -> Iterable[bytes]:  # noqa: FBT001 - the web's port
        """Take one moment of all families, or of those named; render it segment by segment."""
        if self._complete("reports"):
            await self.settle()
        shots = self._exposition.take(self._clock(), self._complete, names)
        return self._timed(self._rendered(shots, names, openmetrics=openmetrics), whole=not names)

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
        self, shots: list[Shot], names: frozenset[str], *, openmetrics: bool
    ) -> Iterator[bytes]:
        yield from render(shots, openmetrics=openmetrics)
        yield self._self_metrics.render(openmetrics=openmetrics, names=names)
        if openmetrics:
            yield b"# EOF\n"

    async def settle(self, *, sums: bool = False) -> None:
        """Bring the series up to the state, a slice at a time; with *sums* those too.

        Under a flood of changes it gives up after half a minute: what is left is then taken up
        in one go by the moment itself. Before that the scraper has given up.
        """
        deadline = self._clock() + _PATIENCE_SECONDS
        turn = perf_counter()
        while self._exposition.settle(UNIT, sums=sums) and self._clock() < deadline:
            if perf_counter() - turn >= TURN_SECONDS:
                await asyncio.sleep(0)
                turn = perf_counter()
