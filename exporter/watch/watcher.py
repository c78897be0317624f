"""One watch of a scope: passes its lines to the feed, and keeps the position to resume from."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Final, Literal

from exporter.errors import Unavailable, error_of_status
from exporter.model.changes import Scope
from exporter.model.resource import Resource
from exporter.watch.cursor import VersionCursor
from exporter.watch.feed import SinkAdapter
from exporter.watch.lists import ReflectorOptions, Start
from exporter.watch.pace import TURN_SECONDS, WatchClock
from exporter.watch.ports import Source
from exporter.wire.codec import WatchLine

End = Literal["closed", "idle", "reconcile"]
OnList = Callable[[Start], None]

_BETWEEN_LOOKS: Final = 16
"""Lines taken between two checks of the clock (0.5 ms). Each check schedules a callback."""


class Watcher:
    """Watches one scope from ``position``.

    - ``position``: how far the sink is. ``run`` moves it forward, ``start_from`` sets it after a
      list, and the Reflector sets it to resume, or to nothing so that the next attempt lists.
    - ``opened``: the event loop's time when the server accepted the current watch, None before.
      ``run`` sets it, the Reflector resets it before each attempt.
    - ``lines``: how many lines the current watch has received. Only ``run`` changes it.
    """

    def __init__(
        self,
        scope: Scope,
        source: Source,
        feed: SinkAdapter,
        options: ReflectorOptions,
        clock: WatchClock,
    ) -> None:
        self.position = VersionCursor("")
        self.opened: float | None = None
        self.lines = 0
        self._scope = scope
        self._source = source
        self._feed = feed
        self._options = options
        self._clock = clock
        self._on_list: OnList | None = None
        self._deadline = 0.0
        self._seconds = 0
        self._sends_bookmarks = True

    @property
    def healthy_seconds(self) -> float:
        """How long the current watch has been open; 0 where none was opened."""
        if self.opened is None:
            return 0.0
        return asyncio.get_running_loop().time() - self.opened

    def start_from(self, start: Start) -> None:
        """Watch from the end of a list; look again later where versions mean nothing."""
        self.position = VersionCursor(start.version, start.floors)
        spread = 0.9 + 0.2 * self._clock.jitter()
        now = asyncio.get_running_loop().time()
        self._deadline = now + spread * self._options.reconcile_seconds

    async def run(
        self, resource: Resource, on_list: OnList | None, on_stand: Callable[[], None]
    ) -> End:
        """Watch until something ends the watch without an error; return what.

        ``closed``: the server ended it; ``idle``: the server sent nothing for too long;
        ``reconcile``: it is time to list again. *on_stand* is called when the server has accepted
        the watch. With *on_list*, the watch starts with a list, and *on_list* is called when that
        is complete.

        Raises:
            ApiError: the request or the watch failed.
            Malformed: a line is not a watch event.
        """
        self.opened, self.lines, self._on_list = None, 0, on_list
        self._seconds = int(self._options.watch_seconds * (1 + self._clock.jitter()))
        try:
            async with aclosing(self._open(resource)) as batches:
                while (batch := await self._next(batches)) is not None:
                    if self.opened is None:
                        self.opened = asyncio.get_running_loop().time()
                        if not on_list:
                            on_stand()
                    await self._take_all(batch)
        except TimeoutError:
            self._sends_bookmarks = False
            return "idle" if self._is_resumable else "reconcile"
        return "closed"

    async def _next(
        self, batches: AsyncGenerator[Iterable[WatchLine | None], None]
    ) -> Iterable[WatchLine | None] | None:
        async with asyncio.timeout_at(self._silent_until(asyncio.get_running_loop().time())):
            return await anext(batches, None)

    def _open(self, resource: Resource) -> AsyncGenerator[Iterable[WatchLine | None], None]:
        return self._source.watch(
            resource,
            self._scope.namespace,
            self.position.version,
            initial=self._on_list is not None,
            seconds=self._seconds,
        )

    @property
    def _is_resumable(self) -> bool:
        return self._on_list is not None or self.position.resumable

    def _silent_until(self, heard: float) -> float:
        """Return the loop time at which a watch without data, since *heard*, is closed.

        Of Events a real API server sends no bookmarks. Once it was silent for long, it is given
        until it must end the watch itself; TCP detects meanwhile if the server is gone.
        """
        if not self._is_resumable:
            return self._deadline
        if self._sends_bookmarks or self.opened is None:
            return heard + self._options.idle_seconds
        return heard + self._seconds + self._options.idle_seconds

    async def _take_all(self, batch: Iterable[WatchLine | None]) -> None:
        try:
            began = self._clock.work()
            for count, line in enumerate(batch, 1):
                if line is not None:
                    self.lines += 1
                    if line.initial_end and self._on_list:
                        await self._feed.forget()
                    self._take(line)
                if line is None or self._clock.work() - began > TURN_SECONDS:
                    await asyncio.sleep(0)
                    began = self._clock.work()
                elif not count % _BETWEEN_LOOKS:
                    await self._feed.rest()
        finally:
            self._feed.tell()

    def _take(self, line: WatchLine) -> None:
        status = line.status
        if status is not None:
            message = status.message or status.reason
            raise error_of_status(status.code, message, status.retry_after)
        if line.type == "BOOKMARK":
            self._take_bookmark(line)
        elif self._on_list:
            self._feed.take(line, listing=True)
        elif self.position.is_news(line):
            self._feed.take(line, listing=False)
            self.position.move(line.version)

    def _take_bookmark(self, line: WatchLine) -> None:
        self._feed.note_bookmark()
        self._sends_bookmarks = True
        if self._on_list:
            if line.initial_end:
                self._feed.end()
                self._on_list(Start(line.version, {}))
                self._on_list = None
        elif self.position.is_behind(line.version):
            message = f"the server is at version {line.version}, before {self.position.version}"
            raise Unavailable(message, 504)
        else:
            self.position.move(line.version)
