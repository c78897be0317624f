"""Keep a sink in step with one scope: discover, list, watch, and recover from failures."""

import asyncio
import logging
from typing import Final, Literal, NoReturn

from exporter.errors import ApiError, Gone, Malformed, NotServed, Refused, Unavailable, Unsupported
from exporter.model.changes import Scope
from exporter.model.resource import Resource
from exporter.watch.cursor import VersionCursor
from exporter.watch.feed import SinkAdapter
from exporter.watch.lists import Lister, ReflectorOptions, Start
from exporter.watch.pace import Backoff, TimeSlice, WatchClock
from exporter.watch.ports import Forget, Sink, Source, WatchObserver, forget_nothing
from exporter.watch.watcher import End, Watcher

log = logging.getLogger(__name__)

State = Literal["waiting", "listing", "watching", "not served", "refused", "failing"]

SHORT_SECONDS: Final = 1.0
RELIST_WEIGHT: Final = 9  # of failures at one version before all is listed again
BREAK_WEIGHT: Final = 3  # of a watch that broke; one that was refused with 500 weighs 1
CONFIRMATIONS: Final = 2  # times that something followed must be missed to be believed gone
_REASONS: Final[dict[type[Exception], str]] = {
    Gone: "expired",
    Malformed: "malformed",
    NotServed: "not_served",
    Refused: "refused",
    Unsupported: "unsupported",
}
_STATUS_REASONS: Final = {0: "connection", 429: "throttled"}
DEFAULT_OPTIONS: Final = ReflectorOptions()
DEFAULT_CLOCK: Final = WatchClock()


