"""Label and field selectors: which objects a list or a watch is about."""

import re
from collections.abc import Callable
from typing import Any

from exporter.model.resource import EVENTS
from exporter.simulator.registry import CORE_EVENTS, Served
from exporter.simulator.status import Refusal

Object = dict[str, Any]
Matches = Callable[[Object], bool]

_REGARDING = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
# Every label is looked up in the object as it is stored, that is in events.k8s.io/v1.
_METADATA = {
    name: f"metadata.{name.split('.')[1]}" for name in ("metadata.name", "metadata.namespace")
}
_SHARED = {"reason": "reason", "type": "type", **_METADATA}
FIELDS: dict[tuple[str, str], dict[str, str]] = {
    (EVENTS.group, EVENTS.plural): {
        **_SHARED,
        "reportingController": "reportingController",
        **{f"regarding.{name}": f"regarding.{name}" for name in _REGARDING},
    },
    (CORE_EVENTS.group, CORE_EVENTS.plural): {
        **_SHARED,
        "reportingComponent": "reportingController",
        "source": "deprecatedSource.component",
        **{f"involvedObject.{name}": f"regarding.{name}" for name in _REGARDING},
    },
    ("", "namespaces"): {**_METADATA, "status.phase": "status.phase", "name": "metadata.name"},
    ("", "pods"): {**_METADATA, "status.phase": "status.phase", "spec.nodeName": "spec.nodeName"},
}

_SET = re.compile(r"^\s*(?P<key>[^\s,!=()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*(?P<key>[^\s,!=()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s,()]*)\s*$")
_EXISTS = re.compile(r"^\s*(?P<not>!?)\s*(?P<key>[^\s,!=()]+)\s*$")


def parse(labels: str, fields: str, served: Served) -> Matches:
    """One predicate for both selectors. Raises Refusal 400 as the real server does."""
    terms = [_label_term(term) for term in re.split(r",(?![^(]*\))", labels) if term.strip()]
    terms += [_field_term(term, served) for term in fields.split(",") if term]
    return lambda data: all(term(data) for term in terms)


def field(data: Object, path: str) -> str:
    """Return the value at a dotted path as text, empty where there is none."""
    value: object = data
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def _label_term(term: str) -> Matches:
    if found := _SET.match(term):
        values = {value.strip() for value in found["values"].split(",")}
        return _label(found["key"], values, negative=found["op"] == "notin")
    if found := _EQUAL.match(term):
        return _label(found["key"], {found["value"]}, negative=found["op"] == "!=")
    if found := _EXISTS.match(term):
        key, absent = found["key"], bool(found["not"])
        return lambda data: (key in _labels(data)) is not absent
    raise Refusal(400, f"unable to parse requirement: found '{term}'")


def _label(key: str, values: set[str], *, negative: bool) -> Matches:
    # A missing label satisfies != and notin, never = and in.
    return lambda data: (_labels(data).get(key) in values) is not negative


def _labels(data: Object) -> dict[str, str]:
    labels: dict[str, str] = data["metadata"].get("labels") or {}
    return labels


def _field_term(term: str, served: Served) -> Matches:
    label, operator, wanted = (part.strip() for part in re.split(r"(==|!=|=)", term, maxsplit=1))
    resource = served.resource
    paths = FIELDS.get((resource.group, resource.plural), _METADATA)
    if label not in paths:
        raise Refusal(400, f"field label not supported: {label}")
    path, negative = paths[label], operator == "!="
    return lambda data: (_value(data, path) == wanted) is not negative


def _value(data: Object, path: str) -> str:
    value = field(data, path)
    if not value and path == "deprecatedSource.component":
        return field(data, "reportingController")
    return value
