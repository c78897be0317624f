"""The port to a journal, whose lines are kept with the counts that they are of."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from exporter.model.changes import Scope


class JournalPort(Protocol):
    """Lines of a journal that are written once the checkpoint that covers them is durable."""

    @property
    def mark(self) -> int:
        """How many lines were covered so far."""
        ...

    def hold(self) -> None:
        """Hold lines from now on until a checkpoint covers them."""
        ...

    def cover(self, lane: Literal["events", "failures"]) -> None:
        """Note that the next checkpoint covers what has been counted."""
        ...

    def covered(self) -> list[bytes]:
        """List the lines that a checkpoint must hold, each a JSON object and a newline."""
        ...

    def release(self, mark: int) -> None:
        """Write the lines that were covered at *mark*."""
        ...

    def release_all(self) -> None:
        """Write everything, and hold nothing from now on."""
        ...

    def drop_covered(self, is_covered: Callable[[Scope, int], bool]) -> None:
        """Forget what another process counted: failures, and Events by their version."""
        ...

    def replay(self, lines: Sequence[msgspec.Raw]) -> None:
        """Write lines of a checkpoint that another process may not have written."""
        ...


class NoJournal:
    """An outbox that has no lines."""

    mark = 0

    def hold(self) -> None:
        """Hold nothing."""

    def cover(self, lane: Literal["events", "failures"]) -> None:
        """Cover nothing."""

    def covered(self) -> list[bytes]:
        """List nothing."""
        return []

    def release(self, mark: int) -> None:
        """Write nothing."""

    def release_all(self) -> None:
        """Write nothing."""

    def drop_covered(self, is_covered: Callable[[Scope, int], bool]) -> None:
        """Forget nothing."""

    def replay(self, lines: Sequence[msgspec.Raw]) -> None:
        """Write nothing."""
