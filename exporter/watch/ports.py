"""What following needs from outside: a source of objects, a sink for changes, an observer."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Protocol

from exporter.model.changes import Change, Scope
from exporter.model.resource import Resource
from exporter.wire.codec import ListPage, WatchLine

Sink = Callable[[Change], None]

Forget = Callable[[Scope], bool]
"""Removes some objects that the list, about to end, did not contain; False where none is left."""


def forget_nothing(_: Scope) -> bool:
    """Leave all of it to ``InitDone``."""
    return False


class Source(Protocol):
    """Where objects come from. Objects that cannot be decoded are left out, and counted there.

    Every method raises ApiError, by what is to be done next: see exporter.errors.
    """

    async def resolve(self, resource: Resource) -> Resource | None:
        """Return the resource in the version to ask for, None if it is not served."""
        ...

    async def pages_from_memory(self) -> bool:
        """Return whether the server reads pages from its memory: then they cost it the least.

        False where that is not known; does not raise.
        """
        ...

    async def page(self, resource: Resource, namespace: str, *, limit: int, cont: str) -> ListPage:
        """Read one page of a list; *namespace* "" means all of them."""
        ...

    def watch(
        self, resource: Resource, namespace: str, since: str, *, initial: bool, seconds: int
    ) -> AsyncGenerator[Iterable[WatchLine | None], None]:
        """Stream what happened after *since*, in batches, for about *seconds*.

        The first batch is empty: the server accepted the watch. Each sign of life is a batch.
        With *initial* the stream begins with every object, up to a line whose ``initial_end`` is
        set. A line of an object that could not be decoded has no object; None is a pause in the
        decoding of a long line. Raises Malformed where a line is no line at all: what it said is
        lost.
        """
        ...

    async def namespaces(self) -> Sequence[str]:
        """Name all namespaces."""
        ...


class WatchObserver(Protocol):
    """Counts what happens while following. ``resource`` is Resource.name, or "" for discovery."""

    def request(self, resource: str, verb: str, code: int, seconds: float) -> None:
        """Note a request: verb is list, watch or get; code 0 means that there was no answer."""
        ...

    def change(self, resource: str, kind: str, count: int = 1) -> None:
        """Note objects or a bookmark: listed, added, modified, deleted, bookmark."""
        ...

    def relist(self, resource: str, reason: str) -> None:
        """Note that all is listed again, and why."""
        ...

    def restart(self, resource: str, reason: str) -> None:
        """Note that a watch ended, and why."""
        ...

    def skipped(self, resource: str, reason: str) -> None:
        """Note an object that was left out, and why."""
        ...
