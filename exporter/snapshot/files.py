"""Objects out of files: what kubectl prints as JSON or YAML, Lists included, in any mix."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

import msgspec
import yaml

from exporter.errors import ConfigError, Malformed
from exporter.model.changes import Object
from exporter.model.resource import EVENTS, NAMESPACES, POLICY_RESOURCES, REPORT_RESOURCES, Resource
from exporter.wire.codec import Codec, codec_for
from exporter.wire.slices import Uncut, elements, field, identify

_KNOWN: Final = {
    ("" if r.kind == "Event" else r.group, r.kind): r
    for r in (*REPORT_RESOURCES, *POLICY_RESOURCES, NAMESPACES, EVENTS)
}
_CODECS: Final[dict[Resource, Codec]] = {}
"""Of each resource in each version met: an old version spells fields in another way."""


_BROKEN: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


class FileObject(NamedTuple):
    """An object of a file, or what is wrong with it."""

    resource: Resource | None
    object: Object | None
    complaint: str = ""


class _Item(msgspec.Struct, rename={"api_version": "apiVersion"}):
    api_version: str = ""
    kind: str = ""
    items: list[msgspec.Raw] | None = None


_item = msgspec.json.Decoder(_Item).decode


def read_files(names: Sequence[str]) -> Iterator[FileObject]:
    """Read every object of every file; ``-`` is standard input.

    Objects of other kinds are passed over; a broken one is a complaint and nothing else is lost.

    Raises:
        ConfigError: a file cannot be read, is empty, or is neither JSON nor YAML.
    """
    for name in names:
        empty = True
        for document in _documents(name, _bytes_of(name)):
            yield from _objects(name, document)
            empty = False
        if empty:
            # What a kubectl that failed left in the pipe is not a cluster without failures.
            raise ConfigError(f"{name}: empty, expected what kubectl get -o json or yaml prints")


def _bytes_of(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from error


def _documents(name: str, body: bytes) -> Iterator[bytes]:
    if body.lstrip()[:1] in (b"{", b"["):
        yield body
        return
    try:
        for document in yaml.load_all(body, Loader=_Loader):
            if document is not None:
                yield msgspec.json.encode(document)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{name}{line}: neither JSON nor YAML") from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C or not
    """Leaves timestamps as the text that they are in JSON."""

    yaml_implicit_resolvers: ClassVar = {
        first: [
            (tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _objects(name: str, body: bytes) -> Iterator[FileObject]:
    item, items = _read(name, body)
    if items is None:
        yield _one(name, body, item)
        return
    for inner in items:
        try:
            kind = _item(inner)
        except _BROKEN as error:
            yield FileObject(None, None, f"{name}: {identify(inner)}: {error}")
            continue
        yield _one(name, inner, kind if kind.kind else _kind_of_list(item))


def _read(name: str, body: bytes) -> tuple[_Item, Iterable[bytes] | None]:
    """Read a document's kind and its items, those included that no decoder takes."""
    try:
        item = _item(body)
    except _BROKEN as error:
        try:
            items = list(elements(field(body, "items") or b""))
            said = (field(body, each) or b'""' for each in ("apiVersion", "kind"))
            return _item(b'{"apiVersion":%b,"kind":%b}' % tuple(said)), items
        except (Uncut, *_BROKEN):
            raise ConfigError(f"{name}: not JSON as kubectl prints it: {error}") from error
    return item, None if item.items is None else map(bytes, item.items)


def _kind_of_list(item: _Item) -> _Item:
    """Say what the items of a typed list are: raw lists leave their kind out."""
    return _Item(item.api_version, item.kind.removesuffix("List"))


def _one(name: str, body: bytes, item: _Item) -> FileObject:
    group, _, version = item.api_version.rpartition("/")
    resource = _KNOWN.get(("" if item.kind == "Event" else group, item.kind))
    if resource is None:
        return FileObject(None, None)
    try:
        return FileObject(resource, _codec(resource._replace(version=version)).one(body))
    except Malformed as error:
        return FileObject(resource, None, f"{name}: {error}")


def _codec(resource: Resource) -> Codec:
    if resource not in _CODECS:
        _CODECS[resource] = codec_for(resource)
    return _CODECS[resource]
