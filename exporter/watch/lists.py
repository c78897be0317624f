"""Ways to read a long list: page by page, or several namespaces at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from exporter.errors import Refused
from exporter.model.changes import Object
from exporter.model.wire import Page
from exporter.watch.position import number

PAGE_OBJECTS: Final = 250
PARALLEL_LISTS: Final = 4


class Start(NamedTuple):
    """Where to watch from after a list, and what is known beyond that, by namespace."""

    version: str
    floors: Mapping[str, int]


class Reader(NamedTuple):
    """How a way of listing reads and hands on.

    ``page`` takes a namespace and a continue token; ``apply`` gives objects to the sink.
    """

    page: Callable[[str, str], Awaitable[Page]]
    apply: Callable[[Sequence[Object]], Awaitable[None]]
    namespaces: Callable[[], Awaitable[Sequence[str]]]


class Reading(Protocol):
    """A list under way. It can be run again after a failure, and goes on where it was."""

    async def run(self) -> Start:
        """Read to the end, handing on every object."""
        ...


Lists = Callable[[Reader, str, Page], Reading]
"""Begins to read the rest of a list of a namespace whose first page is known."""


class Pages:
    """Reads page after page of one snapshot, the next one on its way while one is handed on."""

    def __init__(self, reader: Reader, namespace: str, first: Page | None = None) -> None:
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

    async def _hand_on(self, page: Page) -> Page:
        async def fetch() -> Page:
            return await self._reader.page(self._namespace, page.cont)

        ahead = asyncio.create_task(fetch())
        try:
            await asyncio.sleep(0)  # lets the request leave before the page is worked on
            await self._reader.apply(page.objects)
            return await ahead
        finally:
            await _end(ahead)


class ByNamespace:
    """Reads several namespaces at once: a server encodes one list on one core.

    The version of the first page is older than every list, so whatever is created meanwhile, in
    namespaces of any age, is in what is watched from there.
    """

    def __init__(self, reader: Reader, namespace: str, first: Page) -> None:
        self._reader = reader
        self._whole = Pages(reader, namespace, first)
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
                start = await Pages(self._reader, namespace).run()
            except BaseException:
                todo.append(namespace)
                raise
            self._floors[namespace] = number(start.version)


async def _end(*tasks: asyncio.Task[Page] | asyncio.Task[None]) -> None:
    """End tasks whose results nobody wants any more, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # marks it as seen, else asyncio complains
