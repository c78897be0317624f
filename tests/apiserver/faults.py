"""Faults to order: what goes wrong, for which request, and a record of all requests."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from exporter.model.resource import Resource
from exporter.simulator.status import Refusal
from exporter.simulator.store import encode
from exporter.simulator.watches import event_line

MAX_CALLS = 100_000


class Call(NamedTuple):
    """One request. ``resource`` is as in the metrics: ``policyreports.wgpolicyk8s.io``.

    ``verb`` is one of list, watch, get, create, update, delete, and discover for everything else.
    ``page`` counts a list's pages from 1. ``at`` is the event loop's time.
    """

    resource: str
    verb: str
    namespace: str
    query: Mapping[str, str]
    page: int
    at: float
    token: str


class Fault(Protocol):
    """Anything that can be ordered: an answer, or something that happens to a stream."""


class Answer(msgspec.Struct, frozen=True):
    """Another answer than the one asked for: a Status, or ``body`` as it stands."""

    status: int
    message: str = ""
    reason: str = ""
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    content_type: str = "application/json"

    def content(self) -> bytes:
        """Give the body that is sent."""
        if self.body is not None:
            return self.body
        return Refusal(self.status, self.message or "injected", reason=self.reason or None).body


def html() -> Answer:
    """Answer as a login page or a captive proxy does: 200, and not JSON."""
    page = b"<!doctype html><html><body>Sign in</body></html>"
    return Answer(200, body=page, content_type="text/html")


def expired() -> Answer:
    """Refuse a version or a continue token as too old."""
    return Answer(410, "The provided continue parameter is too old to display a consistent list")


def error_event(code: int, message: str = "injected", reason: str = "") -> bytes:
    """Make the line with which a running watch says that it has failed."""
    return event_line("ERROR", Refusal(code, message, reason=reason or None).body)


def event(kind: str, resource: Resource, name: str, namespace: str = "", **more: object) -> bytes:
    """Make a line about an object that need not exist, of a type that need not either."""
    metadata = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"}
    head = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    return event_line(kind, encode(head | more))


GARBAGE = b'{"type":"ADDED","object":{"kind":\n'


class Delay(msgspec.Struct, frozen=True):
    """Answer properly, but that much later."""

    seconds: float


class Hang(msgspec.Struct, frozen=True):
    """Accept the request and never answer, without closing."""


class Reset(msgspec.Struct, frozen=True):
    """Drop the connection by RST instead of an answer."""


class EmptyList(msgspec.Struct, frozen=True):
    """A list that says that there is nothing."""


class CutBody(msgspec.Struct, frozen=True):
    """Send so many bytes of the body, then close; ``reset`` without a FIN."""

    after: int
    reset: bool = False


class AsTable(msgspec.Struct, frozen=True):
    """Answer with Tables whatever the Accept header says."""


class Gzip(msgspec.Struct, frozen=True):
    """Compress a watch, flushed at each line."""


class Inject(msgspec.Struct, frozen=True):
    """Send these lines once ``after`` lines of a watch have gone out: errors, garbage, anything."""

    lines: tuple[bytes, ...]
    after: int = 0


class End(msgspec.Struct, frozen=True):
    """Close a watch properly after so many lines; with ``reset`` by RST."""

    after: int = 0
    reset: bool = False


class Stall(msgspec.Struct, frozen=True):
    """Send nothing more after so many lines, and do not close."""

    after: int = 0


class CutLine(msgspec.Struct, frozen=True):
    """Break off in the middle of the line that follows ``after`` others."""

    after: int = 0
    reset: bool = False


class Repeat(msgspec.Struct, frozen=True):
    """Send the line that follows ``after`` others twice."""

    after: int = 0


class Lose(msgspec.Struct, frozen=True):
    """Swallow the next line of a type that follows ``after`` others."""

    type: str = "DELETED"
    after: int = 0


class Late(msgspec.Struct, frozen=True):
    """Once ``after`` lines are out, send an object's earlier line again after a newer one.

    It comes as MODIFIED, with the version that the object had then.
    """

    after: int = 0


class _Order(NamedTuple):
    fault: Fault
    resource: str
    verb: str
    first: int
    times: int | None
    when: Callable[[Call], bool]


class Faults:
    """The orders, and the last MAX_CALLS requests."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=MAX_CALLS)
        self._orders: list[_Order] = []
        self._seen: dict[int, int] = {}

    def add(
        self,
        fault: Fault,
        resource: str = "*",
        verb: str = "*",
        *,
        first: int = 1,
        times: int | None = 1,
        when: Callable[[Call], bool] = lambda _: True,
    ) -> None:
        """Order a fault for the ``first``-th matching request and so many after it; None: for ever.

        Requests are counted from this order on.
        """
        self._orders.append(_Order(fault, resource, verb, first, times, when))

    def clear(self) -> None:
        """Take back all orders."""
        self._orders.clear()
        self._seen.clear()

    def strike(self, call: Call) -> list[Fault]:
        """Record a request, and say what is to happen to it."""
        self.calls.append(call)
        return [order.fault for order in self._orders if self._applies(order, call)]

    def count(self, resource: str = "*", verb: str = "*") -> int:
        """How many requests there were."""
        return sum(_meant(resource, verb, call) for call in self.calls)

    def _applies(self, order: _Order, call: Call) -> bool:
        if not _meant(order.resource, order.verb, call) or not order.when(call):
            return False
        number = self._seen[id(order)] = self._seen.get(id(order), 0) + 1
        return number >= order.first and (order.times is None or number < order.first + order.times)


def _meant(resource: str, verb: str, call: Call) -> bool:
    return resource in ("*", call.resource) and verb in ("*", call.verb)


def page_is(number: int) -> Callable[[Call], bool]:
    """Match a list's page of that number, for ``when``."""
    return lambda call: call.page == number
