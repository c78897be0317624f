"""Ways to read a long list: page by page, or several namespaces at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from exporter.errors import Refused, Unavailable
from exporter.model.changes import Object, Scope
from exporter.model.metadata import version_number
from exporter.model.resource import Resource
from exporter.watch.cursor import UNVERSIONED
from exporter.watch.feed import SinkAdapter
from exporter.watch.ports import Source, WatchObserver
from exporter.wire.codec import ListPage

PAGE_OBJECTS: Final = 250
FIRST_PAGE_OBJECTS: Final = 25
"""Of the page that shows whether a list is long: older servers read pages from etcd."""
PARALLEL_LISTS: Final = 4


async def all_pages(
    source: Source, resource: Resource, namespace: str = ""
) -> AsyncIterator[ListPage]:
    """Read a list page by page, to the one without a continue token.

    Raises:
        ApiError: by what is to be done next; Gone when the list has expired.
        Malformed: a page is no list.
    """
    cont = ""
    while True:
        page = await source.page(resource, namespace, limit=PAGE_OBJECTS, cont=cont)
        yield page
        cont = page.cont
        if not cont:
            return


class Start(NamedTuple):
    """Where to watch from after a list, and what is known beyond that, by namespace."""

    version: str
    floors: Mapping[str, int]


class Reader(NamedTuple):
    """How a way of listing reads and hands on.

    ``page`` takes a namespace and a continue token; ``apply`` gives objects to the sink.
    """

    page: Callable[[str, str], Awaitable[ListPage]]
    apply: Callable[[Sequence[Object]], Awaitable[None]]
    namespaces: Callable[[], Awaitable[Sequence[str]]]


class ListStrategy(Protocol):
    """A list under way. It can be run again after a failure, and continues where it was."""

    async def run(self) -> Start:
        """Read to the end, handing on every object."""
        ...


Lists = Callable[[Reader, str, ListPage], ListStrategy]
"""Begins to read the rest of a list of a namespace whose first page is known."""


class PagedList:
    """Reads page after page of one snapshot, the next one on its way while one is handed on."""

    def __init__(self, reader: Reader, namespace: str, first: ListPage | None = None) -> None:
        self._reader = reader
        self._namespace = namespace
        self._ready = first
        self._cont = ""

    async def run(self) -> Start:
        """Read to the end, handing on every object."""
        page = self._ready or await self._reader.page(self._namespace, self._cont)
        while page.cont:
            self._ready, self._cont = None, page.cont
            page = await self._hand_on(page)
        await self._reader.apply(page.objects)
        return Start(page.version, {})

    async def _hand_on(self, page: ListPage) -> ListPage:
        async def fetch() -> ListPage:
            return await self._reader.page(self._namespace, page.cont)

        ahead = asyncio.create_task(fetch())
        try:
            await asyncio.sleep(0)  # lets the request leave before the page is worked on
            await self._reader.apply(page.objects)
            return await ahead
        finally:
            await _end(ahead)


class NamespaceLists:
    """Reads several namespaces at once: a server encodes one list on one core.

    The version of the first page is older than every list, so whatever is created meanwhile, in
    namespaces of any age, is in what is watched from there.
    """

    def __init__(self, reader: Reader, namespace: str, first: ListPage) -> None:
        self._reader = reader
        self._whole = PagedList(reader, namespace, first)
        self._version = first.version
        self._todo: list[str] | None = None
        self._floors: dict[str, int] = {}

    async def run(self) -> Start:
        """Read to the end, handing on every object."""
        if self._todo is None:
            try:
                self._todo = list(await self._reader.namespaces())
            except Refused:
                return await self._whole.run()
        workers = [asyncio.create_task(self._work(self._todo)) for _ in range(PARALLEL_LISTS)]
        try:
            await asyncio.gather(*workers)
        finally:
            await _end(*workers)
        return Start(self._version, self._floors)

    async def _work(self, todo: list[str]) -> None:
        while todo:
            namespace = todo.pop()
            try:
                start = await PagedList(self._reader, namespace).run()
            except BaseException:
                todo.append(namespace)
                raise
            self._floors[namespace] = version_number(start.version)


async def _end(*tasks: asyncio.Task[ListPage] | asyncio.Task[None]) -> None:
    """Cancel tasks whose results are not needed, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # marks it as seen, else asyncio complains