class Reflector:
    """Keeps a sink in step with one scope.

    Invariant: between any two calls of the sink, ``version`` covers exactly what the sink was
    given up to then; it is empty where a list is needed. Times are Unix seconds, 0 for
    never. Only the reflector itself changes what follows:

    - ``state``: ``waiting`` before the first attempt and after an expired version, ``listing``
      until a list is complete, ``watching`` while the server holds the watch open, ``not served``
      and ``refused`` until the next look, ``failing`` between an error and the next attempt.
    - ``up``: the resource is being watched now; ``since``: when ``up`` last changed.
    - ``last_error``: what the last attempt failed with; None once a watch is open. An expired
      version (410) does not change it: the next list follows at once.
    - ``synced``: a list was completed, and the resource is still served.
    - ``served``: False once the resource was missing ``CONFIRMATIONS`` times.
    - ``last_sync``: when the last list was completed.
    """

    def __init__(  # noqa: PLR0913 - three of them only tests and the composition root name
        self,
        scope: Scope,
        source: Source,
        sink: Sink,
        observer: WatchObserver,
        *,
        since: str = "",
        options: ReflectorOptions = DEFAULT_OPTIONS,
        clock: WatchClock = DEFAULT_CLOCK,
        turns: TimeSlice | None = None,
        forget_some: Forget = forget_nothing,
    ) -> None:
        self.scope = scope
        self.state: State = "waiting"
        self.since = clock.wall()
        self.last_error: ApiError | Malformed | None = None
        self._up = False
        self.synced = False
        self.served = True
        self.last_sync = 0.0
        self._source = source
        self._observer = observer
        self._options = options
        self._clock = clock
        turns = turns or TimeSlice(clock.work)
        self._feed = SinkAdapter(scope, sink, observer, clock, turns, forget_some)
        self._lister = Lister(scope, source, self._feed, observer, options)
        self._watcher = Watcher(scope, source, self._feed, options, clock)
        self._watcher.position = VersionCursor(since)
        self._resource: Resource | None = None
        self._last_resource: Resource | None = None
        self._doubtful = False  # the version may lie in the future of a restored server
        self._missing = 0  # times in a row that the resource was not served
        self._broken_at = ("", 0)  # a version, and the weight of the failures at it
        self._failures = 0  # since the last watch that was opened

    @property
    def version(self) -> str:
        """The version to resume from."""
        position = self._watcher.position
        return position.version if position.resumable else ""

    @property
    def up(self) -> bool:
        """Whether the resource is being watched now."""
        return self._up

    @up.setter
    def up(self, up: bool) -> None:
        if up != self._up:
            self.since = self._clock.wall()
        self._up = up

    @property
    def last_change(self) -> float:
        """When the sink was last given a change."""
        return self._feed.last_change

    def resume_from(self, version: str) -> None:
        """Begin with a watch from *version* instead of a list; where it is too old, list."""
        self._watcher.position = VersionCursor(version)

    async def run(self) -> NoReturn:
        """Follow until cancelled."""
        delays = Backoff(self._clock.jitter)
        while True:
            self._watcher.opened = None
            pause = await self._attempt()
            await asyncio.sleep(delays.after(self._watcher.healthy_seconds, pause))

    async def _attempt(self) -> float:
        """Get as far as it goes; return the least pause before the next attempt, in seconds."""
        try:
            await self._follow()
        except (ApiError, Malformed) as error:
            if self._watcher.opened is not None:
                self._observer.restart(self.scope.resource.name, _reason(error))
                self._note_need_to_list("reconnect")
            return await self._failed(error)
        return 0.0

    async def _follow(self) -> None:
        resource = self._resource or await self._find()
        if self._doubtful and self.version:
            await self._check_past(resource)
        if self.version or await self._list(resource):
            end = await self._watcher.run(resource, None, self._watching)
        else:
            end = await self._stream(resource)
        self._ended(end)

    async def _stream(self, resource: Resource) -> End:
        """Stream the list by a watch; list by pages where the server does not support that."""
        try:
            return await self._watcher.run(resource, self._listed_by_watch, self._watching)
        except Unsupported as error:
            log.info("%s: listed in pages, because the server cannot stream lists: %s", self, error)
            self._lister.streams = False
            await self._list(resource)
            return await self._watcher.run(resource, None, self._watching)

    async def _find(self) -> Resource:
        found = await self._source.resolve(self.scope.resource)
        if found is None:
            raise NotServed(f"{self.scope.resource.name} is not served")
        if self._last_resource not in (None, found):
            self._forget("rediscovered")
        self._resource = self._last_resource = found
        return found

    async def _check_past(self, resource: Resource) -> None:
        """List again if the server's past was replaced by an older one, from a backup.

        A watch from what is now the future would wait in silence, and miss everything: seen of
        kube-apiserver 1.34 on a restored etcd.
        """
        present = await self._lister.present_version(resource)
        self._doubtful = False
        if self._watcher.position.is_behind(present):
            self._forget("went_back")

    async def _list(self, resource: Resource) -> bool:
        """List; return whether that is complete: a long list may be left to the watch."""
        self.state = "listing"
        start = await self._lister.run(resource)
        if start is None:
            return False
        self._listed(start)
        return True

    def _listed(self, start: Start) -> None:
        self._watcher.start_from(start)
        self._complete()
        fields = {"resource": self.scope.resource.name, "objects": self._feed.listed}
        log.info("%s: listed", self, extra=fields)

    def _listed_by_watch(self, start: Start) -> None:
        self._listed(start)
        self._watching()

    def _watching(self) -> None:
        self.state, self.up = "watching", True
        if not self.synced:
            self._complete()
        if self._failures:
            log.debug("%s: watched again after %d failures", self, self._failures)
        self._failures, self._missing = 0, 0
        self.last_error = None

    def _complete(self) -> None:
        self.synced = self.served = True
        self.last_sync = self._clock.wall()

    def _ended(self, end: End) -> None:
        """Note how a watch ended that did not fail."""
        quick = self._watcher.lines == 0 and self._watcher.healthy_seconds < SHORT_SECONDS
        self._observer.restart(
            self.scope.resource.name, "short" if quick and end == "closed" else end
        )
        if quick:
            self.state, self.up = "failing", False
            self.last_error = Unavailable("the server ends each watch immediately")
        self._doubtful = end == "idle" or self._watcher.lines == 0
        self._note_need_to_list("reconcile" if end == "reconcile" else "reconnect")

    def _note_need_to_list(self, reason: str) -> None:
        """Make the next attempt list for *reason* if there is no version to resume from."""
        if self.synced and not self.version:
            self._forget(reason)

    async def _failed(self, error: ApiError | Malformed) -> float:
        """Choose the state after a failure, and the least pause, in seconds."""
        self.up = False
        match error:
            case NotServed():
                return await self._missed(error)
            case Refused():
                self._fail("refused", error)
                return self._options.look_again_seconds
            case Gone():
                self.state = "waiting"
                self._forget("expired" if self.version else "list_expired")
            case Unsupported():
                self._fail("failing", error)
                self._forget("unsupported")
            case _:
                self._fail("failing", error)
                self._count_breaks(error)
        return error.retry_after if isinstance(error, Unavailable) else 0.0

    async def _missed(self, error: NotServed) -> float:
        """Believe that something followed is gone when it was seen twice to be."""
        self._missing += 1
        self._resource = None
        followed = self.synced or bool(self.version)
        if followed and self._missing < CONFIRMATIONS:
            self._fail("failing", error)
            return self._options.confirm_seconds
        if followed:
            self._feed.begin()
            await self._feed.forget()
            self._feed.end()
        self._fail("not served", error)
        self._forget("")
        self.served = self.synced = False
        return self._options.look_again_seconds

    def _count_breaks(self, error: ApiError | Malformed) -> None:
        """List again when watches keep failing at one version: it may be what breaks them.

        kube-apiserver answers 500 to a version that it cannot read.
        """
        status = -1 if isinstance(error, Malformed) else error.status
        self._doubtful |= status in (0, 504)
        began = self._watcher.opened is not None
        broke = status == -1 or (began and status in (500, 502, 503))
        weight = BREAK_WEIGHT if broke else int(status == 500)
        version, weights = self._broken_at
        self._broken_at = (self.version, weight + (weights if version == self.version else 0))
        if self._broken_at[1] >= RELIST_WEIGHT:
            self._forget("broken")

    def _forget(self, reason: str) -> None:
        """Make the next attempt list, for that reason."""
        self._watcher.position = VersionCursor("")
        self._lister.start_over(reason)
        self._broken_at = ("", 0)

    def _fail(self, state: State, error: ApiError | Malformed) -> None:
        """Take the state; what is logged of it is one line for all that share the cause."""
        self.state, self.last_error = state, error
        self._failures += 1
        log.debug("%s: %s", self, error)

    def __str__(self) -> str:
        namespace = self.scope.namespace
        return self.scope.resource.name + (f" in {namespace}" if namespace else "")


def _reason(error: ApiError | Malformed) -> str:
    """Return the value of the label ``reason`` for a watch that ended."""
    return _REASONS.get(type(error)) or _STATUS_REASONS.get(
        getattr(error, "status", 0), "server_error"
    )
