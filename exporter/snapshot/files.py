"""Objects of files: streams of JSON or YAML documents, and Lists, of any size in JSON."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from exporter.errors import ConfigError, Malformed
from exporter.model.changes import Object
from exporter.model.resource import (
    REPORT_RESOURCES,
    Resource,
    resembles_report,
    resource_of,
)
from exporter.wire.codec import BROKEN, Codec, codec_for
from exporter.wire.report_limits import UNLIMITED
from exporter.wire.result_cache import WireReport
from exporter.wire.slices import (
    StreamWindow,
    Uncut,
    cut,
    elements,
    field,
    identify,
)
from exporter.yamlfile import documents

_DEEPEST: Final = 8  # lists in lists
_SHOWN: Final = 40  # characters of what is not JSON, quoted by an error
_EXPECTED: Final = "not JSON as kubectl prints it"
_SEPARATORS: Final = re.compile(rb"(?:\s|---(?=\s))*+")
_LEFT_OUT: Final = re.compile(
    rb"(?ms)^(?:(?:Mutation has been applied|Generation completed) successfully\.)?-{70}\n"
    rb"((?:Policies Skipped|Invalid Policies|failed to load|resource ).*?)^-{70}$"
)
"""What ``kyverno apply`` prints of what it did not evaluate."""
_PRINTED: Final = re.compile(
    rb"(?m)\A[^{\[]{0,65536}?^POLICY REPORT:\s*^-+\s*$"
    rb"|^(?:-{70}|Applying \d+ policy rule.*|policy \S+ applied to .*:|patched targets:"
    rb"|Mutation:|Generate:|exit as (?:warnExitCode is \d+|no objects.*))[ \r]*$"
    rb"|^(?:Mutation has been applied|Generation completed) successfully\."
)
"""What else ``kyverno apply --policy-report`` prints around reports; no newline ends the last."""


class FileObject(NamedTuple):
    """An object of a file: ``resource`` and ``object``; neither for one of another kind.

    Or a ``complaint``, with ``is_unevaluated`` where ``kyverno apply`` left something out.
    """

    resource: Resource | None
    object: Object | None
    complaint: str = ""
    is_unevaluated: bool = False


class _Item(msgspec.Struct, rename={"api_version": "apiVersion"}):
    api_version: str = ""
    kind: str = ""
    items: list[msgspec.Raw] | None = None


class _FileReport(WireReport, gc=False, rename={"api_version": "apiVersion"}):
    """What may be a report, with the fields that show whether it is one."""

    api_version: str = ""
    kind: str = ""
    items: msgspec.Raw | None = None


_decode_item = msgspec.json.Decoder(_Item).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_reports = msgspec.json.Decoder(list[_FileReport]).decode


def read_files(
    names: Sequence[str], progress: Callable[[int], None] = lambda _: None
) -> Iterator[FileObject]:
    """Read every object of every file; ``-`` is standard input.

    Objects of other kinds are passed over; a broken one is a complaint and nothing else is lost.
    *progress* takes how many bytes were read in addition.

    Raises:
        ConfigError: a file cannot be read, is empty, or is neither JSON nor YAML.
    """
    seen: Counter[tuple[Resource, str, str]] = Counter()
    for name in names:
        empty = True
        try:
            with _opened(name) as stream:
                for one in _read_file(name, StreamWindow(stream, progress)):
                    empty = False
                    if one is not None:
                        yield _distinct(one, seen)
        except OSError as error:
            raise ConfigError(f"{name}: cannot be read: {error.strerror}") from error
        if empty:
            # What a kubectl that failed left in the pipe is not a cluster without failures.
            raise ConfigError(
                f"{name}: empty, expected what kubectl get -o json or yaml prints, or kyverno "
                "apply --policy-report, which prints nothing if no policy matches a resource"
            )


def _distinct(one: FileObject, seen: Counter[tuple[Resource, str, str]]) -> FileObject:
    """Rename a report that no API server named if its name was there before.

    ``kyverno apply`` names reports ``merged``, or as a policy: those of two runs, or of two kinds
    of policy, are two. Objects of an API server have a resourceVersion.
    """
    resource, item = one.resource, one.object
    if resource in REPORT_RESOURCES and item is not None and not item.version:
        key = (resource, item.namespace, item.name)
        seen[key] += 1
        if seen[key] > 1:
            item.metadata = replace(item.metadata, name=f"{item.name} ({seen[key]})")
    return one


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as stream:
        yield stream


def _read_file(name: str, window: StreamWindow) -> Iterator[FileObject | None]:
    """Read the objects of a file; None is a document without any."""
    window.grow()
    window.body = window.body.removeprefix(b"\xef\xbb\xbf")
    if window.body.lstrip()[:1] in (b"{", b"["):
        yield from _read_json_documents(name, window)
        return
    body = window.whole()
    for found in _LEFT_OUT.finditer(body):
        place = _place(name, body.count(b"\n", 0, found.start(1)))
        text = " ".join(found[1].decode(errors="replace").split())
        yield FileObject(None, None, f"{place}: kyverno apply: {text}", is_unevaluated=True)
    for pattern in (_LEFT_OUT, _PRINTED):
        body = pattern.sub(lambda each: b"\n" * each[0].count(b"\n"), body)
    for line, document in documents(name, body):
        yield None
        yield from _read_document(_place(name, line), document)


def _read_json_documents(name: str, window: StreamWindow) -> Iterator[FileObject | None]:
    """Read JSON documents: by line or not, with ``---`` between them or not."""
    while first := window.skip(_SEPARATORS):
        place = _place(name, window.lines())
        if first not in (b"{", b"["):
            if printed := _PRINTED.match(window.body, window.at):  # a line behind the last report
                window.at = printed.end()
                continue
            found = window.body[window.at : window.at + _SHOWN]
            shown = found.split(b"\n")[0].decode(errors="replace")
            raise ConfigError(f"{place}: expected a JSON object or list, found {shown!r}")
        yield None
        while True:
            try:
                end = cut(window.body, window.at)
            except Uncut:
                items = window.long_list()
                if items:
                    yield from _read_long_list(place, window, items)
                    break
                if window.grow():
                    continue
                end = len(window.body)  # what is wrong is found when it is decoded
            body, window.at = window.body[window.at : end], end
            yield from _read_document(place, body)
            break


def _read_long_list(place: str, window: StreamWindow, items: int) -> Iterator[FileObject]:
    """Read a list item by item; its kind may come after them."""
    is_array = items == window.at + 1
    head = _Item() if is_array else _kind_of(window.body[window.at : items - 1] + b"null}")
    kind = _Item(head.api_version, head.kind.removesuffix("List"))
    nameless: list[bytes] = []
    window.at = items
    try:
        for item in window.items(partial(_decode_items, kind)):
            if isinstance(item, FileObject):
                yield item
                continue
            if is_array and item[:1] not in (b"{", b"["):
                raise ConfigError(f"{place}: {_EXPECTED}: an item of the list is not an object")
            yield from _read_document(place, item, kind, 1, nameless)
    except Uncut as error:
        raise ConfigError(f"{place}: {_EXPECTED}: the list is not closed") from error
    if is_array:
        return
    window.put_back(b'{"items":null')
    rest = window.value(cut)
    if rest is None:
        raise ConfigError(f"{place}: {_EXPECTED}: the list is not closed")
    tail = _kind_of(rest)
    kind = _Item(head.api_version or tail.api_version, tail.kind.removesuffix("List"))
    for item in nameless:
        yield from _read_document(place, item, kind, 1)


def _decode_items(kind_of_list: _Item, array: bytes) -> Sequence[FileObject | bytes]:
    """Decode items of a list at once if all are reports; else cut them.

    Raises:
        msgspec.MsgspecError: it is no array that can be decoded.
    """
    try:
        found = []
        for each in _reports(array):
            item = each if each.kind else kind_of_list
            resource = resource_of(item.api_version, item.kind)
            if resource not in REPORT_RESOURCES or each.items is not None:
                break
            found.append(FileObject(resource, _codec(resource, item.api_version).finish(each)))
        else:
            return found
    except BROKEN:
        pass  # an item is broken, or this is no array: cutting it shows which
    return list(map(bytes, _raws(array)))


def _kind_of(body: bytes) -> _Item:
    try:
        return _decode_item(body)
    except BROKEN:
        return _Item()


def _place(name: str, line: int) -> str:
    return f"{name}:{line + 1}" if line else name


def _read_document(
    place: str,
    body: bytes,
    kind_of_list: _Item | None = None,
    depth: int = 0,
    nameless: list[bytes] | None = None,
) -> Iterator[FileObject]:
    """Read the objects of a document, those of lists in lists included.

    An object without a kind goes to *nameless* if that of its list is not known yet.
    """
    if depth > _DEEPEST:
        raise ConfigError(f"{place}: lists are nested more than {_DEEPEST} levels deep")
    try:
        item, items = _split_document(body)
    except BROKEN as error:
        if not depth:
            raise ConfigError(f"{place}: {_EXPECTED}: {_why(error)}") from error
        yield FileObject(None, None, f"{place}: {identify(body)}: {_why(error)}")
        return
    if items is None:
        item = item if item.kind else kind_of_list or item
        if item.kind or nameless is None:
            yield _decode_object(place, body, item)
        else:
            nameless.append(body)
        return
    # Raw typed lists leave out the kind of their items.
    kind = _Item(item.api_version, item.kind.removesuffix("List"))
    for inner in items:
        yield from _read_document(place, inner, kind, depth + 1)


def _why(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError) and " - at " not in str(error):
        return "expected an object with a kind, or a list of objects"
    return str(error)


def _split_document(body: bytes) -> tuple[_Item, Iterable[bytes] | None]:
    """Read a document's kind and its items, those included that no decoder takes."""
    if body[:1] == b"[":
        try:
            items = [each for each in elements(body) if each is not None]
        except Uncut as error:
            raise msgspec.DecodeError("the list is not closed") from error
        if not all(inner.startswith((b"{", b"[")) for inner in items):
            raise msgspec.ValidationError("an item of the list is not an object")
        return _Item(), items
    try:
        item = _decode_item(body)
    except BROKEN as error:
        try:
            found = elements(field(body, "items") or b"")
            items = [each for each in found if each is not None]
            names = (field(body, each) or b'""' for each in ("apiVersion", "kind"))
            return _decode_item(b'{"apiVersion":%b,"kind":%b}' % tuple(names)), items
        except (Uncut, *BROKEN):
            raise error from None
    return item, None if item.items is None else map(bytes, item.items)


def _decode_object(name: str, body: bytes, item: _Item) -> FileObject:
    resource = resource_of(item.api_version, item.kind)
    if resource is None:
        if resembles_report(item.api_version, item.kind):
            found = f"found apiVersion {item.api_version!r} and kind {item.kind!r}"
            text = f"{name}: {identify(body)}: expected a kind of report, {found}"
            return FileObject(None, None, text)
        return FileObject(None, None)
    try:
        return FileObject(resource, _codec(resource, item.api_version).one(body))
    except Malformed as error:
        return FileObject(resource, None, f"{name}: {error}")


@lru_cache(maxsize=64)
def _codec(resource: Resource, api_version: str) -> Codec:
    """Give the codec of a resource in a version: an old one spells fields in another way."""
    # Who runs the command chose the files: nothing is cut.
    version = api_version.rpartition("/")[2]
    return codec_for(resource._replace(version=version), UNLIMITED)
