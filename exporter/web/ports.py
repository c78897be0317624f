"""The web edge's ports: what it needs from the rest of the program."""

from collections.abc import Coroutine, Iterable
from typing import Any, Protocol


class Scraper(Protocol):
    """The source of expositions."""

    async def scrape(self, openmetrics: bool, names: frozenset[str]) -> Iterable[bytes]:  # noqa: FBT001
        """Take one consistent moment; its text follows in segments, rendered one by one.

        ``names`` restricts it to these families; empty means all. Raises nothing.
        """
        ...


class Health(Protocol):
    """Readiness, and the reload of the configuration."""

    def ready(self) -> tuple[bool, str]:
        """Return whether the first sync is complete, and a text that names what is missing."""
        ...

    def reload(self) -> Coroutine[Any, Any, str | None]:
        """Re-read the configuration; return what is wrong with it, or None."""
        ...
