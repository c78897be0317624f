"""How pages and watch lines become objects: typed at once, one by one when one is bad."""

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from exporter.errors import Malformed, explain
from exporter.model import resource as known
from exporter.model.changes import Object
from exporter.model.event import Event
from exporter.model.metadata import Namespace, OwnedObject
from exporter.model.policy import Policy
from exporter.model.report import Result
from exporter.model.resource import Resource
from exporter.wire.report_limits import DEFAULT_LIMITS, ReportLimits
from exporter.wire.result_cache import OldResult, ResultCache, WireReport, drained, finished
from exporter.wire.slices import Uncut, elements, field, identify

T = TypeVar("T", WireReport, Event, Policy, Namespace, OwnedObject)

INITIAL_END: Final = "k8s.io/initial-events-end"
BROKEN: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""All that msgspec raises at bytes that are not as expected."""

AT_ONCE_BYTES: Final = 4 * 2**20
"""Of a page that is decoded in one turn of the event loop, but for results: at most 10 ms."""

TURN_BYTES: Final = 2**18
"""Of the items of a longer page that are decoded in one turn: 1 to 5 ms."""

_OBJECT_LINES: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})


class Rejected(NamedTuple):
    """An object that was skipped; *message* names the field and what was expected."""

    name: str
    reason: str
    message: str


class WatchError(NamedTuple):
    """A Status that is an error; ``retry_after`` in seconds, 0 when it has none."""

    code: int
    reason: str
    message: str
    retry_after: float


class ListPage(NamedTuple):
    """One page of a list. ``cont`` is the continue token, empty on the last page."""

    objects: Sequence[Object]
    rejected: Sequence[Rejected]
    cont: str
    version: str


PageTurns = Generator[None, None, ListPage]
"""Decodes a page; yields wherever others can work."""

ObjectTurns = Generator[None, None, Object]
"""Decodes an object; yields wherever others can work."""


class WatchLine(msgspec.Struct, frozen=True, gc=False):
    """One line of a watch. A BOOKMARK has a version and no object, an ERROR has a status."""

    type: str
    object: Object | None
    version: str
    initial_end: bool
    status: WatchError | None


class ListMetadata(
    msgspec.Struct, frozen=True, gc=False, rename={"cont": "continue", "version": "resourceVersion"}
):
    """A list's metadata; ``cont`` is the continue token."""

    cont: str = ""
    version: str = ""


class _TypedPage(msgspec.Struct, Generic[T], gc=False):
    metadata: ListMetadata
    items: list[T] | None = None


class _RawPage(msgspec.Struct, gc=False):
    metadata: ListMetadata
    items: list[msgspec.Raw] | None = None


class _TypedLine(msgspec.Struct, Generic[T], gc=False):
    type: str
    object: T


