"""One scrape: settle in slices, take one moment, render in slices."""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

from exporter.metrics.exposition import Exposition, render
from exporter.metrics.own import OwnMetrics

SLICE: Final = 2_000
"""Changes taken up, and series rendered, between two turns of the loop: 2 to 4 ms."""

PIECES: Final = 8
_PATIENCE_SECONDS: Final = 2.0


class Scrapes:
    """Renders what /metrics shows. Never holds the event loop for longer than a slice."""

    def __init__(
        self,
        exposition: Exposition,
        own: OwnMetrics,
        complete: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        self._exposition = exposition
        self._own = own
        self._complete = complete
        self._clock = clock

    async def scrape(self, openmetrics: bool, names: frozenset[str]) -> Sequence[bytes]:  # noqa: FBT001 - the web's port
        """Render one moment of all families, or of those named."""
        began = perf_counter()
        if self._complete("reports"):
            await self.settle()
        shots = self._exposition.take(self._clock(), self._complete)
        pieces: list[bytes] = []
        for number, piece in enumerate(render(shots, names, openmetrics=openmetrics)):
            pieces.append(piece)
            if number % PIECES == PIECES - 1:
                await asyncio.sleep(0)
        pieces.append(self._own.render(openmetrics=openmetrics, names=names))
        if openmetrics:
            pieces.append(b"# EOF\n")
        if not names:
            # The own metrics are most of a small exposition, so these are told by the next one.
            self._own.gauge("render_duration_seconds").set(perf_counter() - began)
            self._own.gauge("exposition_bytes").set(sum(map(len, pieces)))
        return pieces

    async def settle(self) -> None:
        """Bring the series up to the state, a slice at a time.

        Under a flood of changes it gives up after two seconds: what is left is then taken up in
        one go by the moment itself.
        """
        deadline = self._clock() + _PATIENCE_SECONDS
        while self._exposition.settle(SLICE) and self._clock() < deadline:
            await asyncio.sleep(0)
