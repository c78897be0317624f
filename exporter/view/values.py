"""What the status page and /api/v1 show, as plain values."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

MOST_BLOCKED = 100
SEVERITIES = ("critical", "high", "medium", "low", "info", "none")


class Watched(msgspec.Struct, frozen=True):
    """One kind of object; times are Unix seconds, 0 when it has not happened yet.

    ``state`` is a word or two for people: synced, listing, not served, refused, retrying.
    """

    resource: str
    state: str
    synced: bool
    objects: int = 0
    last_sync: float = 0.0
    last_change: float = 0.0


class Counts(msgspec.Struct, frozen=True, rename={"passed": "pass"}):
    """How many of something have each result."""

    passed: int = 0
    fail: int = 0
    warn: int = 0
    error: int = 0
    skip: int = 0

    @property
    def judged(self) -> int:
        """All but skipped."""
        return self.passed + self.fail + self.warn + self.error

    @property
    def failing(self) -> int:
        """What the failing results list: that failed, or could not be judged."""
        return self.fail + self.error

    @property
    def passing(self) -> float | None:
        """The share that is not failing, None when nothing was judged."""
        return 1 - self.failing / self.judged if self.judged else None

    @property
    def compliance(self) -> float | None:
        """The share that does not fail, None when nothing was judged."""
        return 1 - self.fail / self.judged if self.judged else None


class NamedCounts(msgspec.Struct, frozen=True):
    """How one namespace or one policy stands: its results."""

    name: str
    results: Counts


class Overview(msgspec.Struct, frozen=True):
    """The state of everything; most failing first, and no longer than was asked for.

    None is what summaries do not tell, where nothing but summaries is read.
    """

    version: str
    started: float
    ready: bool
    watched: tuple[Watched, ...]
    resources: Counts
    results: Counts
    failing_by_severity: dict[str, int] | None
    namespaces: tuple[NamedCounts, ...]
    policies: tuple[NamedCounts, ...] | None


class Query(msgspec.Struct, frozen=True):
    """Which failing results are wanted; empty wants all, but a namespace of "" is the cluster's.

    ``search`` is looked for in namespace, name, policy, rule and message, in any case.
    """

    search: str = ""
    namespace: str | None = None
    policy: str = ""
    severity: str = ""
    offset: int = 0
    limit: int = 50


class FailingResult(msgspec.Struct, frozen=True):
    """One failing result of one resource."""

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


class FailingPage(msgspec.Struct, frozen=True):
    """Some of the failing results; ``matching`` is how many there are in all, None: not read."""

    rows: tuple[FailingResult, ...]
    matching: int | None


class BlockedRequest(msgspec.Struct, frozen=True):
    """One blocked request; each that is heard of later has a larger ``id``, over restarts too."""

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
    """Where the status page looks.

    No question may cost more than the number of (namespace, policy) groups or the page asked for,
    in one turn of the loop; ``failing`` may take several turns.
    """

    def overview(self, most: int) -> Overview:
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
