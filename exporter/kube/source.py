"""The source that followers read: lists and watches of one API server, decoded."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from exporter.errors import Malformed
from exporter.kube.client import JSON, KubeClient, Request
from exporter.kube.discovery import Discovery
from exporter.model.changes import Object
from exporter.model.metadata import Metadata
from exporter.model.report import Report
from exporter.model.resource import (
    EVENTS,
    NAMESPACES,
    OWNED_RESOURCES,
    REPORT_RESOURCES,
    Resource,
)
from exporter.watch.lists import all_pages
from exporter.watch.ports import WatchObserver
from exporter.wire.codec import Codec, ListPage, PageTurns, WatchLine, codec_for
from exporter.wire.report_limits import DEFAULT_LIMITS, ReportLimits
from exporter.wire.result_cache import LONG_BYTES
from exporter.wire.slices import Uncut, field
from exporter.wire.table import ACCEPT as TABLES
from exporter.wire.table import TableCodec

log = logging.getLogger(__name__)

NAMED: Final = 1000
"""Objects that are named in the log, in addition to the first one of each namespace."""
NAMED_EACH: Final = 50
"""Of one namespace."""
NAMESPACES_NAMED: Final = 10_000


class ObjectLog:
    """Names objects that something is wrong with: each once, of each namespace a share.

    So a user who makes many of them fills neither the log nor the room of other namespaces, whose
    first object is named in any case. *what* happened to them begins the line.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._named: set[tuple[str, str]] = set()
        self._shares: Counter[str] = Counter()

    def note(self, resource: str, name: str, message: str) -> None:
        """Log an object the first time; *name* is "namespace/name", or a name alone."""
        namespace = name.rpartition("/")[0]
        if (resource, name) in self._named or not self._has_room(namespace):
            log.debug("%s: %s", self._what, message)
            return
        self._named.add((resource, name))
        self._shares[namespace] += 1
        log.warning("%s: %s", self._what, message)
        if self._shares[namespace] == NAMED_EACH:
            where = f"of namespace {namespace}" if namespace else "without a namespace"
            log.warning(
                "%s: %d objects %s were logged; further ones are only counted",
                self._what,
                NAMED_EACH,
                where,
            )

    def _has_room(self, namespace: str) -> bool:
        if not self._shares[namespace]:
            return len(self._shares) < NAMESPACES_NAMED
        return self._shares[namespace] < NAMED_EACH and len(self._named) < NAMED


FIELD_SELECTORS: Final = {EVENTS.name: "reason=PolicyViolation"}
NARROWER: Final = 8
METADATA: Final = {
    verb: f"{JSON};as={kind};g=meta.k8s.io;v=v1,{JSON}"
    for verb, kind in (("list", "PartialObjectMetadataList"), ("watch", "PartialObjectMetadata"))
}
"""Ask for the metadata of objects alone, or for all of them where a server cannot do that."""

_REPORTS: Final = frozenset((each.group, each.plural) for each in REPORT_RESOURCES)


