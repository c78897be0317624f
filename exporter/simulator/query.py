"""What a request asks for: its path, its query and the form of the answer."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from exporter.model.resource import EVENTS
from exporter.simulator.registry import CORE_EVENTS, Served
from exporter.simulator.status import Refusal, invalid_options

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


EXACT, NOT_OLDER = "Exact", "NotOlderThan"


class Address(NamedTuple):
    """A path under /api or /apis, taken apart."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""


class Token(msgspec.Struct, frozen=True):
    """A continue token: the list's version, the last key seen, the next page's number.

    Version -1 is the latest: the rest of a list whose own version is gone.
    """

    version: int
    last: str
    page: int

    def encoded(self) -> str:
        """Return the opaque text that clients hand back."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @classmethod
    def decoded(cls, text: str) -> "Token":
        """Read the token in a query. Raises Refusal 400."""
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return msgspec.json.decode(raw, type=cls)
        except (binascii.Error, msgspec.DecodeError) as error:
            message = f"invalid continue token: continue key is not valid: {error}"
            raise Refusal(400, message) from error


class ListOptions(NamedTuple):
    """The parameters of a list or watch request: metav1.ListOptions; ``timeout`` is in seconds."""

    labels: str = ""
    fields: str = ""
    watch: bool = False
    limit: int = 0
    token: Token | None = None
    version: str = ""
    match: str = ""
    timeout: float = 0
    bookmarks: bool = False
    initial_events: bool = False


class Form(NamedTuple):
    """What the Accept header asks for: ``Table``, ``Partial`` or plain objects (empty)."""

    name: str = ""
    include: str = "Metadata"


def address(path: str) -> Address | None:
    """Return the collection or object at a path, None where the path is no such thing."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        parts = ["", *parts[1:]]
    elif parts[0] == "apis":
        parts = parts[1:]
    else:
        return None
    if len(parts) >= 5 and parts[2] == "namespaces":
        group, version, _, namespace, plural, *name = parts
    elif len(parts) >= 3:
        group, version, plural, *name = parts
        namespace = ""
    else:
        return None
    return Address(group, version, plural, namespace, *name) if len(name) <= 1 else None


def options(query: Mapping[str, str], *, watch_list: bool) -> ListOptions:
    """Read the options of a list or watch. Raises Refusal where a real server does."""
    token = query.get("continue", "")
    found = ListOptions(
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
        query.get("watch", "").lower() in ("1", "true"),
        _number(query, "limit"),
        Token.decoded(token) if token else None,
        query.get("resourceVersion", ""),
        query.get("resourceVersionMatch", ""),
        _number(query, "timeoutSeconds"),
        query.get("allowWatchBookmarks", "").lower() in ("1", "true"),
        query.get("sendInitialEvents", "").lower() in ("1", "true"),
    )
    if "sendInitialEvents" in query:
        _check_initial_events(found, watch_list=watch_list)
    elif found.match:
        _check_match(found)
    if found.version and not found.version.isdecimal():
        raise _invalid_version(found)
    if found.token and found.version not in ("", "0"):
        raise Refusal(400, "specifying resource version is not allowed when using continue")
    return found


def form(accept: str, include: str) -> Form:
    """Pick the first acceptable representation. Raises Refusal 406 where there is none."""
    for part in accept.split(",") or [""]:
        media, *parameters = (piece.strip() for piece in part.split(";"))
        if media not in ("", "*/*", "application/*", "application/json"):
            continue
        named = dict(piece.partition("=")[::2] for piece in parameters)
        kind = named.get("as", "")
        if not kind:
            return Form()
        if named.get("g") == "meta.k8s.io" and named.get("v") == "v1":
            if kind == "Table":
                return Form("Table", include or "Metadata")
            if kind.startswith("PartialObjectMetadata"):
                return Form("Partial")
    raise Refusal(
        406, "only the following media types are accepted: application/json", reason="NotAcceptable"
    )


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    if not text.isdecimal():
        raise Refusal(400, f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _invalid_version(found: ListOptions) -> Refusal:
    text = found.version
    why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
    if found.watch:
        return Refusal(500, f"{why}invalid syntax", reason="")
    return Refusal(400, f"invalid resource version: {why}invalid syntax")


def _check_initial_events(found: ListOptions, *, watch_list: bool) -> None:
    if not found.watch:
        raise _forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if not watch_list:
        why = (
            "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
        )
        raise _forbidden("sendInitialEvents", why)
    if found.match != NOT_OLDER:
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise _forbidden("resourceVersionMatch", why)


def _check_match(found: ListOptions) -> None:
    field = "resourceVersionMatch"
    if found.watch:
        why = f"{field} is forbidden for watch unless sendInitialEvents is provided"
        raise _forbidden(field, why)
    if not found.version:
        raise _forbidden(field, f"{field} is forbidden unless resourceVersion is provided")
    if found.match not in (EXACT, NOT_OLDER):
        why = f'Unsupported value: "{found.match}": supported values: "Exact", "NotOlderThan", ""'
        raise invalid_options(field, why, "FieldValueNotSupported")
    if found.match == EXACT and found.version == "0":
        raise _forbidden(field, f'{field} "exact" is forbidden for resourceVersion "0"')


def _forbidden(field: str, why: str) -> Refusal:
    return invalid_options(field, f"Forbidden: {why}")
