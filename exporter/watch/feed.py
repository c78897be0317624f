"""The feed of one scope: its objects as changes for the sink, with turns of the event loop."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from exporter.model.changes import Applied, Deleted, Init, InitDone, Object, Scope
from exporter.watch.pace import TimeSlice, WatchClock
from exporter.watch.ports import Forget, Sink, WatchObserver, forget_nothing
from exporter.wire.codec import WatchLine

_CHANGES: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})


class SinkAdapter:
    """Filters the objects of one scope, passes them to the sink as changes, and counts them.

    ``last_change`` is in Unix seconds, 0 before the first change; ``listed`` counts the objects of
    the latest list. Only its methods write both.
    """

    def __init__(
        self,
        scope: Scope,
        sink: Sink,
        observer: WatchObserver,
        clock: WatchClock,
        turns: TimeSlice,
        forget_some: Forget = forget_nothing,
    ) -> None:
        self._forget_some = forget_some
        self.last_change = 0.0
        self.listed = 0
        self._scope = scope
        self._namespace = scope.namespace
        self._label = scope.resource.name
        self._sink = sink
        self._observer = observer
        self._clock = clock
        self._turns = turns
        self._taken: Counter[str] = Counter()

    def begin(self) -> None:
        """Pass on that a list begins."""
        self.listed = 0
        self._sink(Init(self._scope))

    async def apply(self, objects: Sequence[Object]) -> None:
        """Pass on listed objects."""
        count, scope, sink = 0, self._scope, self._sink
        try:
            for each in objects:
                if self._namespace and not self._is_ours(each):
                    continue
                while self._turns.over:
                    await asyncio.sleep(0)
                sink(Applied(scope, each))
                count += 1
        finally:
            self.listed += count
            self._observer.change(self._label, "listed", count)

    async def forget(self) -> None:
        """Let the sink remove what the list, about to end, did not contain, some at a time."""
        while self._forget_some(self._scope):
            await asyncio.sleep(0)

    def end(self) -> None:
        """Pass on that the list is complete: objects that it did not contain are gone."""
        self._sink(InitDone(self._scope))
        self.last_change = self._clock.wall()

    def take(self, line: WatchLine, *, listing: bool) -> None:
        """Pass on the change in a watch line."""
        kind, found = line.type, line.object
        if found is None or (self._namespace and not self._is_ours(found)):
            return
        change = Deleted if kind == "DELETED" else Applied
        self._sink(change(self._scope, found))
        if listing and kind == "ADDED":
            self.listed += 1
            kind = "LISTED"
        self._taken[kind] += 1

    def note_bookmark(self) -> None:
        """Count a bookmark: a line with nothing but the position of the watch."""
        self._taken["BOOKMARK"] += 1

    def tell(self) -> None:
        """Count the lines that were taken since this was last asked for."""
        for kind, count in self._taken.items():
            self._observer.change(self._label, kind.lower(), count)
            if kind in _CHANGES:
                self.last_change = self._clock.wall()
        self._taken.clear()

    async def rest(self) -> None:
        """Leave the loop to others if this turn was long enough."""
        if self._turns.over:
            await asyncio.sleep(0)

    def _is_ours(self, each: Object) -> bool:
        # Aggregated servers send a namespace's watch the events of every namespace.
        return each.metadata.namespace == self._namespace
