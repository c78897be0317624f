"""What the status page and /api/v1 show, as plain values."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

import msgspec

MOST_BLOCKED: Final = 100
OLD_SECONDS: Final = 86_400.0
"""Age above which a result is old; Kyverno rescans each hour."""
SEVERITIES: Final = ("critical", "high", "medium", "low", "info", "none")

COUNT_CHOICES: Final = {
    "workloads": frozenset({"true"}),
    "objects": frozenset[str](),
}
"""Which objects count, by the values of ``controlled`` that are left out, as on the dashboards.

A Deployment is reported as itself, as its ReplicaSets, and as its Pods. By default only objects
count that no other reported object owns.
"""
DEFAULT_COUNT: Final = "workloads"

ConnectionState = Literal[
    "connecting",
    "unreachable",
    "refused",
    "not kubernetes",
    "reading",
    "no report api",
    "lost",
    "degraded",
    "partial",
    "live",
]


class ClusterConnection(msgspec.Struct, frozen=True):
    """Whether the numbers are those of the cluster now, and if not, why and since when.

    Times are Unix seconds. ``as_of`` is when numbers stopped following the cluster, 0 where they
    follow it or where there are none. ``counted``: there are numbers.
    """

    state: ConnectionState
    message: str
    since: float
    counted: bool
    error: str = ""
    as_of: float = 0.0


class Watched(msgspec.Struct, frozen=True):
    """One kind of object; times are Unix seconds, 0 when it has not happened yet.

    ``state`` is a word or two for people: synced, listing, not served, refused, failing, waiting.
    ``up``: it is being watched now; ``since``: when ``up`` last changed; ``error``: the last
    failure if it is not over; ``status``: its HTTP status, 0 for none.
    """

    resource: str
    state: str
    synced: bool
    objects: int = 0
    last_sync: float = 0.0
    last_change: float = 0.0
    up: bool = False
    since: float = 0.0
    error: str = ""
    status: int = 0


class Counts(msgspec.Struct, frozen=True, rename={"passed": "pass"}):
    """How many of something have each result."""

    passed: int = 0
    fail: int = 0
    warn: int = 0
    error: int = 0
    skip: int = 0

    @property
    def all(self) -> int:
        """The sum of the five."""
        return self.passed + self.fail + self.warn + self.error + self.skip

    @property
    def scored(self) -> int:
        """Those that compliance is a share of: warn and skip are left out."""
        return self.passed + self.fail + self.error

    @property
    def failing(self) -> int:
        """Those that failed or could not be evaluated."""
        return self.fail + self.error

    @property
    def compliance(self) -> float | None:
        """Give ``pass / (pass + fail + error)`` of checks, None when none is scored.

        The one definition of page, API, snapshots, recording rules and dashboards.
        """
        return self.passed / self.scored if self.scored else None


LeftOutReason = Literal["source", "word"]


class LeftOut(msgspec.Struct, frozen=True):
    """Results that do not count: their source is not configured, or their word is unknown."""

    reason: LeftOutReason
    source: str
    results: int


class Ignored(msgspec.Struct, frozen=True):
    """Objects or Events that are not counted since the start, and why."""

    resource: str
    reason: str
    count: int


class NamedCounts(msgspec.Struct, frozen=True):
    """The results of one namespace or of one policy."""

    name: str
    results: Counts


class Unrenewed(msgspec.Struct, frozen=True):
    """A policy some of whose results no scan has renewed for a day; ``oldest`` is Unix seconds."""

    policy: str
    source: str
    oldest: float


class Overview(msgspec.Struct, frozen=True):
    """The whole state; most failing first, and no longer than was asked for.

    Numbers are None where they are not known: before the first sync, and where only summaries are
    read. ``count`` names the choice of COUNT_CHOICES that they are of. ``compliance`` is of checks.
    ``scope`` is a sentence about the part of the cluster that is read, "" where it is the whole.
    ``unrenewed`` are some of the ``unrenewed_policies``: with old results and a background scan.
    ``not_stored`` counts the failures and counters that the stored state has no room for.
    """

    version: str
    cluster: str
    time: float
    started: float
    ready: bool
    connection: ClusterConnection
    watched: tuple[Watched, ...]
    detail: Literal["full", "summary"]
    scope: str
    count: str
    reports: int | None
    compliance: float | None
    resources: Counts | None
    results: Counts | None
    not_itemised: Counts | None
    cut_reports: int
    left_out: tuple[LeftOut, ...]
    ignored: tuple[Ignored, ...]
    newest_result: float
    failing_by_severity: dict[str, int] | None
    namespaces: tuple[NamedCounts, ...] | None
    policies: tuple[NamedCounts, ...] | None
    blocked: int | None
    blocked_capped: bool
    unrenewed: tuple[Unrenewed, ...] = ()
    unrenewed_policies: int | None = None
    not_stored: dict[str, int] = {}


class Query(msgspec.Struct, frozen=True):
    """Which failing results are wanted; empty wants all, but a namespace of "" is the cluster's.

    ``search`` is looked for in namespace, name, policy, rule and message, in any case. ``count`` is
    one of COUNT_CHOICES; a ``kind`` that is named is shown whatever that leaves out.
    """

    search: str = ""
    namespace: str | None = None
    policy: str = ""
    severity: str = ""
    kind: str = ""
    count: str = DEFAULT_COUNT
    offset: int = 0
    limit: int = 50

    @property
    def is_narrowed(self) -> bool:
        """Whether it wants less than all failing results that count."""
        wanted = (self.search, self.policy, self.severity, self.kind)
        return self.namespace is not None or any(wanted)


class FailingResult(msgspec.Struct, frozen=True):
    """One failing result of one resource.

    ``controlled`` is "true" where another reported object owns the resource; ``workload`` is the
    object at the top, or the resource itself, empty in snapshots of versions that did not know it.
    """

    namespace: str
    kind: str
    name: str
    policy: str
    rule: str
    result: str
    severity: str
    source: str
    since: float
    message: str
    controlled: str = "false"
    workload_kind: str = ""
    workload: str = ""


class FailingPage(msgspec.Struct, frozen=True):
    """Some of the failing results; ``matching`` is how many there are in all, None: not read.

    ``unknown`` names the filters whose value occurs nowhere in the cluster, a typing error perhaps.
    """

    rows: tuple[FailingResult, ...]
    matching: int | None
    unknown: tuple[str, ...] = ()


class BlockedRequest(msgspec.Struct, frozen=True):
    """One blocked request; a later one has a larger ``id``, over restarts too."""

    id: int
    time: float
    namespace: str
    kind: str
    name: str
    policy: str
    rule: str
    severity: str
    message: str


class StatusView(Protocol):
    """What the status page reads.

    No method may cost more than the number of (namespace, policy) groups or the page asked for,
    in one turn of the loop; ``failing`` may take several turns.
    """

    def overview(self, most: int, count: str = DEFAULT_COUNT) -> Overview:
        """Sum everything up, with at most ``most`` namespaces and policies."""
        ...

    async def failing(self, query: Query) -> FailingPage:
        """List failing results, worst severity first, in a stable order."""
        ...

    def blocked(self) -> Sequence[BlockedRequest]:
        """List the last blocked requests, the newest first, at most MOST_BLOCKED."""
        ...

    def subscribe(self, listener: Callable[[BlockedRequest], None]) -> Callable[[], None]:
        """Call the listener with each request that is blocked from now on; returns its end."""
        ...
