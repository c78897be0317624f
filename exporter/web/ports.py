"""What the web edge needs from the rest of the program."""

from collections.abc import Coroutine, Hashable, Iterable
from typing import Any, Protocol


class BodyPart(Protocol):
    """Some of a body, written when it is asked for."""

    @property
    def content(self) -> Hashable:
        """What it says: parts with the same content, at whatever moment, have the same text."""
        ...

    def text(self) -> bytes:
        """Write it."""
        ...


class Scraper(Protocol):
    """Where an exposition comes from."""

    async def scrape(self, openmetrics: bool, names: frozenset[str]) -> Iterable[BodyPart]:  # noqa: FBT001
        """Take one consistent moment, in parts that are sent in order.

        ``names`` restricts it to these families; empty means all. Raises nothing.
        """
        ...


class Health(Protocol):
    """Whether the program may be relied upon, and how it is told to read its files again."""

    def ready(self) -> tuple[bool, str]:
        """Tell whether the first sync is complete, and what is missing."""
        ...

    def reload(self) -> Coroutine[Any, Any, str | None]:
        """Read the configuration again; the text says what is wrong with it."""
        ...
