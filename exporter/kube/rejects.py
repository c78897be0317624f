"""Objects that cannot be used: counted each time, named once."""

import logging
from typing import Final

from exporter.watch.ports import Observer

log = logging.getLogger(__name__)

NAMED: Final = 1000


class Rejects:
    """Remembers at most ``NAMED`` objects, so that who makes many of them cannot fill the log."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._named: set[tuple[str, str]] = set()

    def note(self, resource: str, name: str, reason: str, message: str) -> None:
        """Count an object that was skipped; log it the first time."""
        self._observer.skipped(resource, reason)
        if (resource, name) in self._named or len(self._named) >= NAMED:
            log.debug("skipped: %s", message)
            return
        self._named.add((resource, name))
        log.warning("skipped: %s", message)
        if len(self._named) == NAMED:
            log.warning("skipped: %d objects were named; others are only counted", NAMED)
