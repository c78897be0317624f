"""A watch: the writes after a version as lines, bookmarks between them, until time is up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

from exporter.simulator import query, tables
from exporter.simulator.query import Form, ListOptions
from exporter.simulator.registry import Served
from exporter.simulator.status import Refusal, too_large_version
from exporter.simulator.store import Compacted, HistoryEntry, Store, StoredObject, encode
from exporter.simulator.views import data_as, partial, raw_as

Object = dict[str, Any]

DEFAULT_SECONDS = 1800
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class SimulatedLine(NamedTuple):
    """One watch event, as it goes over the wire; ``key`` is the object's, if it is about one."""

    type: str
    raw: bytes
    key: str = ""


class Watch:
    """One client's position in the history of one resource.

    Invariant: what was yielded is exactly what happened up to ``version`` to the objects selected.
    """

    def __init__(
        self, store: Store, served: Served, namespace: str, options: ListOptions, form: Form
    ) -> None:
        self.store = store
        self.served = served
        self.version = int(options.version or 0)
        self._synthetic = not self.version or options.initial_events
        self._options = options
        self._form = form
        self._namespace = namespace
        self._matches = query.parse(options.labels, options.fields, served)
        self._headed = True

    def initial(self) -> Iterator[SimulatedLine]:
        """Yield what is there already, as ADDED, where the request wants that."""
        if not self._synthetic:
            return
        self._synthetic = False
        if self.version > self.store.version:
            raise too_large_version(self.version, self.store.version)
        self.version, keys, objects = self.store.snapshot(self.served.storage)
        # Taken at once: the store goes on while lines are written.
        for stored in [objects[key] for key in keys]:
            if self._selects(stored):
                yield self._line("ADDED", stored)
        if self._options.initial_events and self._options.bookmarks:
            yield self.bookmark({INITIAL_EVENTS_END: "true"})

    def news(self) -> Iterator[SimulatedLine]:
        """Yield what happened since.

        Raises:
            Refusal: 410, the store no longer has the changes since ``version``.
        """
        try:
            entries = self.store.since(self.served.storage, self.version)
        except Compacted as error:
            raise Refusal(
                410, f"too old resource version: {self.version} ({self.store.floor})"
            ) from error
        upto = self.store.version
        for entry in entries:
            line = self._translated(entry)
            self.version = entry.version
            if line:
                yield line
        self.version = max(self.version, upto)

    def bookmark(self, annotations: dict[str, str] | None = None) -> SimulatedLine:
        """Make a line that has only the version of the watch."""
        metadata: Object = {"resourceVersion": str(self.version)}
        if self.served.builtin:
            metadata["creationTimestamp"] = None
        if annotations:
            metadata["annotations"] = annotations
        resource = self.served.resource
        data = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        version = metadata["resourceVersion"]
        return SimulatedLine(
            "BOOKMARK", event_line("BOOKMARK", self._formed(data, version) or encode(data))
        )

    def _translated(self, entry: HistoryEntry) -> SimulatedLine | None:
        was = entry.old is not None and self._selects(entry.old)
        now = entry.new is not None and self._selects(entry.new)
        if not was and not now:
            return None
        if was and now:
            return self._line("MODIFIED", entry.last)
        return self._line("ADDED" if now else "DELETED", entry.last)

    def _selects(self, stored: StoredObject) -> bool:
        return self._namespace in ("", stored.namespace) and self._matches(stored.data)

    def _line(self, kind: str, stored: StoredObject) -> SimulatedLine:
        return SimulatedLine(kind, event_line(kind, self._shown(stored)), stored.key)

    def _shown(self, stored: StoredObject) -> bytes:
        if not self._form.name:
            return raw_as(stored, self.served)
        return self._formed(data_as(stored, self.served), str(stored.version)) or stored.raw

    def _formed(self, data: Object, version: str) -> bytes:
        if not self._form.name:
            return b""
        if self._form.name == "Partial":
            return encode(partial(data))
        row = tables.row(data, self.served, self.store.clock(), self._form.include)
        headed, self._headed = self._headed, False
        metadata = {"resourceVersion": version}
        return encode(tables.table(self.served, [row], metadata, headed=headed))


async def lines(
    watch: Watch, served: Callable[[], bool], seconds: float, bookmark_seconds: float
) -> AsyncIterator[SimulatedLine]:
    """Yield the watch's lines as they happen, until *seconds* are over or *served* returns False.

    A Refusal becomes the last line. Every *bookmark_seconds* without another line there is a
    bookmark, or none where that is 0.
    """
    written = asyncio.Event()
    unsubscribe = watch.store.subscribe(written.set)
    try:
        for line in watch.initial():
            yield line
        async for line in _live(watch, written, served, seconds, bookmark_seconds):
            yield line
    except Refusal as refusal:
        yield SimulatedLine("ERROR", event_line("ERROR", refusal.body))
    finally:
        unsubscribe()


async def _live(
    watch: Watch,
    written: asyncio.Event,
    served: Callable[[], bool],
    seconds: float,
    bookmark_seconds: float,
) -> AsyncIterator[SimulatedLine]:
    now: Callable[[], float] = asyncio.get_running_loop().time
    end = now() + seconds
    next_bookmark = now() + bookmark_seconds if bookmark_seconds else end
    while now() < end:
        written.clear()
        for line in watch.news():
            yield line
        if not served():
            return
        if await _woken(written, min(end, next_bookmark) - now()):
            continue
        if bookmark_seconds:
            next_bookmark = now() + bookmark_seconds
            yield watch.bookmark()


async def _woken(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def event_line(kind: str, raw: bytes) -> bytes:
    """Frame an object as a watch event."""
    return b'{"type":"' + kind.encode() + b'","object":' + raw + b"}\n"
