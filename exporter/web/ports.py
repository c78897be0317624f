"""What the web edge needs from the rest of the program."""

from collections.abc import Iterable
from typing import Protocol


class Scraper(Protocol):
    """Where an exposition comes from."""

    async def scrape(self, openmetrics: bool, names: frozenset[str]) -> Iterable[bytes]:  # noqa: FBT001
        """Take one consistent moment; its pieces, sent in order, are rendered as they are taken.

        ``names`` restricts it to these families; empty means all. Raises nothing.
        """
        ...


class Health(Protocol):
    """Whether the program may be relied upon, and how it is told to read its files again."""

    def ready(self) -> tuple[bool, str]:
        """Tell whether the first sync is complete, and what is missing."""
        ...

    async def reload(self) -> str | None:
        """Read the configuration again; the text says what is wrong with it."""
        ...
