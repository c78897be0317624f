"""The same stored object as each served version shows it."""

from typing import Any

from exporter.simulator.registry import CORE_EVENTS, Served
from exporter.simulator.store import StoredObject, encode

Object = dict[str, Any]

# events.k8s.io/v1 name -> core/v1 name
_EVENT_FIELDS = {
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_STORED_NAMES = {core: name for name, core in _EVENT_FIELDS.items()}
_EVENT_DEFAULTS: Object = {
    "deprecatedSource": {},
    "deprecatedFirstTimestamp": None,
    "deprecatedLastTimestamp": None,
    "eventTime": None,
}


def data_as(stored: StoredObject, served: Served) -> Object:
    """Return the object in the served version."""
    if served.resource == CORE_EVENTS:
        renamed = {_EVENT_FIELDS.get(key, key): value for key, value in stored.data.items()}
        return renamed | {"apiVersion": "v1"}
    return stored.data | {"apiVersion": served.group_version}


def raw_as(stored: StoredObject, served: Served, *, in_list: bool = False) -> bytes:
    """Return the object's JSON in the served version.

    Items of a list of a built-in type carry no apiVersion and kind, on real servers too.
    Both lead the stored JSON, so that leaving them out, or renaming a version, costs no decoding.
    """
    head = _head(served.group_version, served.resource.kind)
    if served.resource == CORE_EVENTS:
        rest = encode(data_as(stored, served))[len(head) :]
    else:
        rest = stored.raw[len(_head(stored.data["apiVersion"], stored.data["kind"])) :]
    return (b"{" if in_list and served.builtin else head) + rest


def to_stored(data: Object, served: Served) -> Object:
    """Return what a client wrote, in the version that is kept."""
    if served.storage != "events.events.k8s.io":
        return data
    renamed = {_STORED_NAMES.get(key, key): value for key, value in data.items()}
    return {**renamed, "apiVersion": "events.k8s.io/v1"} | {
        key: value for key, value in _EVENT_DEFAULTS.items() if key not in renamed
    }


def partial(data: Object) -> Object:
    """PartialObjectMetadata: the metadata of an object alone."""
    meta = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {**meta, "metadata": data["metadata"]}


def _head(api_version: str, kind: str) -> bytes:
    return f'{{"apiVersion":"{api_version}","kind":"{kind}",'.encode()
