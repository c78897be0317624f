"""One page of a list: which objects, of which version, and how to go on."""

from bisect import bisect_left, bisect_right
from itertools import islice
from typing import Any, NamedTuple

from exporter.simulator import query, tables
from exporter.simulator.query import EXACT, NOT_OLDER, Form, ListOptions, Token
from exporter.simulator.registry import Served
from exporter.simulator.status import Refusal, too_large_version
from exporter.simulator.store import Compacted, Store, StoredObject, StoreSnapshot, encode
from exporter.simulator.views import data_as, partial, raw_as

Object = dict[str, Any]

_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


class SimulatedPage(NamedTuple):
    """Some objects of a list, and the list's own metadata."""

    objects: list[StoredObject]
    metadata: Object


def page(store: Store, served: Served, namespace: str, options: ListOptions) -> SimulatedPage:
    """Return the page that is asked for. Raises Refusal 410 and 504 as the real server does."""
    snapshot = _snapshot(store, served, options)
    matches = query.parse(options.labels, options.fields, served)
    # Served from its cache, a real server ignores the limit when any version is good enough.
    limit = 0 if options.version == "0" and not options.token else options.limit
    keys = _remaining(snapshot.keys, namespace, options.token)
    matching = (each for key in keys if matches((each := snapshot.objects[key]).data))
    chosen = list(islice(matching, limit or None))
    metadata: Object = {"resourceVersion": str(snapshot.version)}
    if not served.builtin:
        # Custom resources' lists always have the field, empty on the last page.
        metadata["continue"] = ""
    if limit and next(matching, None):
        number = options.token.page if options.token else 1
        metadata["continue"] = Token(snapshot.version, chosen[-1].key, number + 1).encoded()
        if not (options.labels or options.fields):
            metadata["remainingItemCount"] = len(keys) - len(chosen)
    return SimulatedPage(chosen, metadata)


def _remaining(keys: list[str], namespace: str, token: Token | None) -> list[str]:
    first, last = 0, len(keys)
    if namespace:
        # Keys begin with the namespace and a slash; "0" is what follows the slash in ASCII.
        first, last = bisect_left(keys, f"{namespace}/"), bisect_left(keys, f"{namespace}0")
    if token:
        first = bisect_right(keys, token.last)
    return keys[first:last]


def body(found: SimulatedPage, served: Served, form: Form, now: float) -> bytes:
    """Return the page as JSON, in the form that is asked for."""
    if form.name == "Table":
        rows = [
            tables.row(data_as(each, served), served, now, form.include) for each in found.objects
        ]
        return encode(tables.table(served, rows, found.metadata))
    if form.name == "Partial":
        items = [partial(each.data) for each in found.objects]
        meta = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        return encode({**meta, "metadata": found.metadata, "items": items})
    head: Object = {"kind": served.resource.kind + "List", "apiVersion": served.group_version}
    joined = b",".join([raw_as(each, served, in_list=True) for each in found.objects])
    members = encode({**head, "metadata": found.metadata})[1:-1]
    if served.builtin:
        return b'{%b,"items":[%b]}\n' % (members, joined)
    # A real server sorts the keys of custom objects: the list's version follows its items.
    return b'{"items":[%b],%b}\n' % (joined, members)


def _snapshot(store: Store, served: Served, options: ListOptions) -> StoreSnapshot:
    if options.token:
        return _continued(store, served, options.token)
    wanted = int(options.version or 0)
    if wanted > store.version:
        raise too_large_version(wanted, store.version)
    # Before resourceVersionMatch existed, a limit with a version meant exactly that version.
    exact = options.match == EXACT or (options.limit and wanted and options.match != NOT_OLDER)
    try:
        return store.snapshot(served.storage, wanted if exact else None)
    except Compacted as error:
        raise Refusal(410, f"The provided resourceVersion is too old: {error}") from error


def _continued(store: Store, served: Served, token: Token) -> StoreSnapshot:
    try:
        return store.snapshot(served.storage, token.version if token.version >= 0 else None)
    except Compacted as error:
        rest = Token(-1, token.last, token.page)
        raise Refusal(410, _EXPIRED, continue_token=rest.encoded()) from error
