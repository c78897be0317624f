"""The source that followers read: lists and watches of one API server, decoded."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import lru_cache
from typing import Final

import msgspec

from exporter.errors import Malformed
from exporter.kube.client import Client, Request
from exporter.kube.discovery import Discovery
from exporter.kube.rejects import Rejects
from exporter.model.resource import EVENTS, NAMESPACES, Resource
from exporter.model.wire import Codec, Line, Page, codec_for
from exporter.watch.ports import Observer

FIELD_SELECTORS: Final = {EVENTS.name: "reason=PolicyViolation"}
NAMES_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
NAMESPACES_PER_PAGE: Final = 500
NARROWER: Final = 8


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    namespace: str = ""
    resource_version: str = ""


class _Partial(msgspec.Struct):
    metadata: _Metadata


class _Envelope(msgspec.Struct):
    """What can still be read of a line whose object is broken."""

    type: str
    object: _Partial


class _ListMetadata(msgspec.Struct, rename={"cont": "continue"}):
    cont: str = ""


class _Partials(msgspec.Struct):
    metadata: _ListMetadata
    items: list[_Partial]


class KubeSource:
    """Lists, watches and discovers over a client. ``selectors`` are field selectors by resource."""

    def __init__(
        self,
        client: Client,
        observer: Observer,
        selectors: Mapping[str, str] = FIELD_SELECTORS,
    ) -> None:
        self._client = client
        self._discovery = Discovery(client)
        self._rejects = Rejects(observer)
        self._selectors = selectors

    async def resolve(self, resource: Resource) -> Resource | None:
        """Return the resource in the version to ask for, None if it is not served."""
        return await self._discovery.find(resource)

    async def page(self, resource: Resource, namespace: str, *, limit: int, cont: str) -> Page:
        """Read one page of a list, a shorter one where that is too large.

        Raises:
            ApiError: by what is to be done next.
            Malformed: the list itself is broken, or too large with a single object.
        """
        while True:
            query = self._query(resource, limit=str(limit), cont=cont)
            request = Request(resource.path(namespace), query, resource=resource.name, verb="list")
            try:
                return self._decoded(resource, await self._client.get(request))
            except Malformed:
                if limit == 1:
                    raise
                limit = max(limit // NARROWER, 1)

    async def watch(
        self, resource: Resource, namespace: str, since: str, *, initial: bool, seconds: int
    ) -> AsyncGenerator[Iterable[Line], None]:
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
        request = Request(resource.path(namespace), query, resource=resource.name, verb="watch")
        async with aclosing(self._client.lines(request)) as batches:
            async for lines in batches:
                yield self._lines(resource, lines)

    async def namespaces(self) -> Sequence[str]:
        """Name all namespaces."""
        names: list[str] = []
        cont = ""
        while True:
            query = _given(limit=str(NAMESPACES_PER_PAGE), cont=cont)
            request = Request(NAMESPACES.path(), query, NAMES_ONLY, NAMESPACES.name, "list")
            page = _partials(await self._client.get(request))
            names += (each.metadata.name for each in page.items)
            cont = page.metadata.cont
            if not cont:
                return names

    def _query(self, resource: Resource, **parameters: str) -> dict[str, str]:
        return _given(fieldSelector=self._selectors.get(resource.name, ""), **parameters)

    def _decoded(self, resource: Resource, body: bytes) -> Page:
        page = _codec(resource).page(body)
        for rejected in page.rejected:
            self._rejects.note(resource.name, rejected.name, rejected.reason, rejected.message)
        if not page.objects and not page.rejected and b'"items"' not in body:
            # Believed, an answer that is no list would say that everything is gone.
            raise Malformed(f"list of {resource.name}: items is missing")
        return page

    def _lines(self, resource: Resource, lines: Sequence[bytes]) -> Iterator[Line]:
        """Decode lazily, so that a long batch can be worked on in turns."""
        codec = _codec(resource)
        for line in lines:
            try:
                decoded = codec.line(line)
            except Malformed as error:
                decoded = self._rejected(resource, line, error)
            yield decoded

    def _rejected(self, resource: Resource, line: bytes, error: Malformed) -> Line:
        """Note a broken object. Raises the error where the line does not even name one."""
        try:
            envelope = msgspec.json.decode(line, type=_Envelope)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise error from None
        metadata = envelope.object.metadata
        name = f"{metadata.namespace}/{metadata.name}".lstrip("/")
        self._rejects.note(resource.name, name, "malformed", str(error))
        return Line(envelope.type, None, metadata.resource_version, False, None)


def _partials(body: bytes) -> _Partials:
    try:
        return msgspec.json.decode(body, type=_Partials)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"list of {NAMESPACES.name}: {error}") from error


def _given(*, cont: str = "", **parameters: str) -> dict[str, str]:
    """Leave out what is empty."""
    return {name: value for name, value in {"continue": cont, **parameters}.items() if value}


@lru_cache
def _codec(resource: Resource) -> Codec:
    return codec_for(resource)