class _RawLine(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class _BookmarkMetadata(msgspec.Struct, gc=False, rename={"version": "resourceVersion"}):
    version: str = ""
    annotations: dict[str, str] | None = None


class _Bookmark(msgspec.Struct, gc=False):
    metadata: _BookmarkMetadata


class _Details(msgspec.Struct, gc=False, rename="camel"):
    retry_after_seconds: float = 0


class _WireStatus(msgspec.Struct, gc=False):
    code: int = 0
    reason: str = ""
    message: str = ""
    details: _Details | None = None


_list_metadata = msgspec.json.Decoder(ListMetadata).decode
_raw_page = msgspec.json.Decoder(_RawPage).decode
_raw_line = msgspec.json.Decoder(_RawLine).decode
_bookmark = msgspec.json.Decoder(_Bookmark).decode
_status = msgspec.json.Decoder(_WireStatus).decode


class Codec:
    """Decodes one resource's objects from the JSON that API servers send.

    *finish* makes an object of what msgspec decodes, *in_turns* one of which long parts are to be
    decoded; both may raise MsgspecError.
    """

    def __init__(
        self,
        resource: Resource,
        model: type[T],
        finish: Callable[[T], Object],
        in_turns: Callable[[T], ObjectTurns] | None = None,
    ) -> None:
        self._resource = resource
        self.finish: Callable[..., Object] = finish
        self._finish_in_turns: Callable[..., ObjectTurns] = in_turns or _turns_of(finish)
        self._one: Callable[[bytes], object] = msgspec.json.Decoder(model).decode
        self._page = msgspec.json.Decoder(_TypedPage[model]).decode  # type: ignore[valid-type]  # a value, to msgspec
        self._line = msgspec.json.Decoder(_TypedLine[model]).decode  # type: ignore[valid-type]  # a value, to msgspec

    def page(self, body: bytes) -> ListPage:
        """Decode a page without pauses; see ``page_in_turns``."""
        return drained(self.page_in_turns(body))

    def page_in_turns(self, body: bytes) -> PageTurns:
        """Decode a page at once; item by item when it is long or something in it is broken.

        Yields wherever others can work; returns the page.

        Raises:
            Malformed: the list itself is not a list.
        """
        if len(body) > AT_ONCE_BYTES:
            return (yield from self._piecewise(body))
        try:
            page = self._page(body)
            objects = yield from finished(page.items or (), self.finish, self._finish_in_turns)
        except BROKEN:
            return (yield from self._piecewise(body))
        return ListPage(objects, [], page.metadata.cont, page.metadata.version)

    def line(self, body: bytes) -> WatchLine:
        """Decode a watch line without pauses; object lines, nearly all of them, in one pass.

        Raises:
            Malformed: the line, or the object in it; the message names the field.
        """
        try:
            line = self._line(body)
            if line.type not in _OBJECT_LINES:
                return self._control(body, None)
            found = self.finish(line.object)
        except BROKEN as error:
            return self._control(body, error)
        return WatchLine(line.type, found, found.metadata.resource_version, False, None)

    def line_in_turns(self, body: bytes) -> Generator[None, None, WatchLine]:
        """Decode a long watch line as ``line`` does; yields wherever others can work."""
        try:
            line = self._line(body)
            if line.type not in _OBJECT_LINES:
                return self._control(body, None)
            yield
            found = yield from self._finish_in_turns(line.object)
            yield
        except BROKEN as error:
            return self._control(body, error)
        return WatchLine(line.type, found, found.metadata.resource_version, False, None)

    def one(self, body: bytes) -> Object:
        """Decode a single object; Malformed names it and the field."""
        return drained(self._one_in_turns(body))

    def _one_in_turns(self, body: bytes) -> ObjectTurns:
        try:
            return (yield from self._finish_in_turns(self._one(body)))
        except BROKEN as error:
            raise Malformed(self._explain(body, error)) from error

    def _explain(self, body: bytes, error: Exception) -> str:
        return explain(f"{self._resource.kind} {identify(body)}", error)

    def _explain_line(self, body: bytes, complaint: str) -> str:
        what = f"{self._resource.kind} {identify(body, 'object')}"
        return explain(what, ValueError(complaint))

    def _piecewise(self, body: bytes) -> PageTurns:
        """Decode item by item, whatever is in them."""
        yield
        objects: list[Object] = []
        rejected: list[Rejected] = []
        taken, page = 0, (yield from self._cut(body))
        yield
        for item in map(bytes, page.items or ()):
            try:
                objects.append((yield from self._one_in_turns(item)))
            except Malformed as error:
                rejected.append(Rejected(identify(item), "malformed", str(error)))
            taken += len(item)
            if taken > TURN_BYTES:
                taken = 0
                yield
        return ListPage(objects, rejected, page.metadata.cont, page.metadata.version)

    def _cut(self, body: bytes) -> Generator[None, None, _RawPage]:
        """Split a page: by the decoder, else by brackets where it has what no decoder takes."""
        try:
            return _raw_page(body)
        except BROKEN as error:
            why = error
        yield
        try:
            items = []
            for item in elements(field(body, "items") or b"[]"):
                if item is None:
                    yield
                else:
                    items.append(msgspec.Raw(item))
            return _RawPage(_list_metadata(field(body, "metadata") or b""), items)
        except (Uncut, *BROKEN):
            raise Malformed(explain(f"list of {self._resource.name}", why)) from why

    def _control(self, body: bytes, why: Exception | None) -> WatchLine:
        """Decode a line without an object; *why* is what is wrong with it as one that has one.

        An object that msgspec could not read at once would not be read a second time, either.
        """
        if isinstance(why, RecursionError):
            raise Malformed(self._explain_line(body, "nested too deeply")) from why
        try:
            line = _raw_line(body)
            match line.type:
                case "BOOKMARK":
                    return _bookmark_line(line.object)
                case "ERROR":
                    return WatchLine("ERROR", None, "", False, status_of(line.object))
                case "ADDED" | "MODIFIED" | "DELETED" if why is not None:
                    raise Malformed(self._explain_line(body, str(why).replace("`$.object", "`$")))
            raise Malformed(f"{self._resource.name}: watch line of unknown type {line.type[:32]!r}")
        except BROKEN as error:
            raise Malformed(explain(f"watch line of {self._resource.name}", error)) from error


def _bookmark_line(raw: msgspec.Raw) -> WatchLine:
    metadata = _bookmark(raw).metadata
    ended = (metadata.annotations or {}).get(INITIAL_END) == "true"
    return WatchLine("BOOKMARK", None, metadata.version, ended, None)


def status_of(raw: msgspec.Raw | bytes) -> WatchError:
    """Decode a Status: in an ERROR line, or as the answer to a request that failed.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    status = _status(raw)
    details = status.details or _Details()
    return WatchError(status.code, status.reason, status.message, details.retry_after_seconds)


def codec_for(resource: Resource, limits: ReportLimits = DEFAULT_LIMITS) -> Codec:
    """Choose the codec of a resource; *limits* are those of each report."""
    if (resource.group, resource.plural) in {(r.group, r.plural) for r in known.REPORT_RESOURCES}:
        is_old = (resource.group, resource.version) == (known.POLICY_REPORTS.group, "v1alpha1")
        cache = ResultCache(OldResult if is_old else Result, limits)
        return Codec(resource, WireReport, cache.report, cache.report_in_turns)
    if resource.plural == known.EVENTS.plural:
        return Codec(resource, Event, _as_decoded)
    if resource == known.NAMESPACES:
        return Codec(resource, Namespace, _as_decoded)
    if resource in known.OWNED_RESOURCES:
        return Codec(resource, OwnedObject, _as_decoded)
    return Codec(resource, Policy, partial(_of_kind, resource.kind))


def _turns_of(finish: Callable[[T], Object]) -> Callable[[T], ObjectTurns]:
    """Make an object in one turn."""

    def turns(decoded: T) -> ObjectTurns:
        yield from ()
        return finish(decoded)

    return turns


def _as_decoded(decoded: T) -> T:
    return decoded


def _of_kind(kind: str, policy: Policy) -> Policy:
    """Name the kind: the items of a list need not carry it."""
    policy.kind = kind
    return policy
