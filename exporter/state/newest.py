"""When each source last said something."""

from collections.abc import Callable
from typing import Final

from exporter.model.report import Report, clip
from exporter.state.selection import Selection
from exporter.state.tally import OVERFLOW, Gauge

MOST_SOURCES: Final = 1000
"""Sources whose newest result is told apart; reports name them freely."""


class NewestTimestamps(Gauge):
    """The newest timestamp of each source (Unix seconds) that is not in the future."""

    def __init__(self, selection: Selection, clock: Callable[[], float]) -> None:
        super().__init__()
        self._selection = selection
        self._clock = clock

    def note(self, report: Report) -> None:
        """Look at the timestamps of a report; most often none is newer."""
        for piece in report.pieces:
            source = piece.result_set.source
            if source is not None:
                labels = (source or report.source,)
                known = self.rows.get(labels, 0)
                if piece.newest <= known:
                    continue
                if piece.newest <= self._clock():
                    if known:
                        self.put(labels, piece.newest)
                    else:
                        self._raise(labels[0], piece.newest)
                    continue
            for raw_result, stamp in zip(piece.result_set.raw_results, piece.stamps, strict=True):
                self._raise(raw_result[5] or report.source, stamp)

    def _raise(self, source: str, seconds: float) -> None:
        if 0 < seconds <= self._clock() and self._selection.source(source):
            labels = (clip(source),)
            if labels not in self.rows and len(self.rows) >= MOST_SOURCES:
                labels = (OVERFLOW,)
            if seconds > self.rows.get(labels, 0):
                self.put(labels, seconds)