class KubeSource:
    """Lists, watches and discovers over a client.

    ``selectors`` are field selectors by resource. With ``summaries`` reports are read as the rows
    that kubectl prints of them, without their results. *limits* are those of each report.
    """

    def __init__(
        self,
        client: KubeClient,
        observer: WatchObserver,
        selectors: Mapping[str, str] = FIELD_SELECTORS,
        *,
        summaries: bool = False,
        limits: ReportLimits = DEFAULT_LIMITS,
    ) -> None:
        self._client = client
        self._discovery = Discovery(client)
        self._observer = observer
        self._skipped = ObjectLog("skipped")
        self._cut = ObjectLog("cut")
        self._limits = limits
        self._selectors = selectors
        self._summaries = summaries
        self._codecs: dict[Resource, Codec] = {}

    async def resolve(self, resource: Resource) -> Resource | None:
        """Return the resource in the version to ask for, None if it is not served."""
        return await self._discovery.find(resource)

    async def pages_from_memory(self) -> bool:
        """Return whether pages cost the server less than a stream; see watch.ports.Source."""
        return await self._discovery.pages_from_memory()

    async def page(self, resource: Resource, namespace: str, *, limit: int, cont: str) -> ListPage:
        """Read one page of a list, a shorter one where that is too large.

        Raises:
            ApiError: by what is to be done next.
            Malformed: the list itself is broken, or too large with a single object.
        """
        while True:
            query = self._query(resource, limit=str(limit), cont=cont)
            request = self._request(resource, namespace, query, "list")
            try:
                return await self._decoded(resource, await self._client.get(request))
            except Malformed:
                if limit == 1:
                    raise
                limit = max(limit // NARROWER, 1)

    async def watch(
        self, resource: Resource, namespace: str, since: str, *, initial: bool, seconds: int
    ) -> AsyncGenerator[Iterable[WatchLine | None], None]:
        """Stream what happened after *since*; see exporter.watch.ports.Source."""
        query = self._query(
            resource,
            watch="true",
            allowWatchBookmarks="true",
            timeoutSeconds=str(seconds),
            resourceVersion=since,
            sendInitialEvents="true" if initial else "",
            resourceVersionMatch="NotOlderThan" if initial else "",
        )
        request = self._request(resource, namespace, query, "watch")
        async with aclosing(self._client.lines(request)) as batches:
            async for lines in batches:
                yield self._lines(resource, lines)

    async def namespaces(self) -> Sequence[str]:
        """Name all namespaces."""
        pages = all_pages(self, NAMESPACES)
        return [each.name async for page in pages for each in page.objects]

    def _request(
        self, resource: Resource, namespace: str, query: Mapping[str, str], verb: str
    ) -> Request:
        accept = TABLES if self._in_rows(resource) else JSON
        if resource in OWNED_RESOURCES:
            accept = METADATA[verb]
        return Request(resource.path(namespace), query, accept, resource.name, verb)

    def _query(self, resource: Resource, **parameters: str) -> dict[str, str]:
        return _given(fieldSelector=self._selectors.get(resource.name, ""), **parameters)

    async def _decoded(self, resource: Resource, body: bytes) -> ListPage:
        page = await _in_turns(self._codec(resource).page_in_turns(body))
        for rejected in page.rejected:
            self._skip(resource, rejected.name, rejected.reason, rejected.message)
        for found in page.objects:
            self._note_cut(resource, found)
        content = "rows" if self._in_rows(resource) else "items"
        if not page.objects and not page.rejected and f'"{content}"'.encode() not in body:
            # Believed, an answer that is no list would say that everything is gone.
            raise Malformed(f"list of {resource.name}: {content} is missing")
        return page

    def _in_rows(self, resource: Resource) -> bool:
        return self._summaries and (resource.group, resource.plural) in _REPORTS

    def _codec(self, resource: Resource) -> Codec:
        """Find the codec, one for lists and watches: a watch's later rows do not name columns."""
        codec = self._codecs.get(resource)
        if codec is None:
            in_rows = self._in_rows(resource)
            codec = TableCodec(resource) if in_rows else codec_for(resource, self._limits)
            self._codecs[resource] = codec
        return codec

    def _lines(self, resource: Resource, lines: Sequence[bytes]) -> Iterator[WatchLine | None]:
        """Decode lazily, so that a long batch, or a long line, can be worked on in turns."""
        codec = self._codec(resource)
        for line in lines:
            try:
                if len(line) <= LONG_BYTES:
                    decoded = codec.line(line)
                else:
                    decoded = yield from codec.line_in_turns(line)
            except Malformed as error:
                decoded = self._rejected(resource, line, error)
            self._note_cut(resource, decoded.object)
            yield decoded

    def _skip(self, resource: Resource, name: str, reason: str, message: str) -> None:
        """Count an object that was skipped, and name it."""
        self._observer.skipped(resource.name, reason)
        self._skipped.note(resource.name, name, message)

    def _note_cut(self, resource: Resource, found: Object | None) -> None:
        """Name a report of which not all results are kept."""
        if not isinstance(found, Report) or found.cut is None:
            return
        name = f"{found.namespace}/{found.name}".lstrip("/")
        kept = sum(len(piece.result_set.raw_results) for piece in found.pieces)
        message = (
            f"{resource.kind} {name} exceeds limits.report_results or limits.report_bytes: "
            f"{kept} results are kept, the others are only counted"
        )
        self._cut.note(resource.name, name, message)

    def _rejected(self, resource: Resource, line: bytes, error: Malformed) -> WatchLine:
        """Note a broken object. Raises the error where the line does not even name one."""
        try:
            kind = msgspec.json.decode(field(line, "type") or b"", type=str)
            raw = field(line, "object", "metadata")
            metadata = msgspec.json.decode(raw or b"", type=Metadata)
        except (Uncut, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise error from None
        name = f"{metadata.namespace}/{metadata.name}".lstrip("/")
        self._skip(resource, name, "malformed", str(error))
        return WatchLine(kind, None, metadata.resource_version, False, None)


async def _in_turns(turns: PageTurns) -> ListPage:
    """Decode a page with a turn of the event loop at each of its pauses."""
    while True:
        try:
            next(turns)
        except StopIteration as done:
            page: ListPage = done.value
            return page
        await asyncio.sleep(0)


def _given(*, cont: str = "", **parameters: str) -> dict[str, str]:
    """Leave out what is empty."""
    return {name: value for name, value in {"continue": cont, **parameters}.items() if value}
