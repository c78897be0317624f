"""Objects out of files: streams of JSON or YAML documents, Lists included, whole or not at all."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

import msgspec
import yaml

from exporter.errors import ConfigError, Malformed
from exporter.model.changes import Object
from exporter.model.resource import EVENTS, NAMESPACES, POLICY_RESOURCES, REPORT_RESOURCES, Resource
from exporter.wire.codec import BROKEN, Codec, codec_for
from exporter.wire.slices import Uncut, cut, elements, field, identify

_KNOWN: Final = {
    ("" if r.kind == "Event" else r.group, r.kind): r
    for r in (*REPORT_RESOURCES, *POLICY_RESOURCES, NAMESPACES, EVENTS)
}
_CODECS: Final[dict[Resource, Codec]] = {}
"""Of each resource in each version met: an old version spells fields in another way."""


_DEEPEST: Final = 8
"""Lists in lists."""
_SHOWN: Final = 40
"""Characters of what is not JSON that an error quotes."""
_EXPECTED: Final = "not JSON as kubectl prints it"
_SEPARATORS: Final = re.compile(rb"(?:\s|---(?=\s))*+")
_HEADING: Final = re.compile(rb"\A[^{\[]{0,65536}?^POLICY REPORT:\s*^-+\s*$", re.MULTILINE)
"""What ``kyverno apply --policy-report`` prints before the report."""


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
        for place, document in _documents(name, _bytes_of(name)):
            yield from _objects(place, document)
            empty = False
        if empty:
            # What a kubectl that failed left in the pipe is not a cluster without failures.
            raise ConfigError(f"{name}: empty, expected what kubectl get -o json or yaml prints")


def _bytes_of(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from error


def _documents(name: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Cut a stream into documents, each with its place (file and line) and as JSON."""
    body = _HEADING.sub(b"", body.removeprefix(b"\xef\xbb\xbf"), count=1)
    if body.lstrip()[:1] in (b"{", b"["):
        yield from _json_documents(name, body)
        return
    loader = _Loader(body)
    try:
        while loader.check_node():
            for node in _parted(loader.get_node()):
                document = loader.construct_document(node)
                if document is not None:
                    yield _place(name, node.start_mark.line), msgspec.json.encode(document)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        twice = f": {error.problem}" if isinstance(error, _RepeatedKey) else ""
        raise ConfigError(f"{name}{line}: neither JSON nor YAML{twice}") from error
    finally:
        loader.dispose()


def _json_documents(name: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Cut JSON documents apart: by line or not, with ``---`` between them or not."""
    at, line = _SEPARATORS.match(body).end(), 0  # type: ignore[union-attr]  # matches anything
    line = body.count(b"\n", 0, at)
    while at < len(body):
        place = _place(name, line)
        if body[at : at + 1] not in (b"{", b"["):
            found = body[at : at + _SHOWN].split(b"\n")[0].decode(errors="replace")
            raise ConfigError(f"{place}: expected a JSON object or list, found {found!r}")
        try:
            end = cut(body, at)
        except Uncut:
            end = len(body)  # what is wrong is found when it is decoded
        yield place, body[at:end]
        after = _SEPARATORS.match(body, end).end()  # type: ignore[union-attr]  # matches anything
        line += body.count(b"\n", at, after)
        at = after


def _place(name: str, line: int) -> str:
    return f"{name}:{line + 1}" if line else name


def _parted(node: yaml.Node) -> Iterator[yaml.Node]:
    """Part what stands in one document because ``---`` was left out: at each apiVersion or kind."""
    if not isinstance(node, yaml.MappingNode):
        yield node
        return
    keys: set[object] = set()
    begin = 0
    for at, (key, _) in enumerate(node.value):
        if key.value in ("apiVersion", "kind") and key.value in keys:
            yield _part_of(node, begin, at)
            keys, begin = set(), at
        if key.value.__hash__:
            keys.add(key.value)
    yield _part_of(node, begin, len(node.value))


def _part_of(node: yaml.MappingNode, begin: int, end: int) -> yaml.Node:
    if end - begin == len(node.value):
        return node
    pairs = node.value[begin:end]
    return yaml.MappingNode(node.tag, pairs, pairs[0][0].start_mark, pairs[-1][1].end_mark)


class _RepeatedKey(yaml.constructor.ConstructorError):
    """A key is in one mapping twice, so that one of the values would be lost."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C or not
    """Leaves timestamps as the text that they are in JSON, and refuses repeated keys."""

    yaml_implicit_resolvers: ClassVar = {
        first: [
            (tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Look for repeated keys before merged ones are put in."""
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in keys:
                    problem = f"the key {key.value} is there twice"
                    raise _RepeatedKey(None, None, problem, key.start_mark)
                keys.add(key.value)
        super().flatten_mapping(node)


def _objects(
    place: str, body: bytes, kind_of_list: _Item | None = None, depth: int = 0
) -> Iterator[FileObject]:
    """Read the objects of a document, those of lists in lists included."""
    if depth > _DEEPEST:
        raise ConfigError(f"{place}: lists in lists more than {_DEEPEST} deep")
    try:
        item, items = _read(body)
    except BROKEN as error:
        if not depth:
            raise ConfigError(f"{place}: {_EXPECTED}: {_why(error)}") from error
        yield FileObject(None, None, f"{place}: {identify(body)}: {_why(error)}")
        return
    if items is None:
        yield _one(place, body, item if item.kind else kind_of_list or item)
        return
    # Raw typed lists leave out the kind of their items.
    kind = _Item(item.api_version, item.kind.removesuffix("List"))
    for inner in items:
        yield from _objects(place, inner, kind, depth + 1)


def _why(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError) and " - at " not in str(error):
        return "expected an object with a kind, or a list of objects"
    return str(error)


def _read(body: bytes) -> tuple[_Item, Iterable[bytes] | None]:
    """Read a document's kind and its items, those included that no decoder takes."""
    if body[:1] == b"[":
        try:
            items = [each for each in elements(body) if each is not None]
        except Uncut as error:
            raise msgspec.DecodeError("the list is not closed") from error
        if not all(inner.startswith((b"{", b"[")) for inner in items):
            raise msgspec.ValidationError("an item of the list is no object")
        return _Item(), items
    try:
        item = _item(body)
    except BROKEN as error:
        try:
            found = elements(field(body, "items") or b"")
            items = [each for each in found if each is not None]
            said = (field(body, each) or b'""' for each in ("apiVersion", "kind"))
            return _item(b'{"apiVersion":%b,"kind":%b}' % tuple(said)), items
        except (Uncut, *BROKEN):
            raise error from None
    return item, None if item.items is None else map(bytes, item.items)


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
