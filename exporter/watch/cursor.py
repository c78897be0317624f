"""How far a follower is in a resource's history, and which lines are news to it."""

from collections.abc import Mapping
from typing import Final

from exporter.model.metadata import version_number
from exporter.wire.codec import WatchLine

# Aggregated API servers answer every list with such a version: it names no moment to resume at.
UNVERSIONED: Final = ("", "0", "1")


class VersionCursor:
    """A version that only moves forward, on servers whose versions are comparable.

    ``floors`` holds, by namespace, versions beyond ``version`` up to which all is known.
    """

    def __init__(self, version: str, floors: Mapping[str, int] | None = None) -> None:
        self.version = version
        self.resumable = version not in UNVERSIONED
        self._number = version_number(version) if self.resumable else 0
        self._floors = dict(floors or {})
        self._top = max(self._floors.values(), default=0)

    def is_news(self, line: WatchLine) -> bool:
        """Return whether a line is new.

        A server may repeat an event, and one that lags behind may send old ones.
        """
        seen = version_number(line.version)
        if not self._number or not seen:
            return True
        if self._floors and line.object is not None:
            return seen > max(self._number, self._floors.get(line.object.namespace, 0))
        return seen > self._number

    def move(self, version: str) -> None:
        """Move on to the version of a line that was taken in."""
        if not version:
            return
        seen = version_number(version)
        if seen < self._number:
            return
        self.version, self._number = version, seen if self._number else 0
        if self._floors and seen >= self._top:
            self._floors.clear()

    def is_behind(self, version: str) -> bool:
        """Return whether this version of the server is before ours.

        Then either the server lags, or its data were restored from a backup.
        """
        return 0 < version_number(version) < self._number