class ReflectorOptions(NamedTuple):
    """How a Reflector lists and watches.

    - ``lists``: how to read a long list of several namespaces that is not streamed.
    - ``stream``: whether to ask for long lists as a stream where pages cost the server more.
    - ``page_objects``: how many objects to ask for in a page.
    - ``watch_seconds``: a watch is asked to end after this to twice this, at random, so that not
      all watches end together.
    - ``idle_seconds``: a watch without any data for this long is closed. Servers send a bookmark
      every minute.
    - ``reconcile_seconds``: how often to list what has no version to resume from.
    - ``look_again_seconds``: how often to retry what is not served or not permitted.
    - ``confirm_seconds``: how long to wait before a second check that all objects, or the
      resource, are gone.
    """

    lists: Lists = PagedList
    stream: bool = True
    page_objects: int = PAGE_OBJECTS
    watch_seconds: int = 300
    idle_seconds: float = 90.0
    reconcile_seconds: float = 300.0
    look_again_seconds: float = 30.0
    confirm_seconds: float = 5.0


class Lister:
    """Lists one scope.

    - ``relist_reason``: why the next list is needed, empty for the first. ``start_over`` sets it,
      ``run`` resets it.
    - ``streams``: whether to ask for long lists as a stream. The Reflector sets it to False once
      the server has refused that.
    """

    def __init__(
        self,
        scope: Scope,
        source: Source,
        feed: SinkAdapter,
        observer: WatchObserver,
        options: ReflectorOptions,
    ) -> None:
        self.relist_reason = ""
        self.streams = options.stream
        self._scope = scope
        self._resource = scope.resource
        self._source = source
        self._feed = feed
        self._observer = observer
        self._options = options
        self._reader = Reader(self._page, feed.apply, source.namespaces)
        self._reading: ListStrategy | None = None
        self._doubted = False

    async def run(self, resource: Resource) -> Start | None:
        """List to the end; return where to watch from, or None if a watch is to stream the list.

        The first page shows what kind of server this is, and whether the list is long.
        """
        self._resource = resource
        if self._reading is None:
            least = min(FIRST_PAGE_OBJECTS, self._options.page_objects)
            first = await self._page(self._scope.namespace, "", least)
            self._doubt(first)
            self._begin()
            if first.cont and await self._is_streamed(first):
                return None
            is_divisible = self._scope.resource.namespaced and not self._scope.namespace
            lists = self._options.lists if is_divisible else PagedList
            self._reading = lists(self._reader, self._scope.namespace, first)
        start = await self._reading.run()
        await self._feed.forget()
        self._reading = None
        self._feed.end()
        return start

    async def present_version(self, resource: Resource) -> str:
        """Ask for the version that a list would have now."""
        namespace = self._scope.namespace
        page = await self._source.page(resource, namespace, limit=1, cont="")
        return page.version

    def start_over(self, reason: str) -> None:
        """Make the next run begin from the first page."""
        self._reading = None
        self.relist_reason = reason

    async def _is_streamed(self, first: ListPage) -> bool:
        if not self.streams or first.version in UNVERSIONED:
            return False
        return not await self._source.pages_from_memory()

    async def _page(self, namespace: str, cont: str, limit: int = 0) -> ListPage:
        limit = limit or self._options.page_objects
        return await self._source.page(self._resource, namespace, limit=limit, cont=cont)

    def _doubt(self, first: ListPage) -> None:
        """Accept an empty list only after a second one, if the last list had objects."""
        if first.objects or first.cont or not self._feed.listed or self._doubted:
            self._doubted = False
            return
        self._doubted = True
        message = f"the list is empty, but the last one had {self._feed.listed} objects; retrying"
        raise Unavailable(message, 200, self._options.confirm_seconds)

    def _begin(self) -> None:
        if self.relist_reason:
            self._observer.relist(self._scope.resource.name, self.relist_reason)
            self.relist_reason = ""
        self._feed.begin()
