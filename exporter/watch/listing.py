"""List one scope into its feed: start over, or go on where the last attempt broke off."""

from exporter.errors import Unavailable
from exporter.model.changes import Scope
from exporter.model.resource import Resource
from exporter.model.wire import Page
from exporter.watch.feed import Feed
from exporter.watch.lists import Pages, Reader, Reading, Start
from exporter.watch.options import Options
from exporter.watch.ports import Observer, Source
from exporter.watch.position import UNVERSIONED


class Lister:
    """Lists one scope. ``relist_reason`` says why the next list is needed, if one was complete."""

    def __init__(
        self, scope: Scope, source: Source, feed: Feed, observer: Observer, options: Options
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
        self._reading: Reading | None = None
        self._doubted = False

    async def run(self, resource: Resource) -> Start | None:
        """List to the end; return where to watch from, or None if a watch should bring the list.

        The first page tells what kind of server this is, and whether the list is long.
        """
        self._resource = resource
        if self._reading is None:
            first = await self._page(self._scope.namespace, "")
            self._doubt(first)
            self._begin()
            if self.streams and first.cont and first.version not in UNVERSIONED:
                return None
            is_divisible = self._scope.resource.namespaced and not self._scope.namespace
            lists = self._options.lists if is_divisible else Pages
            self._reading = lists(self._reader, self._scope.namespace, first)
        start = await self._reading.run()
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

    async def _page(self, namespace: str, cont: str) -> Page:
        limit = self._options.page_objects
        return await self._source.page(self._resource, namespace, limit=limit, cont=cont)

    def _doubt(self, first: Page) -> None:
        """Believe that everything is gone only when it is said twice."""
        if first.objects or first.cont or not self._feed.listed or self._doubted:
            self._doubted = False
            return
        self._doubted = True
        message = f"an empty list, where there were {self._feed.listed} objects: asked again"
        raise Unavailable(message, 200, self._options.confirm_seconds)

    def _begin(self) -> None:
        if self.relist_reason:
            self._observer.relist(self._scope.resource.name, self.relist_reason)
            self.relist_reason = ""
        self._feed.begin()
